"""What the first tasks of a job cost: measured, one worker at a time and all of them at once, and kept with the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from shardwise.plan.shards import Weights

SHARE = 0.05
"""Of the work, at most so much is tried before the plan is made."""

SECONDS = 5.0
"""And at most about so long, unless the person asks for more."""

SPREAD = 4
"""Tasks for each worker that are measured while all of them work."""


LONG = 16
"""Units of a long task where one worker is all there is."""

MIDDLE = 8
"""Units of the task between the short and the long one of kernels."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A task that was tried, and what it cost.

    Parameters
    ----------
    weight : float
        Of its part of the source (``plan.shards.Weights``).
    seconds : float
        By its worker's clock.
    read, compute, write : float
        Seconds inside it.
    cpu, queued : float
        Seconds of processors that its process took meanwhile, and for which it waited for one.
    rows, size : int
        Rows and bytes in memory that were read.
    out : int
        Bytes of its outputs.
    peak : int
        Most memory that its worker held, in bytes.
    """

    weight: float
    seconds: float
    read: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0
    rows: int = 0
    size: int = 0
    out: int = 0
    peak: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """Tasks that were tried together.

    Parameters
    ----------
    busy : int
        Workers that worked side by side.
    seconds : float
        From the first task sent to the last one committed.
    tried : tuple of Tried
    cold : bool
        The first tasks of their workers, which also import and meet cold caches.
    """

    busy: int
    seconds: float
    tried: tuple[Tried, ...]
    cold: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """All that was measured on an engine.

    Parameters
    ----------
    engine, workers
        Where.
    start : float
        Seconds until all workers were up and had been sent the program.
    merge : float
        Seconds of merging one more state, or of handing over one more output, at the end.
    before, driver : int
        Bytes of memory that this process held before, and at most.
    beside : int
        Bytes of memory that the processes below this one held in the end: workers, and what their engine needs.
    asked : float
        Share of the work that the person let be tried; 0: as usual.
    """

    engine: str
    workers: int
    phases: tuple[Phase, ...]
    start: float = 0.0
    merge: float = 0.0
    before: int = 0
    driver: int = 0
    beside: int = 0
    asked: float = 0.0

    @property
    def allowed(self) -> float:
        """Share of the work that could be tried."""
        return self.asked or SHARE

    @property
    def tried(self) -> tuple[Tried, ...]:
        """All tasks."""
        return tuple(task for phase in self.phases for task in phase.tried)

    @property
    def warm(self) -> tuple[Phase, ...]:
        """Phases whose tasks cost what others will; the cold ones only where there are no others."""
        return tuple(phase for phase in self.phases if not phase.cold and phase.tried) or self.phases

    @property
    def parallelism(self) -> float:
        """Processors that long tasks kept busy while their worker was the only one, at least 1; 0 where nothing tells.

        Examples
        --------
        >>> Sample("inline", 1, (Phase(1, 4.2, (Tried(1.0, 1.0, cpu=1.0), Tried(9.0, 3.0, cpu=4.5))),)).parallelism
        1.5
        """
        heaviest = max((task.weight for task in self.alone), default=0.0)
        long = [task for task in self.alone if task.weight >= heaviest / 2]
        return max(1.0, sum(task.cpu for task in long) / sum(task.seconds for task in long)) if long else 0.0

    @property
    def alone(self) -> list[Tried]:
        """Tasks beside which no other was under way, and of which it is known what processors did."""
        return [task for phase in self.warm if phase.busy == 1 for task in phase.tried if task.cpu]

    def facts(self, total: float) -> dict[str, Any]:
        """What a plan says of it: how many tasks, of which share of the data (weights add up to ``total``)."""
        weight = sum(task.weight for task in self.tried)
        seconds = round(sum(phase.seconds for phase in self.phases), 6)
        return {"tasks": len(self.tried), "share": weight / total if total else 1.0, "seconds": seconds}


@dataclass(frozen=True, slots=True)
class Trials:
    """Where to try: ranges of ordinals for each phase, spread over all gaps."""

    cold: tuple[tuple[int, int], ...] = ()
    alone: tuple[tuple[int, int], ...] = ()
    together: tuple[tuple[int, int], ...] = ()


def choose_trials(
    gaps: Sequence[tuple[int, int]],
    weights: Weights,
    workers: int,
    unit: int,
    share: float = SHARE,
    kernels: bool = False,
) -> Trials:
    """Where to try at most ``share`` of what is left, and at least one unit of it.

    Each worker first gets a unit that only warms it up. Of the rest a part is tried one task at a time, a short one and
    a long one, so that what a task costs can be told from what its data costs: all of it where there is one worker, a
    quarter for two, the less the more they are, as all others wait meanwhile. What is left is tried on all workers at
    once. Tasks of a phase lie evenly over the data.

    Parameters
    ----------
    gaps : sequence of (int, int)
        Ranges of ordinals that are not committed.
    weights : Weights
        Of the ordinals.
    workers : int
        That will work.
    unit : int
        Ordinals that a cut must be a multiple of.
    share : float
        Of the units that are left.
    kernels : bool
        Whether kernels do all the work: one worker then gets one task as long as can be, as they use their threads, and
        fill their buffers, only where there is enough to do.

    Examples
    --------
    >>> found = choose_trials([(0, 400)], Weights((0, 400), (1.0,)), workers=2, unit=1)
    >>> len(found.cold), len(found.alone), len(found.together)
    (2, 2, 4)
    >>> sum(b - a for part in (found.cold, found.alone, found.together) for a, b in part) <= 20
    True
    """
    units = [part for first, last in gaps for part in pairwise([*_starts(first, last, unit), last])]
    if not units:
        return Trials()
    allowed = max(1, int(len(units) * share))
    cold = workers if allowed >= workers + min(workers, 2) else 0  # of several, two together tell more than a warm one
    rest = allowed - cold
    single = rest if workers == 1 else max(1, rest // (2 * workers)) if rest > workers else 0
    long = _of_kernels if kernels and workers == 1 else _lengths
    alone, together = _of_two_lengths(long(single, 1), _lengths(rest - single, workers), rest, workers)
    found = _spread(units, [1] * cold + alone + together)
    edge = cold + len(alone)
    return Trials(tuple(found[:cold]), tuple(found[cold:edge]), tuple(found[edge:]))


def _of_two_lengths(alone: list[int], together: list[int], units: int, workers: int) -> tuple[list[int], list[int]]:
    """The same where lengths differ, or cannot; else one task alone is of two units, as tasks of one length say nothing
    of how what they cost divides between them and their data.

    Examples
    --------
    >>> _of_two_lengths([1, 1], [], 2, 1), _of_two_lengths([1], [1, 1], 4, 2), _of_two_lengths([1], [1, 1], 3, 2)
    (([2], []), ([2], [1, 1]), ([1], [1, 1]))
    """
    if set(alone + together) != {1} or units < 2 or (workers > 1 and units < workers + 2):
        return alone, together
    return [2], _lengths(units - 2, workers) if workers > 1 else []


def _lengths(units: int, workers: int) -> list[int]:
    """Lengths of tasks that make up at most so many units, for workers that take them side by side: at first as many of
    one unit as there are workers, then long ones, so that what a task costs can be told from what its data costs. Those
    are of one length, so that all workers are busy to the end. One worker gets few and longer ones.

    Examples
    --------
    >>> _lengths(3, 1), _lengths(18, 1), _lengths(6, 2), _lengths(40, 2)
    ([1, 2], [1, 17], [1, 1, 2, 2], [1, 1, 6, 6, 6, 6, 6, 6])
    """
    if units < 2 * workers:
        return [1] * min(units, workers)
    left = units - workers
    count = max(workers, min((SPREAD - 1) * workers, left // (5 if workers > 1 else LONG)))
    count -= count % workers
    return [1] * workers + [left // count] * count


def _of_kernels(units: int, workers: int) -> list[int]:
    """A short task, one in the middle, which tells how long the long one may be, and a long one.

    Examples
    --------
    >>> _of_kernels(72, 1), _of_kernels(12, 1)
    ([1, 8, 63], [1, 11])
    """
    if units < 3 * MIDDLE:
        return _lengths(units, workers)
    return [1, MIDDLE, units - MIDDLE - 1]


def _starts(first: int, last: int, unit: int) -> list[int]:
    """Where units begin inside a gap: at its own beginning, then at multiples."""
    return [first, *range((first // unit + 1) * unit, last, unit)]


def _spread(units: list[tuple[int, int]], lengths: list[int]) -> list[tuple[int, int]]:
    """Runs of units of these lengths, evenly over all, those of the same phase far from each other."""
    count = len(lengths)
    # the golden ratio sends one run after the other into the largest hole that is left
    order = sorted(range(count), key=lambda i: (i * 0.6180339887498949) % 1.0)
    room = len(units) - sum(lengths)
    places: dict[int, tuple[int, int]] = {}
    given = 0
    for number, which in enumerate(order):
        start = int(room * (number + 0.5) / count) + given
        stop = start + lengths[which]
        places[which] = _joined(units[start:stop])
        given += lengths[which]
    return [places[which] for which in range(count)]


def _joined(run: list[tuple[int, int]]) -> tuple[int, int]:
    """One range of units that follow each other; only the first ones where a gap lies between them."""
    first, last = run[0]
    for a, b in run[1:]:
        if a != last:
            break
        last = b
    return first, last
