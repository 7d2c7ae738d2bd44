"""What it takes to start workers here, to talk to them, and to have an engine do a task."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from shardwise import records
from shardwise.compute import wire
from shardwise.compute.program import Program
from shardwise.compute.programs.nothing import NothingProgram
from shardwise.compute.task import EPHEMERAL, TaskSpec
from shardwise.data.loans import Loans
from shardwise.engines.children import ForkServer, can_fork
from shardwise.engines.process import WorkerProcess
from shardwise.engines.protocol import Engine, Finished, SlotUp, Want
from shardwise.engines.registry import make_engine
from shardwise.errors import EngineError
from shardwise.run.driver import Driver
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.graph import Graph
from shardwise.run.task import Budgets

MODULES = ("shardwise.compute.programs.collect", "numpy", "pyarrow")
"""What workers are forked with, as by a job over tables."""

PATIENCE_SECONDS = 60.0
"""A worker that has not greeted after so long is given up."""

STARTS = 3
ROUND_TRIPS = 100

LOAD = 32 << 20
"""Bytes that travel to a worker, to find out how fast."""

TASK_SECONDS = 0.25
"""So many tasks are done that they take so long, or ``MOST_TASKS``."""

MOST_TASKS = 4096

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds until a worker was ready; None where this system does not fork safely.

    Parameters
    ----------
    server : float or None
        Of the process that workers are forked from, its first worker included.
    fork : float or None
        Of each further worker.
    interpreter : float
        Of a worker that is a fresh interpreter; it imports libraries when it needs them.
    """

    server: float | None
    fork: float | None
    interpreter: float


@dataclass(frozen=True, slots=True)
class Link:
    """Between the driver and a worker of this host.

    Parameters
    ----------
    round_trip : float
        Seconds from sending a task that does nothing to having its outcome: the median.
    rate : float
        Bytes per second of what a function takes along, until it can be called.
    """

    round_trip: float
    rate: float


def measure_starts(clock: Clock = time.perf_counter) -> Starts:
    """Start workers and wait until they greet."""
    interpreter = median(_start(None, clock) for _ in range(STARTS))
    if not can_fork():
        return Starts(None, None, interpreter)
    began = clock()
    server = ForkServer(1, MODULES)
    try:
        _start(server, clock)
        first = clock() - began
        return Starts(first, median(_start(server, clock) for _ in range(STARTS)), interpreter)
    finally:
        server.close()


def _start(server: ForkServer | None, clock: Clock) -> float:
    """Seconds until a worker greets."""
    began = clock()
    worker = WorkerProcess(1, server)
    try:
        waiting = select.poll()
        waiting.register(worker.socket, select.POLLIN)
        while waiting.poll(PATIENCE_SECONDS * 1000):
            if any(kind == wire.HELLO for kind, _ in worker.receive()):
                return clock() - began
            if worker.hung_up:
                break
        raise EngineError("a worker did not start", "run `python -m shardwise.compute.worker` by hand to see why")
    finally:
        worker.kill()
        worker.bury()


def measure_link(engine: Engine | None = None, clock: Clock = time.perf_counter) -> Link:
    """Send tasks that do nothing to one worker, and one that takes a load along."""
    engine = engine or make_engine("local:1")
    talk = _Talk(engine, clock)
    try:
        small = talk.put(NothingProgram())
        talk.seconds(small)  # it imports
        round_trip = median(talk.seconds(small) for _ in range(ROUND_TRIPS))
        began = clock()
        talk.seconds(talk.put(NothingProgram(bytes(LOAD))))
        return Link(round_trip, LOAD / max(clock() - began - round_trip, 1e-9))
    finally:
        engine.close()


class _Talk:
    """A conversation with the one worker of an engine."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._attempt = 0
        engine.open(Want(1))
        self._slot = next(event.slot for event in self._until(SlotUp))

    def put(self, program: Program) -> str:
        """Give it a program."""
        import cloudpickle

        return self._engine.put(cloudpickle.dumps(program))

    def seconds(self, ref: str) -> float:
        """How long a task takes."""
        self._attempt += 1
        spec = TaskSpec(EPHEMERAL, "probe", 0, self._attempt, ref, 0, 1, "", measured=False)
        began = self._clock()
        self._engine.send(self._slot, records.to_json(spec).encode())
        self._until(Finished)
        return self._clock() - began

    def _until(self, kind: type[Any]) -> list[Any]:
        while True:
            found = [event for event in self._engine.wait(None) if isinstance(event, kind)]
            if found:
                return found


def task_seconds(engine: Engine, clock: Clock = time.perf_counter) -> float:
    """Seconds of a task that does nothing, one after another on one slot: scheduler, messages, worker and commit.

    Parameters
    ----------
    engine : Engine
        Not yet open; it is closed afterwards.
    """
    engine.open(Want(1))
    try:
        ups: list[SlotUp] = []
        while not ups:
            ups = [event for event in engine.wait(None) if isinstance(event, SlotUp)]
        return task_seconds_on(engine, ups[0], clock)
    finally:
        engine.close()


def task_seconds_on(engine: Engine, up: SlotUp, clock: Clock = time.perf_counter) -> float:
    """The same on a slot of an engine that is open, and stays so."""
    ledger, loans = EphemeralLedger(), Loans("network")
    driver = Driver(engine, ledger, Budgets(speculate=False), _Nobody(), clock=clock, loans=loans, _slots={up.slot: up})
    try:
        _run(driver, 1)  # the worker imports
        count = 16
        while True:
            began = clock()
            _run(driver, count)
            took = clock() - began
            if took >= TASK_SECONDS or count >= MOST_TASKS:
                return took / count
            count = min(MOST_TASKS, max(2 * count, round(1.2 * count * TASK_SECONDS / max(took, 1e-9))))
    finally:
        ledger.close()
        loans.close()


def _run(driver: Driver, count: int) -> None:
    graph = Graph()
    stage = graph.stage("probe", NothingProgram())
    for number in range(count):
        graph.task(stage, number, number + 1)
    driver.run(graph)


class _Nobody:
    """Is told how it goes, and tells nobody."""

    def _ignore(self, *told: Any) -> None:
        """Nothing."""

    started = moved = retried = split = speculated = draining = _ignore
