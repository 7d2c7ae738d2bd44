"""Projected memory from what tasks of a sample held. Plain arithmetic, on the high side."""

from __future__ import annotations

from shardwise.plan.memory import DRIVER_BASE
from shardwise.plan.sample import Sample
from shardwise.plan.work import CollectTo, Work
from shardwise.run.policies import WORKER_BASE

MARGIN = 1.2
"""What was held is taken so many times: allocators differ from run to run."""

GROWS = 1.15
"""A task that held so many times as much as a shorter one shows that memory grows with the shard."""

COPIES_OF_RESULT = 2
"""A collected result while it is put together: its parts, and the whole."""


def of_worker(sample: Sample, weight: float) -> int:
    """Bytes that a worker holds at most while it works on tasks of this weight.

    Examples
    --------
    >>> from shardwise.plan.sample import Phase, Tried
    >>> tried = (Tried(1.0, 1.0, peak=100), Tried(2.0, 2.0, peak=150))
    >>> of_worker(Sample("local", 1, (Phase(1, 3.0, tried),)), weight=4.0)
    300
    """
    points = sorted((task.weight, task.peak) for task in sample.tried if task.peak)
    if not points:
        return 0
    (least, low), (most, high) = points[0], points[-1]
    held = float(max(peak for _, peak in points))
    if high > GROWS * low and most > 1.5 * least:
        held = max(held, high + (high - low) / (most - least) * (weight - most))
    return int(held * MARGIN)


def of_result(work: Work, sample: Sample, total: float) -> int:
    """Bytes of a result that is collected into this process."""
    if not isinstance(work.target, CollectTo):
        return 0
    weight = sum(task.weight for task in sample.tried)
    each = sum(task.out for task in sample.tried) / weight if weight else 0.0
    return int(each * total * COPIES_OF_RESULT)


def of_all(sample: Sample, engine: str, workers: int, weight: float, result: int, carried: int) -> int:
    """Bytes of all processes together at their highest.

    Parameters
    ----------
    weight : float
        Of the heaviest task.
    result : int
        Bytes of what is collected.
    carried : int
        Bytes of inputs in this process's memory, which workers share.
    """
    one = of_worker(sample, weight)
    if engine == "inline":
        here = one if sample.engine == "inline" else int(sample.before * MARGIN) + one - WORKER_BASE
        return max(here, int(sample.driver * MARGIN)) + result
    if sample.engine == "inline":  # what a task takes beyond what this process held before
        one = WORKER_BASE + max(0, one - int(sample.before * MARGIN))
    driver = DRIVER_BASE + int((sample.driver - sample.before) * MARGIN)  # what it held before is the person's
    return driver + max(workers * one, int(sample.beside * MARGIN)) + result + carried
