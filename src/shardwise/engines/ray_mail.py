"""How mail gets to agents in Ray's actors and back: one call an exchange, which an agent without news answers late."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

from shardwise.engines.agent import REST_SECONDS, rests


class Talks:
    """The driver's side of all agents' mail.

    Parameters
    ----------
    joined, heard : callable
        Told of an agent's call, and of each of its messages.
    ended : callable
        Told which agent has ended (empty: it never called), its actor, and what that died of (None: it lives).
    """

    def __init__(
        self,
        joined: Callable[[str], None],
        heard: Callable[[str, bytes], None],
        ended: Callable[[str, Any, Exception | None], None],
    ) -> None:
        self._joined, self._heard, self._ended = joined, heard, ended
        self._actors: dict[str, Any] = {}  # agent -> actor
        self._answers: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()  # agent, actor, what it answered
        self._posted: dict[str, int] = {}  # pieces of mail, by agent
        self._resting: dict[str, int] = {}  # agents that nobody asks for news right now -> what was seen of them
        self._lock = threading.Lock()

    def begin(self, actor: Any) -> None:
        """Wait for the call of the agent in an actor."""
        self._ask("", actor, 0)

    def take(self) -> None:
        """Read what agents answer, as soon as one does, and ask those for news that have rested long enough."""
        if self._answers.empty():
            self._wake_the_resting()
        with contextlib.suppress(queue.Empty):
            self._read(*self._answers.get(timeout=REST_SECONDS))

    def post(self, agent: str, number: int, messages: list[bytes]) -> None:
        """Hand mail to an agent: what wakes it from its rest also asks for news. Any thread may call this."""
        actor = self._actors.get(agent)
        if actor is None:
            return
        with self._lock:
            self._posted[agent] = max(number, self._posted.get(agent, 0))
            seen = self._resting.pop(agent, None)
        if seen is None:
            actor.talk.remote(number, list(messages), None)  # whether it arrives is seen by who waits for news
        else:
            self._ask(agent, actor, seen, number, messages)

    def _ask(self, agent: str, actor: Any, seen: int, number: int = 0, messages: list[bytes] | None = None) -> None:
        answer = actor.talk.remote(number, messages or [], seen).future()
        answer.add_done_callback(lambda answer: self._answers.put((agent, actor, answer)))

    def _wake_the_resting(self) -> None:
        with self._lock:
            resting, self._resting = self._resting, {}
        for agent, seen in resting.items():
            self._ask(agent, self._actors[agent], seen)

    def _read(self, agent: str, actor: Any, answer: Any) -> None:
        """Read an agent's mail, and ask for more."""
        from ray.exceptions import RayActorError

        try:
            mine, last, messages = answer.result()
        except RayActorError as error:
            self._forget(agent, actor, error)
            return
        if not agent:
            self._actors[mine] = actor
            self._joined(mine)
        if last is None:
            self._forget(mine, actor, None)
        elif not self._may_rest(mine, last, messages):  # before it is heard: the next task may follow at once
            self._ask(mine, actor, last)
        for message in messages:
            self._heard(mine, message)

    def _may_rest(self, agent: str, last: int, messages: list[bytes]) -> bool:
        with self._lock:
            resting = rests(messages, self._posted.get(agent, 0))
            if resting:
                self._resting[agent] = last
        return resting

    def _forget(self, agent: str, actor: Any, error: Exception | None) -> None:
        self._actors.pop(agent, None)
        with self._lock:
            self._resting.pop(agent, None)
            self._posted.pop(agent, None)
        self._ended(agent, actor, error)
