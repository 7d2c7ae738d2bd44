"""Slots of a Dask cluster: tasks that run as long as the engine is open, and hold a thread and resources there.

Dask's scheduler places them like any others, shows them on its dashboard, queues those that find no room until a
worker joins, and places them anew when a worker is gone. Mail goes straight to the workers; where they cannot be
reached from here, through the scheduler.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
import uuid
from typing import TYPE_CHECKING, Any

from shardwise.engines.dask_cluster import connect
from shardwise.engines.dask_mail import Talks
from shardwise.engines.dask_slot import serve
from shardwise.engines.lending import GOES_ON, PATIENCE_SECONDS, LendingEngine
from shardwise.engines.room import Room, of_workers
from shardwise.engines.shipping import SHIP_OURS, packed
from shardwise.errors import EngineError

if TYPE_CHECKING:
    import distributed


ROOM_SECONDS = 10.0
"""A scheduler that is only asked what it has is not waited for longer."""


class DaskEngine(LendingEngine):
    """Lends slots of a Dask cluster.

    Parameters
    ----------
    cluster : str or distributed.Client, optional
        Address of its scheduler, or a client of yours, which stays open. Without it: a cluster of this machine.
    resources : dict, optional
        What each slot takes of the resources that workers declare (``{"GPU": 1}``), beside a thread. Where they declare
        ``MEMORY``, a slot takes of that what its worker may use.
    patience : float
        Seconds until a cluster that lends no slot is given up.
    """

    name = "dask"
    library = "distributed"
    oldest = "2026.1"

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
        self._gpus = int((resources or {}).get("GPU", 0))
        self._seats: dict[str, distributed.Future] = {}
        self._forgotten: list[str] = []  # seats that the scheduler dropped when the link to it was cut
        self._taken: dict[str, float] = {}
        self._client: distributed.Client

    def _lend(self) -> None:
        with contextlib.ExitStack() as ours:
            self._client = client = connect(self._cluster, self._want.slots, self.patience, ours)
            self._talks = Talks(client, self.waits, self._joined, self._heard, self._lost)
            topic = f"shardwise-{uuid.uuid4().hex}"
            if self._shipped:
                with tempfile.TemporaryDirectory() as directory:
                    client.upload_file(str(packed(self._shipped, directory)))
            client.subscribe_topic(topic, self._talks.welcome)
            self._taken = self._takes(client)
            for _ in range(self._slots):
                self._seat(topic)
            self._asked()
            gone_since = 0.0
            while not self._closing.wait(1.0):
                gone_since = 0.0 if client.status == "running" else gone_since or time.monotonic()
                if gone_since and time.monotonic() - gone_since > self.waits.head:
                    raise EngineError(f"Dask's scheduler at {client.scheduler.address} is gone", GOES_ON)
                if self._forgotten and not gone_since:
                    client.subscribe_topic(topic, self._talks.welcome)
                    while self._forgotten:
                        self._forgotten.pop()
                        self._seat(topic)
            seats, self._seats, self._forgotten = self._seats, {}, []
            if client.status == "running":
                client.unsubscribe_topic(topic)
                client.cancel(list(seats.values()))

    def _seat(self, topic: str) -> None:
        key = f"shardwise-slot-{uuid.uuid4().hex}"
        terms = dataclasses.asdict(self._terms)
        seat = self._client.submit(serve, topic, terms, key=key, pure=False, resources=self._taken or None)
        self._seats[key] = seat
        seat.add_done_callback(lambda seat: self._vacated(topic, seat))

    def _vacated(self, topic: str, seat: distributed.Future) -> None:
        """A seat has ended: its slot closed, or Dask has given up placing it."""
        if self._seats.pop(seat.key, None) is None or self._leaving.is_set():
            return
        if seat.status in ("cancelled", "lost") or self._client.status != "running":
            self._forgotten.append(seat.key)
            return
        error = seat.exception() if seat.status == "error" else None
        if error is None or type(error).__name__ == "KilledWorker":
            self._seat(topic)
        else:
            fix = "install the same Shardwise in the environment of Dask's scheduler and workers, " + SHIP_OURS
            self._fail(EngineError(f"Dask's workers cannot lend slots: {type(error).__name__}: {error}", fix))

    def _post(self, agent: str, number: int, messages: list[bytes]) -> None:
        self._client.loop.add_callback(self._talks.deliver, agent, number, messages)

    def room(self) -> Room | None:
        """Connects to the scheduler where that has not been done."""
        with contextlib.ExitStack() as ours:
            client = getattr(self, "_client", None)
            if client is None or client.status != "running":
                if self._cluster is None or any(need.lack for need in self.needs()):
                    return None
                client = connect(self._cluster, self._want.slots, ROOM_SECONDS, ours)
            return of_workers(self._workers(client), self._takes(client))

    @staticmethod
    def _workers(client: distributed.Client) -> list[dict[str, Any]]:
        return list(client.scheduler_info(n_workers=-1)["workers"].values())

    def _takes(self, client: distributed.Client) -> dict[str, float]:
        """What a slot takes beside a thread: memory, too, where workers declare how much they have."""
        declared = any("MEMORY" in worker["resources"] for worker in self._workers(client))
        memory: dict[str, float] = {"MEMORY": self._want.memory} if self._want.memory and declared else {}
        return {**memory, **(self._resources or {})}

    def _offer(self) -> str:
        if getattr(self, "_client", None) is None or self._client.status != "running":
            return "no scheduler has answered"
        workers = self._workers(self._client)
        threads = sum(worker["nthreads"] for worker in workers)
        has = ", ".join(sorted({f"{n:g} {name}" for worker in workers for name, n in worker["resources"].items()}))
        return f"it has {len(workers)} workers with {threads} threads in all" + (f" and each {has}" if has else "")
