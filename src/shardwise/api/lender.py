"""An engine and its driver, opened when there is something for them to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwise.compute.connection import open_early
from shardwise.engines.registry import make_engine

if TYPE_CHECKING:
    from shardwise.api.options import Options
    from shardwise.api.runs import RunLedger
    from shardwise.engines.protocol import Engine
    from shardwise.plan.choose import Choice
    from shardwise.plan.work import Work
    from shardwise.report.watcher import ProgressWatcher
    from shardwise.run.driver import Driver
    from shardwise.run.graph import Graph


class Lender:
    """Carries graphs out on the engine that was chosen.

    Parameters
    ----------
    choice : Choice
        Which engine; it may be replaced until the first graph has something to do.
    options : Options
        Of the run.
    ledger : RunLedger
        Where to commit.
    watcher : ProgressWatcher
        Whom to tell.
    work : Work
        What is done: whether rows that fail go to quarantine, whether DuckDB does all of it, and where its data lies.
    engine : Engine, optional
        Instead of the one that was chosen.
    """

    def __init__(
        self,
        choice: Choice,
        options: Options,
        ledger: RunLedger,
        watcher: ProgressWatcher,
        work: Work,
        engine: Engine | None = None,
    ) -> None:
        self.choice = choice
        self._engine = engine
        self._native, self._guarded = work.is_native, work.guarded
        self._data = _local_file(work)
        self._options = options
        self._ledger = ledger
        self.watcher = watcher
        self._driver: Driver | None = None

    def change(self, choice: Choice) -> None:
        """From now on as another choice says; on the same engine its workers go on."""
        if (choice.engine, choice.workers) != (self.choice.engine, self.choice.workers):
            self.close()
            self._driver = None
        self.choice = choice

    def carry_out(self, graph: Graph) -> dict[int, Any]:
        """Commits of all tasks, by id."""
        if all(task.done for task in graph.tasks):
            return dict(graph.done)
        if self._driver is None:
            self._driver = self._open()
        return self._driver.run(graph)

    def _open(self) -> Driver:
        if self._native and self.choice.engine == "inline":
            open_early()
        from shardwise.data.loans import Loans  # all here, as a run that a trial or an earlier one did needs none
        from shardwise.engines.protocol import Want
        from shardwise.run.driver import Driver
        from shardwise.run.task import Budgets

        choice, options = self.choice, self._options
        engine = self._engine or make_engine(choice.engine if isinstance(options.engine, str) else options.engine)
        root, ship = self._ledger.url, tuple(options.ship)
        engine.open(Want(choice.workers, choice.threads, choice.memory, root, self._data, ship))
        again = options.retries
        budgets = Budgets(again, again + 2, again, min(again, 1), 2, options.timeout_seconds)
        budgets = replace(budgets, shares=choice.workers, speculate=options.speculate and not self._guarded)
        loans = Loans(getattr(engine, "reach", "network"))
        driver = Driver(
            engine,
            self._ledger,
            budgets,
            self.watcher,
            choice.threads,
            choice.memory,
            options.memory_bytes,
            loans=loans,
        )
        if self._guarded:  # narrowing takes as many calls as it takes: the time of each is bounded, by the workers
            driver.budgets = replace(budgets, seconds=None)
            from shardwise.run.suspects import Suspects

            driver.call_seconds, driver.suspects = options.timeout_seconds, Suspects(budgets)
        return driver

    @property
    def local_reads(self) -> float | None:
        """Share of what was read where it lies; None: nobody knows where it lies."""
        driver = self._driver
        return round(driver.local_bytes / driver.located_bytes, 4) if driver and driver.located_bytes else None

    def close(self) -> None:
        """Give the slots back."""
        if self._driver is not None:
            self._driver.close()


def _local_file(work: Work) -> tuple[str, int] | None:
    """A file that this host's file system has and workers read, and its bytes: the first one that is not empty."""
    source = work.pipeline.source
    if not source.remote_safe:
        return None
    files = ((f.name, f.size) for f in source.fragments if f.size and Path(f.name).is_absolute())
    return next(files, None)
