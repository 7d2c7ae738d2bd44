"""Which part of the data is carried out by different numbers of workers, and in how many tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shardwise.errors import UsageError
from shardwise.plan.work import Work

TASKS_PER_WORKER = 4
"""Tasks of a sample for each of the most workers, at least."""

MOST_TASKS_PER_WORKER = 16
"""Not more of them only so that every number of workers divides them."""

SHARE = 0.03
"""Of the data, unless more is needed for the tasks."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first ``units`` units of the data (a unit: what cannot be divided between two tasks), in ``tasks`` tasks."""

    units: int
    tasks: int
    unit: int
    total: int  # ordinals of all of the data

    @property
    def end(self) -> int:
        """Ordinals of the sample."""
        return min(self.total, self.units * self.unit)

    @property
    def share(self) -> float:
        """Of the data, in ordinals."""
        return self.end / self.total

    def larger(self, times: float) -> Sample:
        """As many tasks, each so many times as long, as far as there is data."""
        each = max(1, min(math.ceil(self.units / self.tasks * times), self.total // (self.tasks * self.unit)))
        return replace(self, units=max(self.units, self.tasks * each))

    def part(self, tasks: int) -> Sample:
        """Its first tasks."""
        return replace(self, units=max(1, self.units * tasks // self.tasks), tasks=tasks)


def sample_of(work: Work, workers: Sequence[int], share: float | None) -> Sample:
    """As much data as keeps the most workers busy.

    Raises
    ------
    UsageError
        There is less than a task for each of them.
    """
    total = sum(fragment.batches for fragment in work.pipeline.source.fragments)
    unit, most = work.part_batches, max(workers)
    units = -(-total // unit)
    allowed = units if share is None else min(units, max(1, -(-int(total * share + 0.5) // unit)))
    if allowed < most:
        what = "the data has" if share is None else f"the first {share:.3g} of the data has"
        things = f"{allowed} {'task' if allowed == 1 else 'tasks'} at most"
        fix = "make batches smaller where data is read (batch_rows)" if allowed == units else "take more: --first"
        raise UsageError(f"{what} {things}, so {most} workers would wait", f"give fewer --workers, or {fix}")
    tasks = _tasks(workers, allowed)
    wanted = allowed if share is not None else max(tasks, math.ceil(units * SHARE))
    return Sample(tasks * min(allowed // tasks, -(-wanted // tasks)), tasks, unit, total)


def _tasks(workers: Sequence[int], allowed: int) -> int:
    """How many: a multiple of every number of workers, where that is not too many; else of the largest."""
    most = max(workers)
    step = math.lcm(*workers)
    if step > min(MOST_TASKS_PER_WORKER * most, allowed):
        step = most
    return step * max(1, min(-(-TASKS_PER_WORKER * most // step), allowed // step))
