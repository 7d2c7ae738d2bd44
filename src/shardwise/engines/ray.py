"""Slots of a Ray cluster: actors that hold a CPU each, as long as the engine is open.

Ray places them, keeps those that find no room until a node joins, and shows them on its dashboard.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
from typing import Any

from shardwise.engines.lending import GOES_ON, PATIENCE_SECONDS, LendingEngine
from shardwise.engines.ray_cluster import connected, is_connected_elsewhere, watch_head
from shardwise.engines.ray_mail import Talks
from shardwise.engines.ray_slot import Seat
from shardwise.engines.room import Room, of_nodes
from shardwise.engines.shipping import SHIP_OURS
from shardwise.errors import EngineError


class RayEngine(LendingEngine):
    """Lends slots of a Ray cluster.

    Parameters
    ----------
    address : str
        As for ``ray.init``: ``auto``, ``ray://host:10001``. Where Ray is initialised already, that Ray is used, and
        stays. ``local``: a cluster of this machine.
    resources : dict, optional
        What each slot takes beside a CPU: ``{"GPU": 1, "memory": 2e9, "mine": 1}``. Memory is what its worker may
        use, unless it is given here.
    patience : float
        Seconds until a cluster that lends no slot is given up.
    """

    name = "ray"
    library = "ray"
    oldest = "2.50"

    def __init__(
        self, address: str = "local", resources: dict[str, float] | None = None, patience: float = PATIENCE_SECONDS
    ) -> None:
        super().__init__(patience)
        self.reach = "host" if address == "local" and not is_connected_elsewhere() else "network"
        self._address = address
        self._resources = dict(resources or {})
        self._gpus = int(self._resources.get("GPU", 0))
        self._seats: set[Any] = set()  # actors, placed or not
        self._ray: Any = None

    def _lend(self) -> None:
        import ray

        with connected(ray, self._address, self._want.slots, self._shipped):
            self._ray = ray
            self._talks = Talks(self._joined, self._heard, self._ended)
            about_head = (ray, self.waits.head, self._closing, self._fail)
            threading.Thread(target=watch_head, args=about_head, name="shardwise-head", daemon=True).start()
            for _ in range(self._slots):
                self._seat()
            self._asked()
            try:
                while not self._closing.is_set():
                    self._talks.take()
            finally:
                self._give_back()

    def room(self) -> Room | None:
        """Known while this process is connected to a Ray."""
        ray = sys.modules.get("ray")
        if ray is None or not ray.is_initialized():
            return None
        return of_nodes(ray.nodes(), self._takes)

    @property
    def _takes(self) -> dict[str, float]:
        """What a slot takes beside a CPU. A Ray of this machine is not asked for memory: it knows less than is free."""
        memory = self._want.memory if self.reach == "network" else None
        return {**({"memory": memory} if memory else {}), **self._resources}

    def _seat(self) -> None:
        more = self._takes
        options = {"num_cpus": 1, "num_gpus": more.pop("GPU", 0), "memory": more.pop("memory", 0), "resources": more}
        actor = self._ray.remote(Seat).options(max_concurrency=2, **options).remote(dataclasses.asdict(self._terms))
        self._seats.add(actor)
        self._talks.begin(actor)

    def _ended(self, agent: str, actor: Any, error: Exception | None) -> None:
        """The agent in an actor has closed, or the actor died: another one takes its seat."""
        if not agent and "ModuleNotFoundError" in str(error):
            fix = "install the same Shardwise in the environment of Ray's workers, " + SHIP_OURS
            raise EngineError(f"Ray's workers cannot lend slots: {error}", fix)
        self._seats.discard(actor)
        if error is not None and not agent and self._in_vain(max(1, len(self._seats))):
            raise EngineError(f"Ray's workers cannot lend slots: {_first_line(error)}", f"mend that; {GOES_ON}")
        if error is None:
            self._ray.kill(actor)
        self._lost(agent, _first_line(error) if error else "it ended")
        if not self._leaving.is_set():
            self._seat()

    def _post(self, agent: str, number: int, messages: list[bytes]) -> None:
        self._talks.post(agent, number, messages)

    def _give_back(self) -> None:
        with contextlib.suppress(Exception):
            while self._seats:
                self._ray.kill(self._seats.pop())

    def _offer(self) -> str:
        if self._ray is None:
            return "no Ray has answered"
        total, free = self._ray.cluster_resources(), self._ray.available_resources()
        return "it has " + ", ".join(f"{n:g} {what} ({free.get(what, 0):g} free)" for what, n in sorted(total.items()))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
