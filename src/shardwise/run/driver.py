"""Whoever carries out graphs on an engine and commits what comes of it. All decisions are the scheduler's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from shardwise.compute.task import Failure
from shardwise.data.loans import Loans
from shardwise.engines import protocol
from shardwise.errors import ShardwiseError
from shardwise.run import messages, policies
from shardwise.run.commits import Commit
from shardwise.run.failures import to_error
from shardwise.run.interrupt import Interrupts
from shardwise.run.round import Round
from shardwise.run.scheduler import Scheduler
from shardwise.run.seams import Ledger, Watcher
from shardwise.run.spans import Spans
from shardwise.run.too_large import too_large

if TYPE_CHECKING:
    from shardwise.run.graph import Graph
    from shardwise.run.suspects import Suspects


@dataclass(slots=True)
class Driver:
    """Carries out graphs on one engine, one after another.

    Parameters
    ----------
    engine : Engine
        Already open.
    ledger : Ledger
        Where to commit.
    budgets : Budgets
        Retries and time-outs.
    watcher : Watcher
        Who is told.
    memory : int, optional
        Bytes of one share of a host's memory: what a worker may use.
    allowed : int, optional
        Bytes that the person allowed for all processes of a host together, for messages.
    call_seconds : float or None
        What one call of a function may take; enforced by workers.
    suspects : Suspects or None
        In quarantine mode: which rows kill workers.
    local_bytes, located_bytes : int
        Read so far on a host that held them, and all those whose hosts were known.

    Attributes
    ----------
    spans : Spans
        What became of attempts and slots.
    """

    engine: protocol.Engine
    ledger: Ledger
    budgets: messages.Budgets
    watcher: Watcher
    threads: int = 1
    memory: int | None = None
    allowed: int | None = None
    clock: Callable[[], float] = time.monotonic
    loans: Loans = field(default_factory=lambda: Loans("network"))
    call_seconds: float | None = None
    suspects: Suspects | None = None
    local_bytes: int = 0
    located_bytes: int = 0
    _slots: dict[int, protocol.SlotUp] = field(default_factory=dict)
    _last_attempt: int | None = None
    _dying: dict[int, list[int]] = field(default_factory=dict)  # discarded attempts that may still write, by slot
    spans: Spans = field(init=False)

    def __post_init__(self) -> None:
        self.spans = Spans(self.clock)

    def run(self, graph: Graph) -> dict[int, Commit]:
        """Carry out a graph; returns the commit of every task, by id.

        Raises
        ------
        Interrupted
            Drained after a Ctrl-C; the run can be resumed.
        ShardwiseError
            As the failure of the task that used up its budget says.
        """
        first = self.ledger.next_attempt() if self._last_attempt is None else self._last_attempt + 1
        with Interrupts() as interrupts:
            scheduler = Scheduler(graph.tasks, self.budgets, first, ahead=getattr(self.engine, "reads_ahead", False))
            round_ = Round(self, graph, scheduler, interrupts)
            try:
                stop = round_.until_stop()
            finally:
                self._last_attempt = max([first, *round_.attempts])
                self.spans.end("the run was over before it ended")
                self.spans.save(self.ledger)
                round_.note_backups()
                round_.note_places()
            if stop.how == "failed":
                assert stop.failure is not None
                raise self._error(stop.failure, None if stop.task is None else graph.tasks[stop.task], graph)
        return round_.commits

    def close(self) -> None:
        """Take the slots back; nothing of attempts that were cancelled is left."""
        self.engine.close()
        self.loans.close()
        for slot in list(self._dying):
            self.bury(slot)

    def recall(self, slot: int, attempt: int) -> None:
        """Have what was sent ahead dropped."""
        cast("protocol.ReadsAhead", self.engine).recall(slot, attempt)

    def bury(self, slot: int) -> None:
        """A worker has ended: now nobody writes what was discarded before."""
        for attempt in self._dying.pop(slot, ()):
            self.ledger.discard(attempt)

    def _error(self, failure: Failure, task: messages.Task | None, graph: Graph) -> ShardwiseError:
        if failure.kind == "memory" and task is not None and self.memory is not None:
            most = policies.ceiling(self.memory, self.budgets.shares)
            failure = too_large(failure, task, graph.fragments, most, self.allowed)
        return to_error(failure, task)
