"""What a task will cost, from tasks that were tried: ``a + b weight`` seconds, times what neighbours cost, and chance.

Intercept and slope are least squares under ``a, b >= 0`` (Lawson and Hanson, "Solving Least Squares Problems", 1974:
with two unknowns the best of the corners). What ``n`` busy workers cost each other is linear in ``n`` (Gunther's
contention). What is left is chance, log-normal, as durations are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean, stdev

from shardwise.plan.sample import Phase, Sample, Tried

UNKNOWN_SPREAD = 0.25
"""Relative doubt for each thing that could not be measured: how tasks differ, what warm ones cost, short and long."""

LEAST_SPREAD = 0.02
"""No machine repeats itself more exactly."""

FAR = 8.0
"""So many times the longest task that was tried are still near it: what was fitted holds there."""

ONE_LENGTH = 0.8
"""Where all tasks tried were of one length, what they cost may be their own as well as their data's: of a task that is
so far away the tenth part of the cases takes less than (times as far) to the power of minus this."""

BENDS = 0.1
"""Logarithm by which a line that fits may be off for each factor of e beyond what is near, as costs are no lines."""

T80 = (3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356, 1.350, 1.345, 1.341)
"""Student's t, two-sided 80 %, for 1, 2, ... degrees of freedom."""

T80_MANY = 1.2816


@dataclass(frozen=True, slots=True)
class Costs:
    """What a task of the stage that reads the source costs.

    Parameters
    ----------
    fixed : float
        Seconds of a task, whatever it reads.
    each : float
        Seconds for each unit of weight.
    crowding : float
        Part that each further busy worker adds: 0 where they do not meet, 1 where two are as slow as one.
    spread : float
        Standard deviation of the logarithm of a task's time around this.
    doubt : float
        Relative half width of the 80 % interval of the mean.
    between : float
        Seconds from the end of a task to the next one in its slot.
    longest : float
        Weight of the longest task that was tried; 0: all lengths are as good.
    hidden : float
        Seconds for each unit of weight that ``each`` could be more or less by chance.
    alike : bool
        Whether all that was tried had one length.
    """

    fixed: float
    each: float
    crowding: float = 0.0
    spread: float = LEAST_SPREAD
    doubt: float = 0.0
    between: float = 0.0
    longest: float = 0.0
    hidden: float = 0.0
    alike: bool = False

    def far(self, weight: float) -> tuple[float, float]:
        """Logarithms by which a task of this weight may take less or more than ``seconds`` because nothing nearly as
        long was tried: 0 where it was.

        Examples
        --------
        >>> Costs(0.1, 1.0, longest=2.0).far(16.0)
        (0.0, 0.0)
        >>> [round(part, 2) for part in Costs(0.0, 1.0, longest=2.0, alike=True).far(16_000.0)]
        [5.53, 0.69]
        """
        way = math.log(max(1.0, weight / (FAR * self.longest))) if self.longest else 0.0
        if not way:
            return 0.0, 0.0
        most = ONE_LENGTH * way  # less, as if it were all a task's own
        if self.alike:
            return most, BENDS * way
        by_chance = self.hidden * weight / max(self.seconds(weight), 1e-9)
        less = min(most, -math.log1p(-by_chance)) if by_chance < 1 else most
        return less + BENDS * way, math.log1p(by_chance) + BENDS * way

    def seconds(self, weight: float, busy: int = 1) -> float:
        """Mean seconds of a task while so many workers are busy, itself among them."""
        return (self.fixed + self.each * weight) * (1 + self.crowding * (busy - 1))

    def times(self, factor: float) -> Costs:
        """The same, all of it slower or faster."""
        return replace(self, fixed=self.fixed * factor, each=self.each * factor, hidden=self.hidden * factor)

    def drawn(self, weight: float, busy: int, chance: Random) -> float:
        """Seconds of one task, by chance, and until its slot has the next."""
        mean = self.seconds(weight, busy)
        return mean * math.exp(chance.gauss(-(self.spread**2) / 2, self.spread)) + self.between


def fit(sample: Sample) -> Costs:
    """Costs from a sample.

    Raises
    ------
    ValueError
        Nothing was tried.

    Examples
    --------
    >>> tried = tuple(Tried(weight, 0.1 + 2.0 * weight) for weight in (1.0, 3.0, 2.0))
    >>> costs = fit(Sample("local", 1, (Phase(1, 12.3, tried),)))
    >>> round(costs.fixed, 6), round(costs.each, 6)
    (0.1, 2.0)
    """
    phases = sample.warm
    if not any(phase.tried for phase in phases):
        raise ValueError("nothing was tried")
    crowding = _crowding(phases)
    alone = [(t.weight, t.seconds / (1 + crowding * (p.busy - 1))) for p in phases for t in p.tried]
    fixed, each = line(alone)
    errors = [math.log(seconds / max(fixed + each * weight, 1e-9)) for weight, seconds in alone if seconds > 0]
    spread = max(LEAST_SPREAD, stdev(errors)) if len(errors) > 1 else UNKNOWN_SPREAD
    weights = [weight for weight, _ in alone]
    alike = not _differ(weights)
    unknown = [all(phase.cold for phase in phases), alike]
    doubt = _t80(len(errors) - 1) * spread / math.sqrt(max(1, len(errors))) + UNKNOWN_SPREAD * sum(unknown)
    chance = T80_MANY * spread * fmean(seconds for _, seconds in alone)
    hidden = 0.0 if alike or max(weights) == min(weights) else chance / (max(weights) - min(weights))
    return Costs(fixed, each, crowding, spread, doubt, longest=max(weights), hidden=hidden, alike=alike)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope, neither negative, with the least squares of errors relative to the weight, long tasks
    counting for as much as the short ones that they could be cut into: chance evens out inside of them.

    Where all weights are nearly the same, everything is put down to the weight: a task is taken to cost what its data
    costs, as larger ones will for the most part.

    Examples
    --------
    >>> line([(1.0, 2.0), (1.0, 4.0)])
    (0.0, 3.0)
    """
    usable = [(weight, seconds) for weight, seconds in points if weight > 0]
    if not usable:
        return fmean(seconds for _, seconds in points), 0.0
    weights, times = [w for w, _ in usable], [s for _, s in usable]
    proportional = 0.0, sum(times) / sum(weights)
    if not _differ(weights):
        return proportional
    paces, inverses = [s / w for w, s in usable], [1 / w for w in weights]
    constant = sum(paces) / sum(inverses), 0.0
    centre = len(weights) / sum(weights)  # mean of the inverses, weighted as the errors are
    along = sum(w * (x - centre) ** 2 for w, x in zip(weights, inverses))
    fixed = sum(w * (x - centre) * y for w, x, y in zip(weights, inverses, paces)) / along
    free = fixed, proportional[1] - fixed * centre
    candidates = [found for found in (proportional, constant, free) if min(found) >= 0]
    return min(candidates, key=lambda found: sum((found[1] * w + found[0] - s) ** 2 / w for w, s in usable))


def _differ(weights: Sequence[float]) -> bool:
    """Whether weights differ so much that what a task costs can be told from what its data costs."""
    return max(weights) >= 1.5 * min(weights)


def _crowding(phases: Sequence[Phase]) -> float:
    """What a further busy worker costs: with which the tasks of all phases lie closest to one line. 0 where only one
    number of workers was tried."""
    points = [(t.weight, t.seconds, p.busy - 1) for p in phases for t in p.tried if t.seconds > 0]
    if len({others for _, _, others in points}) < 2:
        return 0.0

    def error(crowding: float) -> float:
        alone = [(weight, seconds / (1 + crowding * others)) for weight, seconds, others in points]
        fixed, each = line(alone)
        return sum(weight * math.log(seconds / (fixed + each * weight)) ** 2 for weight, seconds in alone)

    best = 0.0
    for step in (0.1, 0.01, 0.001):
        around = (best + step * k for k in range(-10, 31 if step == 0.1 else 11))
        best = min((c for c in around if c >= 0), key=error)
    return best


def _t80(freedom: int) -> float:
    if freedom < 1:
        return T80[0]
    return T80[freedom - 1] if freedom <= len(T80) else T80_MANY


def mean_of(tried: Sequence[Tried], name: str) -> float:
    """Mean of a measure over tasks.

    Examples
    --------
    >>> mean_of([Tried(1.0, 2.0), Tried(1.0, 4.0)], "seconds")
    3.0
    """
    return fmean(float(getattr(task, name)) for task in tried) if tried else 0.0
