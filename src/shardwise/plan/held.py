"""Projected memory from what tasks of a sample held. Plain arithmetic, on the high side."""

from __future__ import annotations

import math

from shardwise.plan.memory import DRIVER_BASE
from shardwise.plan.sample import Sample
from shardwise.plan.work import CollectTo, Work
from shardwise.run.policies import WORKER_BASE

BARE = 40 << 20
"""Bytes of a worker that a process which imported Shardwise holds already: Python, and the modules of both."""

SHORT = 1.5
"""Tasks of up to so many times the least weight are of one length."""

MARGIN = 1.2
"""What was held is taken so many times: allocators differ from run to run."""

ALIKE = 0.9
"""Part of what short tasks held that has nothing to do with their length: libraries, buffers."""

GROWS = 1.05
"""What held no more than so many times as much as short tasks shows no growth: allocators differ as much."""

LINEAR = 0.5
"""What grows faster than with this power of the weight is taken to grow with the weight itself; what grows slower,
with a power that is as much higher: where the two would part, one megabyte more or less would decide."""

COPIES_OF_RESULT = 2
"""A collected result while it is put together: its parts, and the whole."""


LEAST = 0.4
"""What kernels hold in this process is taken to grow with this power of the weight at least: a sample is too short to
show what their pools fill with (docs/prediction.md has what it was and what followed),"""

FULL = 8
"""up to so many times the longest task tried: pools are full then."""


def of_worker(sample: Sample, weight: float, native: bool = False) -> int:
    """Bytes that a worker holds at most while it works on tasks of this weight.

    Beyond what short tasks held memory is taken to grow as it did from them to the longest one: with twice the power of
    the weight, as pools and tables of groups do, at most with the weight itself, as what keeps its data does. Where all
    is ``native``, it grows in this process even if the sample does not show it.

    Examples
    --------
    >>> from shardwise.plan.sample import Phase, Tried
    >>> tried = (Tried(1.0, 1.0, peak=100), Tried(2.0, 2.0, peak=150))
    >>> of_worker(Sample("local", 1, (Phase(1, 3.0, tried),)), weight=4.0)
    300
    >>> of_worker(Sample("inline", 1, (Phase(1, 1.0, (Tried(1.0, 1.0, peak=100),)),)), weight=4.0, native=True)
    208
    >>> of_worker(Sample("inline", 1, (Phase(1, 1.0, (Tried(1.0, 1.0, peak=100),)),), before=100), 4.0, native=True)
    120
    """
    tried = [(task.weight, task.peak) for task in sample.tried if task.peak]
    if not tried:
        return 0
    least, most = min(tried)[0], max(tried)[0]
    low, high = max(peak for w, peak in tried if w <= SHORT * least), max(peak for _, peak in tried)
    held = float(high)
    if high > GROWS * low and most > SHORT * least and weight > most:
        base = ALIKE * low
        power = math.log((high - base) / (low - base)) / math.log(most / least)
        linear = (high - low) / (most - least) * (weight - most)
        growth = (high - base) * ((weight / most) ** min(1.0, power / LINEAR) - 1)
        held += max(linear, growth) if power > LINEAR else growth
    if native and sample.engine == "inline" and weight > most:
        ours = max(0, high - sample.before)  # of what this process held before nothing grows
        held = max(held, high - ours + ours * min(weight / most, FULL) ** LEAST)
    return int(held * MARGIN)


def of_result(work: Work, sample: Sample, total: float) -> int:
    """Bytes of a result that is collected into this process."""
    if not isinstance(work.target, CollectTo):
        return 0
    weight = sum(task.weight for task in sample.tried)
    each = sum(task.out for task in sample.tried) / weight if weight else 0.0
    return int(each * total * COPIES_OF_RESULT)


def of_all(
    sample: Sample, engine: str, workers: int, weight: float, result: int, carried: int, native: bool = False
) -> int:
    """Bytes of all processes together at their highest.

    Parameters
    ----------
    weight : float
        Of the heaviest task.
    result : int
        Bytes of what is collected.
    carried : int
        Bytes of inputs in this process's memory, which workers share.
    native : bool
        Whether kernels do all the work.
    """
    one = of_worker(sample, weight, native)
    if engine == "inline":
        here = one if sample.engine == "inline" else int(sample.before * MARGIN) + one - BARE
        return max(here, int(sample.driver * MARGIN)) + result
    if sample.engine == "inline":  # what a task takes beyond what this process held before
        one = WORKER_BASE + max(0, one - int(sample.before * MARGIN))
    return _of_driver(sample, result, carried) + max(workers * one, int(sample.beside * MARGIN))


def of_host(
    sample: Sample,
    engine: str,
    workers: int,
    weight: float,
    result: int,
    carried: int,
    native: bool = False,
    *,
    cores: int,
) -> int:
    """Bytes of the host that holds most in a cluster of hosts with so many cores: one that is full of workers, or that
    of the driver, with what is collected. The other parameters are those of `of_all`."""
    driver = _of_driver(sample, result, carried)
    host = of_all(sample, engine, min(workers, cores), weight, result, carried, native) - driver
    return max(host, driver)


def _of_driver(sample: Sample, result: int, carried: int) -> int:
    # what it held before is the person's
    return DRIVER_BASE + int((sample.driver - sample.before) * MARGIN) + result + carried
