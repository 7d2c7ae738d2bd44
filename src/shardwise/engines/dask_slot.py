"""What runs in Dask's workers: the task that is a slot, and the handler of its mail."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from shardwise.engines.agent import Agent, Terms

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
