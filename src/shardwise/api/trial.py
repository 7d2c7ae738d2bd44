"""The first tasks of a job, in this process and under a clock: what its functions cost decides where the rest runs.

Starting worker processes takes longer than many a job. So where nothing asks for a process (no engine, number of
workers, limit of memory or time), tasks are tried here first, small ones, then larger ones. As long as all that is
left would be done here before workers could have helped, it goes on; else the rest goes to workers. What was tried is
committed like any other task.

A task that takes much longer than it should is given up: a signal ends it, as a time-out ends one in a worker. Where
there is no such signal (not in the main thread, or the program uses it) nothing is tried. What became of a task that
the signal struck does not count, whatever it is: code on its way may take the signal for an error of its own.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from shardwise.compute.execute import PickledProgram, execute
from shardwise.compute.machine import usable_cores
from shardwise.compute.operations import functions
from shardwise.compute.packing import dump_program
from shardwise.compute.task import Outcome, TaskSpec
from shardwise.data.loans import Loans
from shardwise.plan.choose import START_SECONDS, Choice
from shardwise.plan.graphs import settle_graph, source_stage
from shardwise.plan.shards import gaps
from shardwise.run.commits import GATHER_SECONDS, Commit
from shardwise.run.failures import interrupted
from shardwise.run.spans import HERE, Spans

if TYPE_CHECKING:
    from shardwise.api.runs import RunLedger
    from shardwise.plan.work import Work
    from shardwise.run.graph import Stage

FIRST_SECONDS = 0.05
"""A first task that takes longer is given up: workers would do it sooner than this process all of them."""

LEAST_SECONDS = 0.02
"""Before so much was tried, the costs of a task hide those of an item."""

TASK_SECONDS = 0.05
"""Tasks are made so large that they take about this long."""

PATIENCE = 4
"""A task that takes so many times as long as the ones before would have is given up."""

GROWTH = 8
"""A task is at most so many times as large as the one before."""

RETRY_SECONDS = 0.01
"""So much later the clock strikes again where it struck in the middle of an import."""


class Trial:
    """Tries the first tasks of a job here.

    Parameters
    ----------
    ledger : RunLedger
        Where to commit.
    choice : Choice
        What the plan would do without a trial.

    Attributes
    ----------
    attempts : set of int
        Those made here.
    rest : float
        Seconds that one process would still take; infinite where that is not known.
    """

    def __init__(self, ledger: RunLedger, choice: Choice) -> None:
        self.attempts: set[int] = set()
        self.rest = math.inf
        self._ledger = ledger
        self._choice = choice
        self._open = choice.undecided and _signal_is_free()
        self._loans = Loans("process")
        self._pending: list[Commit] = []
        self._pending_since = 0.0
        self._spans = Spans(time.monotonic)
        self._host = socket.gethostname()

    def settle(self, work: Work, end: int) -> None:
        """Try to find out here what columns functions return."""
        graph, task = settle_graph(work.pipeline, end, self._ledger)
        if not graph.tasks[task].done and self._may_begin(work):
            stage = graph.stages["settle"]
            self._open = self._try(stage, self._program(stage), 0, end, FIRST_SECONDS)
            self._commit()

    def decide(self, work: Work, end: int) -> Choice:
        """Try tasks, perhaps to the end; returns who does what is left."""
        if not self._choice.undecided:
            return self._choice
        if not self._may_begin(work):
            return self._choice.beside("nothing was tried in this process")
        stage = source_stage(work)
        if self._ledger.lost(stage.name):
            return self._choice.beside("what was damaged is made again as it was")
        left = gaps([(c.first, c.last) for c in self._ledger.committed(stage.name)], end)
        try:
            return self._while_it_pays(stage, left, work.part_batches)
        finally:
            self._commit()

    def _may_begin(self, work: Work) -> bool:
        return self._open and all(_is_light(function) for function in functions(work.pipeline.operations))

    def _while_it_pays(self, stage: Stage, ranges: list[tuple[int, int]], unit: int) -> Choice:
        program = self._program(stage)
        left, each, spent, tasks, step = sum(b - a for a, b in ranges), 0.0, 0.0, 0, unit
        for at, stop in ranges:
            while at < stop:
                end = min(stop, at + step)
                started = time.monotonic()
                if not self._try(stage, program, at, end, max(FIRST_SECONDS, PATIENCE * each * (end - at))):
                    return self._choice.beside("a task tried in this process took too long, or failed")
                seconds = time.monotonic() - started
                spent, tasks, left = spent + seconds, tasks + 1, left - (end - at)
                each, at = max(seconds, 1e-9) / (end - at), end
                self.rest = rest = each * left
                sure = tasks > 1 and spent > LEAST_SECONDS  # the first one also imports, and meets cold caches
                if sure and rest * (1 - 1 / self._choice.workers) > START_SECONDS:
                    return self._choice.beside(f"tried in this process: {rest:.1f} s left for one process")
                step = max(unit, min(GROWTH * step, int(TASK_SECONDS / each)) // unit * unit)
        return self._choice.alone("inline: done before worker processes would have started")

    def _program(self, stage: Stage) -> PickledProgram:
        return PickledProgram(dump_program(stage.program, self._loans))

    def _try(self, stage: Stage, program: PickledProgram, first: int, last: int, limit: float) -> bool:
        """Execute a task; whether it succeeded."""
        ledger, attempt = self._ledger, self._ledger.next_attempt()
        self.attempts.add(attempt)
        spec = TaskSpec(
            run=ledger.id,
            stage=stage.name,
            task=0,
            attempt=attempt,
            program="",
            first=first,
            last=last,
            directory=ledger.attempt_directory(attempt, stage.output or None),
            root=ledger.url,
            threads=usable_cores(),
        )
        name = f"{stage.name}-{first}-{last}"
        self._spans.began(attempt, name, stage.name, HERE, self._host)
        outcome = self._execute(spec, program, limit)
        self._spans.tried(attempt, outcome)
        if outcome is None or outcome.failure is not None:
            ledger.discard(attempt)
            return False
        if outcome.logs:
            ledger.append_logs(name, attempt, outcome.logs, outcome.times)
        self._keep(Commit(stage.name, first, last, attempt, outcome.outputs, outcome.metrics))
        return True

    def _execute(self, spec: TaskSpec, program: PickledProgram, limit: float) -> Outcome | None:
        try:
            with _at_most(limit) as bound:
                outcome = execute(spec, program, interruptible=True)
            return None if bound.struck else outcome
        except _TooSlow:
            return None
        except KeyboardInterrupt:
            self._spans.end("interrupted")
            self._ledger.discard(spec.attempt)
            self._commit()
            raise interrupted() from None

    def _keep(self, commit: Commit) -> None:
        """Commit in groups, as the driver does."""
        now = time.monotonic()
        if not self._pending:
            self._pending_since = now
        self._pending.append(commit)
        if now - self._pending_since >= GATHER_SECONDS:
            self._commit()

    def _commit(self) -> None:
        if self._pending:
            group, self._pending = self._pending, []
            self._ledger.commit(group)
        self._spans.save(self._ledger)


class _TooSlow(KeyboardInterrupt):
    """Ends a task: like Ctrl-C, so that a function's ``except Exception`` does not take it for its own."""


def _signal_is_free() -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL and not any(signal.getitimer(signal.ITIMER_REAL))


@dataclass(slots=True)
class _Bound:
    """Whether time was up. What is raised then need not arrive: DuckDB makes an error of an expression of it, and a
    function's bare ``except`` an answer."""

    armed: bool = True
    struck: bool = False

    def strike(self, number: int, frame: FrameType | None) -> None:
        """End the task, but never in the middle of an import."""
        if self.armed and _imports(frame):
            signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        elif self.armed:
            self.struck = True
            raise _TooSlow


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[_Bound]:
    """Raise ``_TooSlow`` in the block when it takes longer."""
    bound = _Bound()
    signal.signal(signal.SIGALRM, bound.strike)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield bound
        finally:
            bound.armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _imports(frame: FrameType | None) -> bool:
    """A module that is imported by half cannot always be imported again."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _is_light(function: Any) -> bool:
    """A class may build something large, and what it receives may need a library that takes long to import."""
    library = function.receives
    return not inspect.isclass(function.call) and (library not in ("pandas", "polars") or library in sys.modules)
