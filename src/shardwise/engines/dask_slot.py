"""What runs in Dask's workers, the task that is a slot, and how mail gets to it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from shardwise.engines.agent import REST_SECONDS, Agent, Terms, rests
from shardwise.errors import EngineError


class Talk:
    """The driver's side of one agent's mail, on the client's event loop."""

    def __init__(self, agent: str, rpc: Any, silence: float) -> None:
        self._agent = agent
        self._rpc = rpc
        self._silence = silence
        self._seen = 0
        self._rests = False
        self._next: tuple[int, list[bytes]] | None = None  # what wakes it from its rest
        self._woken = asyncio.Event()

    async def news(self) -> list[bytes]:
        """What it says next; nothing, now and then."""
        number, messages = 0, list[bytes]()
        if self._rests:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), REST_SECONDS)
        self._rests = False
        if self._next is not None:
            (number, messages), self._next = self._next, None
        answer = await asyncio.wait_for(self._call(number, messages, self._seen), self._silence)
        if answer["last"] is None:
            raise EngineError("its task ended")
        self._seen = answer["last"]
        news: list[bytes] = answer["messages"]
        self._rests = rests(news)
        self._woken.clear()
        return news

    async def post(self, number: int, messages: list[bytes]) -> None:
        """Mail for it: what wakes it from its rest also asks for news."""
        if self._rests:
            self._rests, self._next = False, (number, messages)
            self._woken.set()
        else:
            await self._call(number, messages, None)

    async def _call(self, number: int, messages: list[bytes], seen: int | None) -> dict[str, Any]:
        answer: dict[str, Any] = await self._rpc.shardwise_talk(
            agent=self._agent, number=number, messages=messages, seen=seen
        )
        return answer


# --- in a worker of the cluster ------------------------------------------------------------------------------------

_agents: dict[str, Agent] = {}


def serve(topic: str, terms: dict[str, Any]) -> None:
    """The task that is a slot."""
    from distributed import Reschedule, Status, get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def stays() -> bool:
        return worker.status in (Status.running, Status.paused)

    def wanted() -> bool:  # the scheduler cancels it as soon as it misses the client
        task = worker.state.tasks.get(key)
        return stays() and task is not None and task.state != "cancelled"

    worker.handlers.setdefault("shardwise_talk", talk)
    agent = Agent(Terms(**terms))
    _agents[agent.id] = agent
    try:
        worker.log_event(topic, {"agent": agent.id, "address": worker.address})
        agent.run(wanted)
    finally:
        del _agents[agent.id]
    if not stays():
        raise Reschedule  # this worker retires: the slot goes to another


async def talk(agent: str, number: int, messages: list[bytes], seen: int | None) -> dict[str, Any]:
    """Handler: mail for an agent, and its own as soon as there is some after what was ``seen`` (None: do not wait)."""
    host = _agents.get(agent)
    if host is None:
        return {"last": None, "messages": []}
    host.touch()
    if messages:
        host.post(number, messages)
    if seen is None:
        return {"last": 0, "messages": []}
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    host.outbox.listen(seen, lambda: _wake(loop, arrived))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(arrived.wait(), host.poll_seconds)
    host.touch()
    last, news = host.outbox.after(seen)
    return {"last": last, "messages": news}


def _wake(loop: asyncio.AbstractEventLoop, arrived: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the worker closes
        loop.call_soon_threadsafe(arrived.set)
