"""Seconds of a job as a law of the number of workers: Amdahl's and the Universal Scalability Law are both this sum.

``seconds(N) = parallel / N + serial + pairs * (N - 1)``, with contention ``serial / (parallel + serial)`` and coherency
``pairs / (parallel + serial)`` of the USL. Amdahl's law has no ``pairs``, and its contention is the serial fraction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.8
"""Probability that an interval covers."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval that covers it with probability ``LEVEL``; None: there was nothing to tell it from."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """The same as plain JSON values: without end is null."""
        return {name: _number(getattr(self, name)) for name in ("value", "low", "high")}


@dataclass(frozen=True, slots=True)
class TimeLaw:
    """``seconds(N) = parallel / N + serial + pairs * (N - 1)``.

    Examples
    --------
    >>> law = TimeLaw(parallel=8.0, serial=2.0, pairs=0.1)
    >>> law.seconds(4), law.contention, law.coherency
    (4.3, 0.2, 0.01)
    >>> law.peak, law.half
    (9, 6)
    """

    parallel: float
    serial: float
    pairs: float = 0.0

    def seconds(self, workers: int) -> float:
        """Of so many workers."""
        return self.parallel / workers + self.serial + self.pairs * (workers - 1)

    def speed_up(self, workers: int) -> float:
        """Times faster than one worker."""
        return self.one / self.seconds(workers)

    @property
    def one(self) -> float:
        """Seconds of one worker."""
        return self.parallel + self.serial

    @property
    def contention(self) -> float:
        """Of the USL; Amdahl's serial fraction."""
        return self.serial / self.one

    @property
    def coherency(self) -> float:
        """Of the USL."""
        return self.pairs / self.one

    @property
    def peak(self) -> int | None:
        """The number of workers that is fastest; None: each further one helps."""
        found = float(peaks(np.array([[self.parallel, self.serial, self.pairs]]))[0])
        if not math.isfinite(found):
            return None
        below = max(1, math.floor(found))
        return min((below, below + 1), key=lambda n: (self.seconds(n), n))

    @property
    def half(self) -> int | None:
        """The first number of workers whose efficiency is under 50 %; None: there is none."""
        found = float(halves(np.array([[self.parallel, self.serial, self.pairs]]))[0])
        return math.floor(found) + 1 if math.isfinite(found) else None


def seconds_of(parts: Floats, workers: int) -> Floats:
    """Seconds of so many workers, for rows of (parallel, serial, pairs), which may be out of bounds: nothing is faster
    than N lone workers side by side."""
    return np.asarray(np.maximum(parts @ basis(workers), parts[:, :2].sum(axis=1) / workers))


def basis(workers: float | Floats) -> Floats:
    """What parallel, serial and pairs are multiplied by."""
    counts = np.asarray(workers, dtype=np.float64)
    return np.stack([1 / counts, np.ones_like(counts), counts - 1], axis=-1)


def peaks(parts: Floats) -> Floats:
    """Where ``parallel / N + pairs * N`` is least; infinite without pairs."""
    parallel, _, pairs = np.maximum(parts, 0).T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.sqrt(parallel / pairs)
    return np.where(parallel == 0, 1.0, found)


def halves(parts: Floats) -> Floats:
    """Where N workers take as much time together as two lone ones: the positive root of
    ``pairs N^2 + (serial - pairs) N = parallel + 2 serial``; infinite where there is none. A hair more than that, so
    that a whole root is not rounded down."""
    parallel, serial, pairs = np.maximum(parts, 0).T
    enough = parallel + 2 * serial
    # The form of the root that loses no digits, and is right without pairs, too.
    slope = serial - pairs
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray((1 + 1e-9) * 2 * enough / (slope + np.sqrt(slope**2 + 4 * pairs * enough)))


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
