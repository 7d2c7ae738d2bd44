"""What could be used: which engines are fit on this host, and what a cluster has and is.

What is found are plain values; who asks draws them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardwise.compute.machine import usable_cores
from shardwise.engines.listing import list_engines
from shardwise.engines.protocol import SlotUp, Want
from shardwise.engines.registry import engine_reach, make_engine
from shardwise.errors import EngineError

if TYPE_CHECKING:
    from shardwise.engines.protocol import Engine
    from shardwise.engines.room import Room

SETTLE_SECONDS = 5.0
"""When no further slot came up for so long, those that are up are all that can be had now."""

MOST_SLOTS = 64
"""Of a cluster, at most so many slots are looked at, unless a person says how many."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """An engine on this host.

    Parameters
    ----------
    version : str
        Of its library; empty: it has none, or that is not here.
    lacks, fixes : tuple of str
        What is missing, and how to get each.
    provider : str
        The package that provides it; empty: it is one of ours.
    """

    name: str
    version: str
    lacks: tuple[str, ...]
    fixes: tuple[str, ...]
    provider: str = ""

    @property
    def ready(self) -> bool:
        """Whether it can be opened here."""
        return not self.lacks


@dataclass(slots=True)
class HostState:
    """A host that a cluster lends, as it says of itself."""

    host: str
    slots: int = 0  # with a worker that is up
    versions: dict[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()  # what makes it unfit
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A cluster that answered."""

    engine: str
    room: Room | None
    hosts: tuple[HostState, ...]
    seconds: float  # until the first slot was up
    run_dir: str = ""
    task_seconds: float | None = None  # what a task costs beside its work, one after another on one slot

    @property
    def ready(self) -> bool:
        """Whether jobs can run there."""
        return any(host.slots for host in self.hosts) and not any(host.lacks for host in self.hosts)


def probe_engines() -> list[EngineState]:
    """Look which engines are fit on this host. No library is imported, and nothing is started but ``java -version``.

    Examples
    --------
    >>> [engine.name for engine in probe_engines() if engine.ready][:2]
    ['inline', 'local']
    """
    return [
        EngineState(
            listed.name,
            listed.version,
            tuple(need.lack for need in listed.needs if need.lack),
            tuple(need.fix for need in listed.needs if need.lack),
            listed.provider,
        )
        for listed in list_engines()
    ]


def probe_cluster(url: str, workers: int | None = None, run_dir: str = "", measure: bool = False) -> ClusterState:
    """Open an engine, start workers on it, and hear what its hosts are.

    Parameters
    ----------
    url : str
        As for ``make_engine``.
    workers : int, optional
        Slots to ask for. Default: all that it has, at most 64.
    run_dir : str
        Where runs are to be kept: hosts then show that they reach it.
    measure : bool
        Also find out what a task costs there.

    Raises
    ------
    MissingExtra
        Its library, or what that needs, is not installed here.
    EngineError
        It does not answer, or lends no slot.
    """
    engine = make_engine(url)
    return _Probe(engine, url, run_dir if engine_reach(engine) == "network" else "").look(workers, measure)


class _Probe:
    """One look at an engine."""

    def __init__(self, engine: Engine, url: str, run_dir: str) -> None:
        self._engine: Any = engine
        self._url = url
        self._run_dir = run_dir
        self._hosts: dict[str, HostState] = {}
        self._up: SlotUp | None = None

    def look(self, workers: int | None, measure: bool = False) -> ClusterState:
        """Open it, wait for slots, close it."""
        engine = self._engine
        if hasattr(engine, "on_hello"):
            engine.on_hello = self._greet
        asked = workers or self._as_many_as_there_are()
        began = time.monotonic()
        try:
            engine.open(Want(asked, root=self._run_dir))
            first = self._await_slots(asked) - began
            room = self._room()
            each = self._task_seconds() if measure else None
        finally:
            engine.close()
        return ClusterState(self._url, room, tuple(self._hosts.values()), round(first, 3), self._run_dir, each)

    def _as_many_as_there_are(self) -> int:
        """Slots to ask for; 0: as many as the engine finds once it is connected."""
        if engine_reach(self._engine) == "network":
            room = self._room()
            return 0 if room is None else max(1, min(room.slots, MOST_SLOTS))
        return 1 if engine_reach(self._engine) == "process" else usable_cores()

    def _await_slots(self, asked: int) -> float:
        """Count slots until all are up, or no more come; the moment of the first."""
        first, count = 0.0, 0
        while not asked or count < asked:
            events = self._engine.wait(SETTLE_SECONDS)
            if first and not events:
                break
            for event in events:
                if isinstance(event, SlotUp):
                    first, count = first or time.monotonic(), count + 1
                    self._host(event.host).slots += 1
                    self._up = event
            if not asked and count and (room := self._room()) is not None:
                asked = room.slots
        return first

    def _task_seconds(self) -> float | None:
        """What a task costs, where there is a host that can do it."""
        if self._up is None or any(host.lacks for host in self._hosts.values()):
            return None
        from shardwise.plan.machine_workers import task_seconds_on

        return task_seconds_on(self._engine, self._up)

    def _room(self) -> Room | None:
        room: Room | None = self._engine.room() if hasattr(self._engine, "room") else None
        return room

    def _host(self, name: str) -> HostState:
        return self._hosts.setdefault(name, HostState(name))

    def _greet(self, hello: dict[str, Any]) -> None:
        """Note what a host says of itself, and what is wrong with it, instead of ending with the first."""
        host = self._host(hello["host"])
        host.versions = hello["versions"]
        try:
            self._engine.refuse_if_unfit(hello)
        except EngineError as error:
            if error.message not in host.lacks:
                host.lacks, host.fixes = (*host.lacks, error.message), (*host.fixes, error.fix)
