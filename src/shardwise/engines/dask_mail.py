"""How mail gets to agents in Dask's workers and back: straight to the worker, else through the scheduler.

All of this runs on the client's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shardwise.engines.agent import rest_after
from shardwise.engines.waits import Waits
from shardwise.errors import EngineError

if TYPE_CHECKING:
    import distributed


class Talks:
    """The driver's side of all agents' mail.

    Parameters
    ----------
    joined, heard, lost : callable
        Told of an agent's call, of each of its messages, and of its end.
    """

    def __init__(
        self,
        client: distributed.Client,
        waits: Waits,
        joined: Callable[[str], None],
        heard: Callable[[str, bytes], None],
        lost: Callable[[str, str], None],
    ) -> None:
        self._client, self._waits = client, waits
        self._joined, self._heard, self._lost = joined, heard, lost
        self._talks: dict[str, Talk] = {}

    def welcome(self, event: tuple[float, dict[str, str]]) -> None:
        """An agent says where it is."""
        agent, address = event[1]["agent"], event[1]["address"]
        task = asyncio.get_running_loop().create_task(self._fetch(agent, address))
        task.add_done_callback(lambda task: self._lost(agent, self._reason(task.exception())))

    def _reason(self, error: BaseException | None) -> str:
        if isinstance(error, TimeoutError):  # which says nothing itself
            return f"it did not answer for {self._waits.silence:g} s"
        return str(error) if error else "it closed"

    async def deliver(self, agent: str, number: int, messages: list[bytes]) -> None:
        """Hand mail to an agent."""
        try:
            await self._talks[agent].post(number, messages)
        except Exception as error:
            self._lost(agent, f"{type(error).__name__}: {error}")

    async def _fetch(self, agent: str, address: str) -> None:
        """Fetch an agent's mail until it is gone."""
        talk = self._talks[agent] = Talk(agent, await self._reach(address), self._waits.silence)
        self._joined(agent)
        while True:
            for message in await talk.news():
                self._heard(agent, message)

    async def _reach(self, address: str) -> Any:
        from distributed.actor import ProxyRPC

        straight = self._client.rpc(address)
        try:
            await asyncio.wait_for(straight.shardwise_talk(agent="", number=0, messages=[], seen=0), self._waits.poll)
        except (OSError, TimeoutError):
            return ProxyRPC(self._client.scheduler, address)
        return straight


class Talk:
    """The driver's side of one agent's mail."""

    def __init__(self, agent: str, rpc: Any, silence: float) -> None:
        self._agent = agent
        self._rpc = rpc
        self._silence = silence
        self._seen = 0
        self._posted = 0  # pieces of mail
        self._rests = 0.0  # seconds
        self._next: tuple[int, list[bytes]] | None = None  # what wakes it from its rest
        self._woken = asyncio.Event()

    async def news(self) -> list[bytes]:
        """What it says next; nothing, now and then."""
        number, messages = 0, list[bytes]()
        if self._rests:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._rests)
        self._rests = 0.0
        if self._next is not None:
            (number, messages), self._next = self._next, None
        answer = await asyncio.wait_for(self._call(number, messages, self._seen), self._silence)
        if answer["last"] is None:
            raise EngineError("its task ended")
        self._seen = answer["last"]
        news: list[bytes] = answer["messages"]
        self._rests = rest_after(news, self._posted)
        self._woken.clear()
        return news

    async def post(self, number: int, messages: list[bytes]) -> None:
        """Mail for it: what wakes it from its rest also asks for news."""
        self._posted = max(self._posted, number)
        if self._rests:
            self._rests, self._next = 0.0, (number, messages)
            self._woken.set()
        else:
            await self._call(number, messages, None)

    async def _call(self, number: int, messages: list[bytes], seen: int | None) -> dict[str, Any]:
        answer: dict[str, Any] = await self._rpc.shardwise_talk(
            agent=self._agent, number=number, messages=messages, seen=seen
        )
        return answer
