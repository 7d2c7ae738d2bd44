"""How many steps of the interpreter a row costs: the functions called on a few rows of the first batch, step by step.

A function that works on whole columns takes the same steps for 256 rows as for 1280; one that loops over rows does not.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from shardwise.compute import guarding
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.guard import take
from shardwise.compute.operations import Map, functions
from shardwise.compute.task import TaskSpec

if TYPE_CHECKING:
    from shardwise.plan.work import Work

FEW, MANY = 256, 1280
"""Rows that functions are called on."""


def steps_of_a_row(work: Work) -> float:
    """Lines of Python that one more row costs, in the functions of ``map``; 0 where that cannot be told.

    Classes are left out, as building them may take long, and so is what fails on a part of a batch.
    """
    pipeline = work.pipeline
    maps = any(isinstance(op, Map) for op in pipeline.operations)
    if not maps or sys.gettrace() is not None or any(inspect.isclass(f.call) for f in functions(pipeline.operations)):
        return 0.0
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        attempt = ActiveAttempt(TaskSpec("steps", "steps", 0, 0, "", 0, 1, directory), None, lambda line: None)
        try:
            return _slope(work, attempt)
        except Exception:  # on part of a batch a function may fail; the run will tell if it does on a whole one
            return 0.0
        finally:
            attempt.close()


def _slope(work: Work, attempt: ActiveAttempt) -> float:
    pipeline = work.pipeline
    begin, _ = guarding.span(pipeline.operations, False)
    batch = next(iter(pipeline.source.read(0, 1)))
    for op in pipeline.operations[:begin]:
        batch = replace(batch, data=pipeline.apply(op, batch, attempt))
    most = min(MANY, len(batch.data))
    few = min(FEW, most // 5)
    if few < 1:
        return 0.0

    def call(rows: int) -> Callable[[], None]:
        part = replace(batch, data=take(batch.data, np.arange(rows)))

        def chain() -> None:
            at = part
            for op in pipeline.operations[begin:]:
                at = replace(at, data=pipeline.apply(op, at, attempt))

        return chain

    call(few)()  # imports and caches
    with open("/dev/null", "w") as nowhere, contextlib.redirect_stdout(nowhere):
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
