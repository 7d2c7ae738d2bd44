"""Sums of squares of columns: around a centre in one batch, exact between batches.

In a batch with centre c, a fixed-order pass gives D = sum(x - c) and Q = sum((x - c)**2), rounded. The sums of x and
x**2 that they stand for, n c + D and Q + 2 c D + n c**2, are rational; as integers of small units they are added and
subtracted without rounding, so nothing cancels, however far the mean is from zero.

References
----------
T. F. Chan, G. H. Golub, R. J. LeVeque: Algorithms for computing the sample variance (The American Statistician 37,
1983), of which this is the pairwise method with exact arithmetic between the parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from shardwise.compute.arrays.lanes import Array, fold_lanes, lanes_per_column, reduce_columns, wide_blocks
from shardwise.compute.arrays.totals import integer_sums
from shardwise.compute.arrays.units import UNIT, to_units

SQUARE_UNIT = 2400
"""Squares are counted in units of 2**-SQUARE_UNIT."""

_PAST_PRODUCT = SQUARE_UNIT - 2 * UNIT
_CANDIDATES = 255  # rows to choose a centre from
_BLOCK = 1 << 15  # elements whose deviations stay in the cache
_TINY, _SHRINK = 2.0**-900, 600


class Moments(NamedTuple):
    """Sum of x in units of 2**-1074, of x**2 in units of 2**-2400, and whether all values are finite."""

    first: int
    second: int
    finite: bool


def moments(batch: Array) -> list[Moments]:
    """Sum every column of a batch, and its squares.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        Integers or floats; at least one row.

    Returns
    -------
    list of Moments
        One per column.

    Examples
    --------
    >>> from shardwise.compute.exact.rounding import quotient
    >>> spread(moments(np.array([[1e9], [1e9 + 1]]))[0], rows=2, ddof=1, finish=quotient)
    0.5
    """
    centres = _centres(batch)
    with np.errstate(over="ignore", invalid="ignore"):
        first, second = _deviations(batch, centres)
    exact = [None] * batch.shape[1] if batch.dtype.kind == "f" else integer_sums(batch)
    found = []
    for column, centre in enumerate(centres.tolist()):
        plain = _Deviation(float(first[column]), float(second[column]))
        usual = math.isfinite(plain.first) and _TINY < plain.second < math.inf
        deviation = plain if usual else _careful(batch[:, column], centre)
        found.append(_around(len(batch), centre, deviation, exact[column]))
    return found


def merge_moments(a: Any, b: Any) -> Moments:
    """Add two: exactly, so in any order."""
    return Moments(a[0] + b[0], a[1] + b[1], a[2] and b[2])


def spread(found: Any, rows: int, ddof: int, finish: Callable[[int, int, int], float]) -> float | None:
    """The variance of all rows, or its root, rounded once; None for too few rows, NaN where a value is not finite.

    Parameters
    ----------
    found : Moments
        Of all rows.
    rows, ddof : int
        The squared deviations are divided by ``rows - ddof``.
    finish : callable
        ``quotient`` for the variance, ``root`` for the standard deviation.

    Returns
    -------
    float or None
        The variance or deviation.
    """
    first, second, finite = found
    if rows <= ddof:
        return None
    if not finite:
        return math.nan
    squares = max(0, rows * second - (first * first << _PAST_PRODUCT))
    return finish(squares, rows * (rows - ddof), -SQUARE_UNIT)


def _centres(batch: Array) -> Array:
    """A value of each column near its mean: then a constant column has no deviations at all."""
    with np.errstate(over="ignore", invalid="ignore"):
        means = reduce_columns(batch, np.add, 0.0, np.float64) / len(batch)
        candidates = batch[:: max(1, len(batch) // _CANDIDATES)]
        distances = np.abs(candidates.astype(np.float64) - means)
    nearest = np.argmin(np.where(np.isnan(distances), np.inf, distances), axis=0)
    return np.asarray(np.take_along_axis(candidates, nearest[None, :], axis=0)[0])


def _deviations(batch: Array, centres: Array) -> tuple[Array, Array]:
    """Sums of x - c and of (x - c)**2 by column, rounded."""
    columns = batch.shape[1]
    wide_centres = np.tile(centres, lanes_per_column(columns))
    first = second = np.zeros(len(wide_centres))
    for block in wide_blocks(batch, wide_centres, _BLOCK):
        apart = _apart(block, wide_centres)
        first = first + np.add.reduce(apart, axis=0)
        np.multiply(apart, apart, out=apart)
        second = second + np.add.reduce(apart, axis=0)
    return fold_lanes(first, columns, np.add), fold_lanes(second, columns, np.add)


def _apart(block: Array, centres: Array) -> Array:
    """x - c, as floats; of integers exactly where it fits."""
    if block.dtype.kind == "f":
        return np.subtract(block, centres, dtype=np.float64)
    if block.dtype.itemsize < 8:
        return (block.astype(np.int64) - centres.astype(np.int64)).astype(np.float64)
    rough = block.astype(np.float64) - centres.astype(np.float64)
    near = (block - centres).view(np.int64).astype(np.float64)  # modulo 2**64
    return np.where(np.abs(rough) < 2.0**62, near, rough)


class _Deviation(NamedTuple):
    """``first * 2**exponent`` and ``second * 4**exponent``."""

    first: float
    second: float
    exponent: int = 0


def _careful(column: Array, centre: Any) -> _Deviation | None:
    """Deviations of a column whose squares leave the range of floats, or that has none; None: not all finite."""
    values = column.astype(np.float64)
    if not np.isfinite(values).all():
        return None
    with np.errstate(over="ignore"):
        apart = values - float(centre)
    largest = float(np.abs(apart).max())
    exponent = _SHRINK if largest > 2.0**500 else max(-1000, math.frexp(largest)[1])
    if exponent == _SHRINK:
        apart = np.ldexp(values, -exponent) - math.ldexp(float(centre), -exponent)
    else:
        apart = np.ldexp(apart, -exponent)
    first, second = (float(reduce_columns(part.reshape(-1, 1), np.add, 0.0)[0]) for part in (apart, apart * apart))
    return _Deviation(first, second, exponent)


def _around(rows: int, centre: Any, deviation: _Deviation | None, exact: int | None) -> Moments:
    if deviation is None:
        return Moments(0, 0, False)
    middle = to_units(centre) if isinstance(centre, float) else centre << UNIT
    apart = _shifted(to_units(deviation.first), deviation.exponent)
    first = rows * middle + apart if exact is None else exact << UNIT
    products = 2 * middle * (first - rows * middle) + rows * middle * middle
    squares = _shifted(to_units(deviation.second), SQUARE_UNIT - UNIT + 2 * deviation.exponent)
    return Moments(first, squares + (products << _PAST_PRODUCT), True)


def _shifted(number: int, by: int) -> int:
    return number << by if by >= 0 else number >> -by
