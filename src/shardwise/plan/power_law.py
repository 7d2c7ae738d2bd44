"""How a quantity grows with the size of its input: ``y = scale * (n ** exponent + start)``, fitted to measurements.

Sizes and quantities span orders of magnitude and their noise is relative, so the fit is least squares between
logarithms. For a given exponent and start the best scale is a mean, and the best start is found on a line; what is left
is a curve over the exponent alone, its *profile* (variable projection: G. H. Golub and V. Pereyra, "The differentiation
of pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM Journal on Numerical Analysis
10(2), 1973). The interval holds all exponents whose profile is not worse than Student's t allows (profile t: D. M.
Bates and D. G. Watts, "Nonlinear Regression Analysis and Its Applications", Wiley 1988, chapter 6). So it is wide where
a start-up hides the growth, where a straight line through logarithms would be sure and wrong.

What is beside the fastest part need not be a constant: n rows of input beside n squared of output. So the start may
also grow, by one of the powers in ``SLOWER``, as long as the fastest part is the larger one at the largest size. The
simplest that is not refuted is the likeliest; intervals hold what any of them allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

STEEPEST = 6.0
"""Exponents are looked for from 0 to this."""

CONFIDENCE = 0.95
"""Of every interval."""

LEAST_POINTS = 4
"""Start, scale and exponent are three unknowns: from fewer points than this nothing can be said."""

WIDEST = 0.5
"""An interval of exponents that is wider does not tell linear from quadratic."""

DRIFT = 0.05
"""No law is exact: beyond the largest size an estimate may be off by this share more for each factor of ten."""

FLAT = 1.15
"""What grows less than this from the smallest size to the largest does not show how it grows."""

SLOWER = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Powers by which the part beside the fastest one may grow; 0: it is a constant."""

APART = 0.5
"""The fastest part is faster by so much at least: two powers that are closer are one for all that can be measured."""

_STARTS = 41
_EXPONENTS = 25
_CURVES = 15


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity and the interval in which it lies with the probability ``CONFIDENCE``, if it goes on as it began."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """``scale * (x ** exponent + start * x ** slower)``, x = n / unit: one way to go through the measurements."""

    exponent: float
    start: float
    scale: float
    unit: float
    slower: float = 0.0

    def at(self, size: float) -> float:
        """The quantity at a size."""
        x = size / self.unit
        return self.scale * (math.pow(x, self.exponent) + self.start * math.pow(x, self.slower))


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
        How far a new measurement may be off the curve, as a share of it.
    measured : float
        The largest size that was measured.
    doubt : str
        Why the exponent cannot be told; empty: it can.
    """

    best: Curve
    low: float
    high: float
    curves: tuple[Curve, ...]
    noise: float
    measured: float
    doubt: str = ""

    @property
    def exponent(self) -> float:
        """The likeliest exponent."""
        return self.best.exponent

    def at(self, size: float) -> Estimate:
        """The quantity at a size, measured or not."""
        middle = math.log(self.best.at(size))
        others = [math.log(curve.at(size)) for curve in (*self.curves, self.best)]
        drift = DRIFT * max(0.0, math.log10(size / self.measured))
        below = math.hypot(middle - min(others), self.noise, drift)
        above = math.hypot(max(others) - middle, self.noise, drift)
        return Estimate(math.exp(middle), math.exp(middle - below), math.exp(middle + above))

    def largest(self, most: float) -> int:
        """The largest size whose likeliest quantity is at most ``most``; 0 where there is none."""
        return largest_below(self.best, most)


def largest_below(curve: Curve, most: float) -> int:
    """The largest size at which a curve is at most ``most``; 0 where there is none."""
    if curve.exponent <= 0 or curve.at(1) > most:
        return 0
    low, high = 1, 2
    while curve.at(high) <= most:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if curve.at(middle) <= most else (low, middle)
    return low


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
    >>> law = fit_power_law([1, 2, 4, 8, 16], [3.5, 5.5, 9.5, 17.5, 33.5], least_noise=0.01)
    >>> round(law.exponent, 1), law.low < 1 < law.high
    (1.0, True)
    """
    if len(set(sizes)) < LEAST_POINTS:
        return None
    fits = [_Fit(np.asarray(sizes, float), np.log(np.asarray(values, float)), slower) for slower in SLOWER]
    freedom = len(values) - 3
    least = min(fit.least for fit in fits)
    # What is seen of the noise is uncertain itself, and more so the fewer points there are; what is assumed is not.
    noise = max(
        student_t(freedom) * math.sqrt(least / freedom), NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * least_noise
    )
    most = least + noise**2
    fits = [fit for fit in fits if fit.least <= most]
    ends = [(fit.edge(0.0, most), fit.edge(STEEPEST, most)) for fit in fits]
    curves = tuple(curve for fit, (low, high) in zip(fits, ends) for curve in fit.curves(low, high))
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    best = fits[0].curves(fits[0].best, fits[0].best)[0]
    return PowerLaw(best, low, high, curves, noise, max(sizes), _doubt(best, sizes, low, high))


def _doubt(best: Curve, sizes: Sequence[float], low: float, high: float) -> str:
    if low <= 0 or best.at(max(sizes)) < FLAT * best.at(min(sizes)):
        return "it did not grow beyond its noise over these sizes: what may grow is hidden behind a constant part"
    if high - low > WIDEST:
        return f"the exponent may lie anywhere from {low:.2f} to {high:.2f}: give more sizes, and larger ones"
    return ""


class _Fit:
    """Least squares between logarithms, for many exponents at a time, beside one power of the slower part.

    ``best`` is the exponent with the least misfit, ``least`` that misfit: a sum of squares.
    """

    def __init__(self, sizes: np.ndarray, logs: np.ndarray, slower: float) -> None:
        self._unit = float(np.exp(np.log(sizes).mean()))
        self._log_x = np.log(sizes / self._unit)
        self._logs = logs
        self._slower = slower
        self._lowest = slower + APART if slower else 0.0
        self.best, self.least = self._look_for_best()

    def _look_for_best(self) -> tuple[float, float]:
        low, high = self._lowest, STEEPEST
        for _ in range(5):
            grid = np.linspace(low, high, _EXPONENTS)
            misfits = self._profile(grid)[0]
            at = int(np.argmin(misfits))
            low, high = float(grid[max(0, at - 1)]), float(grid[min(len(grid) - 1, at + 1)])
        return float(grid[at]), float(misfits[at])

    def edge(self, end: float, most: float) -> float:
        """How far the exponent may go from the best towards an end before the misfit is more than ``most``."""
        end = max(end, self._lowest)
        steps = np.minimum(1e-4 * 2.0 ** np.arange(20), abs(end - self.best))
        grid = self.best + math.copysign(1.0, end - self.best) * np.concatenate(([0.0], steps))
        for _ in range(3):
            over = self._profile(grid)[0] > most
            if not over.any():
                return float(grid[-1])
            first = max(1, int(np.argmax(over)))
            grid = np.linspace(grid[first - 1], grid[first], _EXPONENTS)
        return float(grid[0])

    def curves(self, low: float, high: float) -> list[Curve]:
        """The best curves of exponents from one to another."""
        exponents = np.linspace(low, high, _CURVES)
        starts = self._profile(exponents)[1]
        scales = np.exp((self._logs - self._shapes(exponents, starts[:, None])[:, 0]).mean(axis=1))
        return [
            Curve(float(k), float(start), float(scale), self._unit, self._slower)
            for k, start, scale in zip(exponents, starts, scales)
        ]

    def _profile(self, exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each exponent the least misfit, and the start that gives it."""
        ratios = (exponents - self._slower)[:, None] * self._log_x  # of the faster part to the slower one, with start 1
        low = ratios.min(axis=1) - math.log(1e4)
        high = ratios[:, int(np.argmax(self._log_x))] if self._slower else ratios.max(axis=1) + math.log(1e4)
        rows = np.arange(len(exponents))
        starts = np.zeros(len(exponents))
        misfits = self._misfits(exponents, starts[:, None])[:, 0]
        for _ in range(3):
            grid = np.linspace(low, high, _STARTS, axis=1)
            found = self._misfits(exponents, np.exp(grid))
            at = found.argmin(axis=1)
            better = found[rows, at] < misfits
            starts = np.where(better, np.exp(grid[rows, at]), starts)
            misfits = np.where(better, found[rows, at], misfits)
            low, high = grid[rows, np.maximum(0, at - 1)], grid[rows, np.minimum(_STARTS - 1, at + 1)]
        return misfits, starts

    def _misfits(self, exponents: np.ndarray, starts: np.ndarray) -> np.ndarray:
        left = self._logs - self._shapes(exponents, starts)
        squares: np.ndarray = ((left - left.mean(axis=2, keepdims=True)) ** 2).sum(axis=2)
        return squares

    def _shapes(self, exponents: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Logarithms of curves with scale 1: by exponent, by start (a row of starts for each exponent), by size."""
        fast = np.exp(exponents[:, None] * self._log_x)[:, None, :]
        slow = np.exp(self._slower * self._log_x)
        shapes: np.ndarray = np.log(fast + starts[:, :, None] * slow)
        return shapes


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
