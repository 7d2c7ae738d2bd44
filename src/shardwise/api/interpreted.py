"""How many steps of the interpreter a row costs: the functions called on a few rows of the first batch, step by step.

A function that works on whole columns takes the same steps for 256 rows as for 1280; one that loops over rows does not.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from shardwise.compute import guarding
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.guard import take
from shardwise.compute.operations import Map, functions
from shardwise.compute.task import TaskSpec
from shardwise.plan.explain import VECTORISE, part_of_time
from shardwise.plan.graphs import source_stage_name

if TYPE_CHECKING:
    from shardwise.api.runs import RunLedger
    from shardwise.plan.sample import Sample
    from shardwise.plan.work import Work

MANY, PART = 1280, 5
"""Rows that functions are called on at most, and the part of them that they are called on before."""

SLOWEST_ROW = 0.001
"""A function that takes longer for a row, in seconds, is not called again only to count its steps."""

SECONDS = 0.1
"""What calling a function once more may take, where the steps are not counted."""


def sampled_steps(work: Work, ledger: RunLedger, sample: Sample) -> float:
    """``steps_of_a_row`` where functions take the time and do not take too long to ask, on a batch that a worker lived
    through."""
    computed = [task.compute / task.rows for phase in sample.warm for task in phase.tried if task.rows]
    done = ledger.committed(source_stage_name(work))
    if not computed or median(computed) > SLOWEST_ROW or work.guarded or not done:
        return 0.0
    if part_of_time(sample, "compute") < VECTORISE * part_of_time(sample, "read"):
        return 0.0
    return steps_of_a_row(work, done[0].first, median(computed))


def steps_of_a_row(work: Work, ordinal: int = 0, seconds: float = 0.0) -> float:
    """Lines of Python that one more row costs, in the functions of ``map``; 0 where that cannot be told.

    Classes are left out, as building them may take long, and so is what fails on a part of a batch.

    Parameters
    ----------
    work : Work
        Settled.
    ordinal : int
        Of a batch that functions have been called on already: what would end a process has ended another one.
    seconds : float
        That a row takes: the fewer are looked at.
    """
    pipeline = work.pipeline
    maps = any(isinstance(op, Map) for op in pipeline.operations)
    if not maps or sys.gettrace() is not None or any(inspect.isclass(f.call) for f in functions(pipeline.operations)):
        return 0.0
    most = int(min(MANY, SECONDS / seconds)) if seconds > 0 else MANY
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        attempt = ActiveAttempt(TaskSpec("steps", "steps", 0, 0, "", 0, 1, directory), None, lambda line: None)
        try:
            return _slope(work, attempt, ordinal, most)
        except (
            Exception,
            SystemExit,
        ):  # on part of a batch a function may fail; the run will tell if it does on a whole one
            return 0.0
        finally:
            attempt.close()


def _slope(work: Work, attempt: ActiveAttempt, ordinal: int, rows: int) -> float:
    pipeline = work.pipeline
    begin, _ = guarding.span(pipeline.operations, False)
    batch = next(iter(pipeline.source.read(ordinal, ordinal + 1)))
    for op in pipeline.operations[:begin]:
        batch = replace(batch, data=pipeline.apply(op, batch, attempt))
    most = min(rows, len(batch.data))
    few = most // PART
    if few < 1:
        return 0.0

    def call(rows: int) -> Callable[[], None]:
        part = replace(batch, data=take(batch.data, np.arange(rows)))

        def chain() -> None:
            at = part
            for op in pipeline.operations[begin:]:
                at = replace(at, data=pipeline.apply(op, at, attempt))

        return chain

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        call(few)()  # imports and caches
        return max(0.0, (_lines(call(most)) - _lines(call(few))) / (most - few))


def _lines(work: Callable[[], None]) -> int:
    """Lines of Python that are executed."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event in ("line", "call")
        return trace

    with _traced(trace):
        work()
    return count


@contextlib.contextmanager
def _traced(trace: Callable[..., Any]) -> Iterator[None]:
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)
