"""When a run will be done, from the work that is done so far. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

LEAST_SHARE = 0.02
"""Share of the work this driver has to have done before a rate means anything."""

LEAST_STEP = 0.001
"""Seconds below which work over time is noise; what was done in them counts in the next step."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate of work that forgets: each second counts the less the longer it is ago.

    The memory is a third of the time that the run has taken, at least 5 s, so that early on it is nearly the plain
    mean (tasks come in lumps), and later it follows a run that becomes slower or faster.
    """

    total: float
    first: float  # work that was already done when this driver began
    work: float
    began: float
    now: float
    rate: float = 0.0  # work per second, weighted
    weight: float = 0.0  # how much of the weight of an endless run has been gathered: removes the bias of starting at 0

    @classmethod
    def begin(cls, now: float, total: float, done: float) -> Estimate:
        """Nothing known yet but how much there is to do and how much was done before."""
        return cls(total, done, done, now, now)

    def advance(self, now: float, work: float) -> Estimate:
        """The estimate after ``work`` in all was done by ``now``."""
        step = now - self.now
        if step < LEAST_STEP:
            return self
        memory = max(5.0, (now - self.began) / 3)
        fresh = -math.expm1(-step / memory)
        rate = self.rate + fresh * ((work - self.work) / step - self.rate)
        weight = self.weight + fresh * (1 - self.weight)
        return replace(self, work=work, now=now, rate=rate, weight=weight)

    @property
    def share(self) -> float:
        """Part of all work that is done, 0 to 1."""
        return min(1.0, self.work / self.total) if self.total > 0 else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds still to go at the rate of late; None while too little is done to tell."""
        ours = self.work - self.first
        if ours < LEAST_SHARE * (self.total - self.first) or self.rate <= 0:
            return None
        return max(0.0, self.total - self.work) * self.weight / self.rate
