"""Slots of a Dask cluster: tasks that run as long as the engine is open, and hold a thread and resources there.

Dask's scheduler places them like any others, shows them on its dashboard, queues those that find no room until a
worker joins, and places them anew when a worker is gone. Mail goes straight to the workers; where they cannot be reached
from here, through the scheduler.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import uuid
from typing import TYPE_CHECKING, Any

from shardwise.engines.agent import POLL_SECONDS, REST_SECONDS, Agent, Terms, rests
from shardwise.engines.lending import GOES_ON, PATIENCE_SECONDS, LendingEngine
from shardwise.errors import EngineError

if TYPE_CHECKING:
    import distributed

SILENCE_SECONDS = 3 * POLL_SECONDS
"""A worker that answers nothing for so long is given up: the link to it may be cut."""


class DaskEngine(LendingEngine):
    """Lends slots of a Dask cluster.

    Parameters
    ----------
    cluster : str or distributed.Client, optional
        Address of its scheduler, or a client of yours, which stays open. Without it: a cluster of this machine.
    resources : dict, optional
        What each slot takes of the resources that workers declare (``{"GPU": 1}``), beside a thread.
    patience : float
        Seconds until a cluster that lends no slot is given up.
    """

    name = "dask"

    def __init__(
        self,
        cluster: str | distributed.Client | None = None,
        resources: dict[str, float] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(patience)
        self.reach = "host" if cluster is None else "network"
        self._cluster = cluster
        self._resources = resources
        self._seats: dict[str, distributed.Future] = {}
        self._talks: dict[str, _Talk] = {}
        self._client: distributed.Client

    def _lend(self) -> None:
        with contextlib.ExitStack() as ours:
            self._client = client = self._connect(ours)
            topic = f"shardwise-{uuid.uuid4().hex}"
            client.subscribe_topic(topic, self._welcome)
            for _ in range(self._want.slots):
                self._seat(topic)
            self._asked()
            gone_since = 0.0
            while not self._closing.wait(1.0):
                gone_since = 0.0 if client.status == "running" else gone_since or time.monotonic()
                if gone_since and time.monotonic() - gone_since > POLL_SECONDS:
                    raise EngineError(f"Dask's scheduler at {client.scheduler.address} is gone", GOES_ON)
            if client.status == "running":
                client.unsubscribe_topic(topic)
                client.cancel(list(self._seats.values()))

    def _connect(self, ours: contextlib.ExitStack) -> distributed.Client:
        import distributed

        if isinstance(self._cluster, distributed.Client):
            return self._cluster
        where: Any = self._cluster
        if where is None:
            where = ours.enter_context(
                distributed.LocalCluster(
                    1, self._want.slots, host="127.0.0.1", dashboard_address=None, memory_limit=None, silence_logs=50
                )
            )
        try:
            return ours.enter_context(distributed.Client(where, set_as_default=False, timeout=self.patience))
        except OSError as error:
            raise EngineError(f"no Dask scheduler answers at {where}: {error}", "see that it runs there") from error

    def _seat(self, topic: str) -> None:
        key = f"shardwise-slot-{uuid.uuid4().hex}"
        terms = dataclasses.asdict(self._terms)
        seat = self._client.submit(serve, topic, terms, key=key, pure=False, resources=self._resources)
        self._seats[key] = seat
        seat.add_done_callback(lambda seat: self._vacated(topic, seat))

    def _vacated(self, topic: str, seat: distributed.Future) -> None:
        """A seat has ended: its slot closed, or Dask has given up placing it."""
        self._seats.pop(seat.key, None)
        if self._closing.is_set() or self._client.status != "running":
            return
        error = seat.exception() if seat.status == "error" else None
        if error is None or type(error).__name__ == "KilledWorker":
            self._seat(topic)
        else:
            fix = "install the same Shardwise in the environment of Dask's workers"
            self._fail(EngineError(f"Dask's workers cannot lend slots: {type(error).__name__}: {error}", fix))

    # --- on the client's event loop --------------------------------------------------------------------------------

    def _welcome(self, event: tuple[float, dict[str, str]]) -> None:
        agent, address = event[1]["agent"], event[1]["address"]
        self._joined(agent)
        task = asyncio.get_running_loop().create_task(self._fetch(agent, address))
        task.add_done_callback(lambda task: self._lost(agent, f"{task.exception() or 'it closed'}"))

    async def _fetch(self, agent: str, address: str) -> None:
        """Fetch an agent's mail until it is gone."""
        talk = self._talks[agent] = _Talk(agent, await self._reach(address))
        while not self._closing.is_set():
            for message in await talk.news():
                self._heard(agent, message)

    async def _reach(self, address: str) -> Any:
        from distributed.actor import ProxyRPC

        straight = self._client.rpc(address)
        try:
            await asyncio.wait_for(straight.shardwise_talk(agent="", number=0, messages=[], seen=0), POLL_SECONDS)
        except (OSError, TimeoutError):
            return ProxyRPC(self._client.scheduler, address)
        return straight

    def _post(self, agent: str, number: int, messages: list[bytes]) -> None:
        self._client.loop.add_callback(self._deliver, agent, number, messages)

    async def _deliver(self, agent: str, number: int, messages: list[bytes]) -> None:
        try:
            await self._talks[agent].post(number, messages)
        except Exception as error:
            self._lost(agent, f"{type(error).__name__}: {error}")

    def _offer(self) -> str:
        if getattr(self, "_client", None) is None or self._client.status != "running":
            return "no scheduler has answered"
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        threads = sum(worker["nthreads"] for worker in workers)
        has = ", ".join(sorted({f"{n:g} {name}" for worker in workers for name, n in worker["resources"].items()}))
        return f"it has {len(workers)} workers with {threads} threads in all" + (f" and each {has}" if has else "")


class _Talk:
    """The driver's side of one agent's mail, on the client's event loop."""

    def __init__(self, agent: str, rpc: Any) -> None:
        self._agent = agent
        self._rpc = rpc
        self._seen = 0
        self._rests = False
        self._next: asyncio.Queue[tuple[int, list[bytes]]] = asyncio.Queue()

    async def news(self) -> list[bytes]:
        """What it says next; nothing, now and then."""
        number, messages = 0, list[bytes]()
        if self._rests:
            with contextlib.suppress(TimeoutError):
                number, messages = await asyncio.wait_for(self._next.get(), REST_SECONDS)
        self._rests = False
        answer = await asyncio.wait_for(self._call(number, messages, self._seen), SILENCE_SECONDS)
        if answer["last"] is None:
            raise EngineError("its task ended")
        self._seen = answer["last"]
        news: list[bytes] = answer["messages"]
        self._rests = rests(news)
        return news

    async def post(self, number: int, messages: list[bytes]) -> None:
        """Mail for it: what wakes it from its rest also asks for news."""
        if self._rests:
            self._next.put_nowait((number, messages))
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
    host.outbox.listen(seen, lambda: loop.call_soon_threadsafe(arrived.set))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(arrived.wait(), POLL_SECONDS)
    host.touch()
    last, news = host.outbox.after(seen)
    return {"last": last, "messages": news}
