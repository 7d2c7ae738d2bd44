"""How a quantity grows with the size of its input: ``y = start + scale * n ** exponent``, fitted to measurements.

Sizes and quantities span orders of magnitude and their noise is relative, so the fit is least squares between
logarithms. For a given exponent and ratio of start to scale the best scale is a mean, and the best ratio is found on a
line; what is left is a curve over the exponent alone, its *profile* (variable projection: G. H. Golub and V. Pereyra,
"The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM Journal on
Numerical Analysis 10(2), 1973). The interval holds all exponents whose profile is not worse than Student's t allows
(profile t: D. M. Bates and D. G. Watts, "Nonlinear Regression Analysis and Its Applications", Wiley 1988, chapter 6).
So it is wide where a start-up hides the growth, where a straight line through logarithms would be sure and wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STEEPEST = 6.0
"""Exponents are looked for from 0 to this."""

CONFIDENCE = 0.95
"""Of every interval."""

LEAST_POINTS = 4
"""Start, scale and exponent are three unknowns: from fewer points than this nothing can be said."""

WIDEST = 0.5
"""An interval of exponents that is wider does not tell linear from quadratic."""

FLAT = 1.15
"""What grows less than this from the smallest size to the largest does not show how it grows."""

_STARTS = 41
_EXPONENTS = 25
_CURVES = 21


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity and the interval in which it lies with the probability ``CONFIDENCE``, if it goes on as it began."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """``scale * (start + (n / unit) ** exponent)``: one way to go through the measurements."""

    exponent: float
    start: float
    scale: float
    unit: float

    def at(self, size: float) -> float:
        """The quantity at a size."""
        return self.scale * (self.start + math.pow(size / self.unit, self.exponent))


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """What measurements say of growth.

    Parameters
    ----------
    best : Curve
        The likeliest.
    low, high : float
        Ends of the interval of the exponent.
    curves : tuple of Curve
        Over that interval, each the best of its exponent.
    noise : float
        Standard deviation of a measurement about the curve, as a share of it.
    reach : float
        How many of these a new measurement may be off (Student's t).
    doubt : str
        Why the exponent cannot be told; empty: it can.
    """

    best: Curve
    low: float
    high: float
    curves: tuple[Curve, ...]
    noise: float
    reach: float
    doubt: str = ""

    @property
    def exponent(self) -> float:
        """The likeliest exponent."""
        return self.best.exponent

    def at(self, size: float) -> Estimate:
        """The quantity at a size, measured or not."""
        middle = math.log(self.best.at(size))
        others = [math.log(curve.at(size)) for curve in (*self.curves, self.best)]
        noise = self.reach * self.noise
        below, above = (math.hypot(middle - min(others), noise), math.hypot(max(others) - middle, noise))
        return Estimate(math.exp(middle), math.exp(middle - below), math.exp(middle + above))

    def largest(self, most: float) -> int:
        """The largest size whose likeliest quantity is at most ``most``; 0 where there is none."""
        curve = self.best
        room = most / curve.scale - curve.start
        if room <= 0 or curve.exponent <= 0:
            return 0
        return math.floor(curve.unit * math.exp(math.log(room) / curve.exponent))


def fit_power_law(sizes: Sequence[float], values: Sequence[float], least_noise: float) -> PowerLaw | None:
    """Fit ``start + scale * n ** exponent``, with ``start`` and ``exponent`` at least 0.

    Parameters
    ----------
    sizes, values : sequence of float
        Measurements, all above 0.
    least_noise : float
        Relative error that a measurement has at least, however smooth they look together.

    Returns
    -------
    PowerLaw or None
        None where there are fewer than ``LEAST_POINTS`` different sizes.

    Examples
    --------
    >>> law = fit_power_law([1, 2, 4, 8, 16], [3.5, 4.9, 8.9, 17.1, 32.8], least_noise=0.01)
    >>> round(law.exponent, 1), law.low < 1 < law.high
    (1.0, True)
    """
    if len(set(sizes)) < LEAST_POINTS:
        return None
    fit = _Fit(np.asarray(sizes, float), np.log(np.asarray(values, float)))
    freedom = len(values) - 3
    best = fit.best()
    least = fit.misfit(best)
    noise = max(math.sqrt(least / freedom), least_noise)
    reach = student_t(freedom)
    most = least + (reach * noise) ** 2
    low, high = fit.edge(best, 0.0, most), fit.edge(best, STEEPEST, most)
    curves = tuple(fit.curve(exponent) for exponent in np.linspace(low, high, _CURVES))
    return PowerLaw(fit.curve(best), low, high, curves, noise, reach, _doubt(values, low, high))


def _doubt(values: Sequence[float], low: float, high: float) -> str:
    if max(values) < FLAT * min(values):
        return "it did not grow beyond its noise over these sizes: what grows is hidden behind a constant part"
    if high - low > WIDEST:
        return f"the exponent may lie anywhere from {low:.2f} to {high:.2f}: give more sizes, and larger ones"
    return ""


class _Fit:
    """Least squares between logarithms, for one exponent after another."""

    def __init__(self, sizes: np.ndarray, logs: np.ndarray) -> None:
        self._unit = float(np.exp(np.log(sizes).mean()))
        self._log_x = np.log(sizes / self._unit)
        self._logs = logs
        self._known: dict[float, tuple[float, float]] = {}

    def best(self) -> float:
        """The exponent with the least misfit, to three digits after the point and more."""
        low, high = 0.0, STEEPEST
        for _ in range(6):
            grid = np.linspace(low, high, _EXPONENTS)
            at = int(np.argmin([self.misfit(float(exponent)) for exponent in grid]))
            low, high = float(grid[max(0, at - 1)]), float(grid[min(len(grid) - 1, at + 1)])
        return (low + high) / 2

    def edge(self, best: float, end: float, most: float) -> float:
        """How far the exponent may go from the best towards an end before the misfit is more than ``most``."""
        inside, step = best, 1e-4
        while True:
            outside = best + math.copysign(min(step, abs(end - best)), end - best)
            if self.misfit(outside) > most:
                break
            if outside == end or step > STEEPEST:
                return end
            inside, step = outside, 2 * step
        for _ in range(20):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if self.misfit(middle) > most else (middle, outside)
        return inside

    def misfit(self, exponent: float) -> float:
        """Sum of squares of what is left at the best start."""
        return self._start(exponent)[0]

    def curve(self, exponent: float) -> Curve:
        """The best curve of an exponent."""
        start = self._start(float(exponent))[1]
        scale = float(np.exp((self._logs - self._shape(float(exponent), np.array([start]))[0]).mean()))
        return Curve(float(exponent), start, scale, self._unit)

    def _start(self, exponent: float) -> tuple[float, float]:
        """Least misfit, and the start (in units of the scale) that gives it."""
        if exponent not in self._known:
            self._known[exponent] = self._look_for_start(exponent)
        return self._known[exponent]

    def _look_for_start(self, exponent: float) -> tuple[float, float]:
        powers = exponent * self._log_x
        low, high = float(powers.min()) - math.log(1e4), float(powers.max()) + math.log(1e4)
        start, misfit = 0.0, self._misfits(exponent, np.zeros(1))[0]
        for _ in range(4):
            grid = np.linspace(low, high, _STARTS)
            misfits = self._misfits(exponent, np.exp(grid))
            at = int(np.argmin(misfits))
            if misfits[at] < misfit:
                start, misfit = math.exp(grid[at]), misfits[at]
            low, high = float(grid[max(0, at - 1)]), float(grid[min(_STARTS - 1, at + 1)])
        return float(misfit), start

    def _misfits(self, exponent: float, starts: np.ndarray) -> np.ndarray:
        left = self._logs - self._shape(exponent, starts)
        squares: np.ndarray = ((left - left.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        return squares

    def _shape(self, exponent: float, starts: np.ndarray) -> np.ndarray:
        """Logarithms of the curves with scale 1, a row for each start."""
        shape: np.ndarray = np.log(starts[:, None] + np.exp(exponent * self._log_x))
        return shape


def student_t(freedom: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors lie on each side of a mean in an interval of this confidence.

    Notes
    -----
    The distribution in closed form: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 26.7.3 and
    26.7.4; inverted by bisection.

    Examples
    --------
    >>> [round(student_t(freedom), 3) for freedom in (1, 2, 5, 30)]
    [12.706, 4.303, 2.571, 2.042]
    """
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """Probability that a variable with Student's distribution is between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    term, total = 1.0, 0.0
    for power in range(freedom % 2, freedom - 1, 2):  # cosines to the power of freedom's kind below freedom - 1
        total += term * math.cos(angle) ** power
        term *= (power + 1) / (power + 2)
    part = math.sin(angle) * total
    return 2 / math.pi * (angle + part) if freedom % 2 else part
