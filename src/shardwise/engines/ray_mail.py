"""How mail gets to agents in Ray's actors and back: one call an exchange, which an agent without news answers late."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from shardwise.engines.agent import REST_SECONDS, rest_after


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
        self._resting: dict[str, tuple[int, float]] = {}  # agent -> what was seen of it, until when nobody asks it
        self._lock = threading.Lock()

    def begin(self, actor: Any) -> None:
        """Wait for the call of the agent in an actor."""
        self._ask("", actor, 0)

    def take(self) -> None:
        """Read what agents answer, as soon as one does, and ask those for news that have rested long enough."""
        left = self._ask_the_rested()
        with contextlib.suppress(queue.Empty):
            self._read(*self._answers.get(timeout=left))

    def post(self, agent: str, number: int, messages: list[bytes]) -> None:
        """Hand mail to an agent: what wakes it from its rest also asks for news. Any thread may call this."""
        actor = self._actors.get(agent)
        if actor is None:
            return
        with self._lock:
            self._posted[agent] = max(number, self._posted.get(agent, 0))
            seen, _ = self._resting.pop(agent, (None, 0.0))
        if seen is None:
            actor.talk.remote(number, list(messages), None)  # whether it arrives is seen by who waits for news
        else:
            self._ask(agent, actor, seen, number, messages)

    def _ask(self, agent: str, actor: Any, seen: int, number: int = 0, messages: list[bytes] | None = None) -> None:
        answer = actor.talk.remote(number, messages or [], seen).future()
        answer.add_done_callback(lambda answer: self._answers.put((agent, actor, answer)))

    def _ask_the_rested(self) -> float:
        """Seconds until the next one has rested enough."""
        now = time.monotonic()
        with self._lock:
            due = {agent: seen for agent, (seen, until) in self._resting.items() if until <= now}
            for agent in due:
                del self._resting[agent]
            left = min((until - now for _, until in self._resting.values()), default=REST_SECONDS)
        for agent, seen in due.items():
            self._ask(agent, self._actors[agent], seen)
        return left

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
            seconds = rest_after(messages, self._posted.get(agent, 0))
            if seconds:
                self._resting[agent] = last, time.monotonic() + seconds
        return seconds > 0

    def _forget(self, agent: str, actor: Any, error: Exception | None) -> None:
        self._actors.pop(agent, None)
        with self._lock:
            self._resting.pop(agent, None)
            self._posted.pop(agent, None)
        self._ended(agent, actor, error)
