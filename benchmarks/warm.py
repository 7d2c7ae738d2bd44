"""Worker processes that are up before the clock starts: Shardwise's own driver and tasks without their start-up."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from shardwise.api.job import Job
from shardwise.api.options import Options
from shardwise.api.outcome import answer
from shardwise.api.planning import graph_of
from shardwise.api.runs import RunLedger
from shardwise.compute.machine import usable_cores
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import EngineEvent, SlotUp, Want
from shardwise.plan.choose import choose
from shardwise.report.progress import Progress
from shardwise.report.watcher import ProgressWatcher
from shardwise.run.driver import Driver
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.messages import Budgets


class WarmWorkers:
    """A local engine, all of whose workers have said hello."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._engine = LocalEngine()
        self._driver: Driver | None = None

    def __enter__(self) -> WarmWorkers:
        self._engine.open(Want(self._workers, max(1, usable_cores() // self._workers), None))
        heard: list[EngineEvent] = []
        while sum(isinstance(event, SlotUp) for event in heard) < self._workers:
            heard += self._engine.wait(None)
        self._engine._events.extend(heard)  # for the driver to hear
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._engine.close()

    def collect(self, job: Job) -> list[Any]:
        """The items that the job gives."""
        work = job.work(Options())
        end = sum(fragment.batches for fragment in work.pipeline.source.fragments)
        choice = choose(work, "local", self._workers, None, None, end)
        memory = EphemeralLedger()
        ledger = RunLedger(memory, "")
        try:
            graph, wanted = graph_of(work, end, choice, ledger)
            if self._driver is None:
                self._driver = Driver(self._engine, ledger, Budgets(), ProgressWatcher(Progress("none")))
            self._driver.ledger = ledger
            commits = self._driver.run(graph)
            return list(answer(work, [commits[task] for task in wanted], ledger).load())
        finally:
            memory.close()
