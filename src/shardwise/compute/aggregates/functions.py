"""The public constructors of built-in aggregates. Which types each takes, and what comes out:

==============  ======================================================  ==============================================
aggregate       columns of                                              result
==============  ======================================================  ==============================================
``count``       any type                                                int64
``count_null``  any type                                                int64
``sum``         bool, integers                                          int64, or refused with the number
                floats                                                  float64, rounded once
                decimal(p, s)                                           decimal(38, s), or refused with the number
                duration                                                the same
``mean``        bool, integers, floats, decimals                        float64: the exact quotient, rounded once
                duration, time, timestamp                               the same, rounded to its unit, ties to even
                date                                                    timestamp of us
``var, std``    bool, integers, floats, decimals                        float64, rounded once
``cov, corr``   any two of these                                        float64, rounded once
``min, max``    all but nested                                          the same (of a dictionary: its values' type)
``argmin`` ...  all but nested                                          the same
``top_k``       all but nested                                          list of the same
``histogram``   integers, floats, decimals (compared as doubles)        struct of bins, below, above, nan
==============  ======================================================  ==============================================

Nulls are skipped. Where nothing is left, ``count`` is 0, ``top_k`` an empty list, all others null. Durations of ns are
refused, because DuckDB holds microseconds; so are decimals of more than 38 digits and float16.

NaN makes a sum, mean, var, std, cov or corr NaN; so do infinities of both signs in a sum or mean, and any infinity in
the others. Sums beyond the doubles are infinite. A sum of -0.0 alone is 0.0, as in DuckDB and in ``math.fsum``. For
``min`` and ``max``, NaN is greater than any number and -0.0 less than 0.0; where rows are chosen by another column the
two zeros are equal. ``corr`` is NaN where a column does not vary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from shardwise.compute.aggregates.base import Builtin, column_name
from shardwise.errors import UsageError

MAX_BINS = 10_000
MAX_K = 100_000


def count(column: str | None = None) -> Builtin:
    """Count rows, or a column's values that are not null.

    Examples
    --------
    >>> count().name, count("speed").name
    ('count', 'count_speed')
    """
    return Builtin("count", () if column is None else (column_name(column, "count"),))


def count_null(column: str) -> Builtin:
    """Count a column's nulls. NaN is none."""
    return Builtin("count_null", (column_name(column, "count_null"),))


def total(column: str) -> Builtin:
    """Sum a column, exactly, rounded once at the end. Public as ``sum``.

    Notes
    -----
    Integers are summed in 128 bits or more and never wrap: where the sum does not fit int64, the job ends with an error
    that gives the number.

    Examples
    --------
    >>> total("price").name
    'sum_price'
    """
    return Builtin("sum", (column_name(column, "sum"),))


def mean(column: str) -> Builtin:
    """Take the mean: the exact sum over the count, rounded once."""
    return Builtin("mean", (column_name(column, "mean"),))


def var(column: str, ddof: int = 1) -> Builtin:
    """Take the variance.

    Parameters
    ----------
    column : str
    ddof : int
        What is subtracted from the count in the divisor: 1 as in DuckDB, pandas and Polars; NumPy's default is 0.
        The result is null for ``ddof`` values or fewer.
    """
    return Builtin("var", (column_name(column, "var"),), (("ddof", _ddof(ddof)),))


def std(column: str, ddof: int = 1) -> Builtin:
    """Take the standard deviation: the root of the exact variance, rounded once. ``ddof`` as in `var`."""
    return Builtin("std", (column_name(column, "std"),), (("ddof", _ddof(ddof)),))


def minimum(column: str) -> Builtin:
    """Take the least value. Public as ``min``."""
    return Builtin("min", (column_name(column, "min"),))


def maximum(column: str) -> Builtin:
    """Take the greatest value. Public as ``max``."""
    return Builtin("max", (column_name(column, "max"),))


def argmin(column: str, by: str) -> Builtin:
    """Take the column's value in the row where ``by`` is least; of several such rows, the first.

    Rows where ``by`` is null do not count; the column's value may be null.
    """
    return Builtin("argmin", (column_name(column, "argmin"), column_name(by, "argmin", "by")))


def argmax(column: str, by: str) -> Builtin:
    """Take the column's value in the row where ``by`` is greatest (NaN is); of several such rows, the first."""
    return Builtin("argmax", (column_name(column, "argmax"), column_name(by, "argmax", "by")))


def top_k(column: str, k: int, by: str | None = None) -> Builtin:
    """Take the column's values in the k rows where ``by`` (or the column itself) is greatest, greatest first.

    Of equal ones, the first rows. Rows where ``by`` is null do not count.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise UsageError(f"top_k: k is {k!r}", f"give a whole number from 1 to {MAX_K}")
    columns = (column_name(column, "top_k"),) + (() if by is None else (column_name(by, "top_k", "by"),))
    return Builtin("top_k", columns, (("k", k),))


def histogram(
    column: str,
    bins: int | Sequence[float],
    range: tuple[float, float] | None = None,  # noqa: A002
) -> Builtin:
    """Count values in bins whose bounds are given beforehand.

    Parameters
    ----------
    column : str
    bins : int or sequence of float
        How many bins of equal width ``range`` is cut into, or the bounds of all bins, ascending.
    range : (float, float), optional
        Lower and upper end, where ``bins`` is a number.

    Notes
    -----
    A bin holds its lower bound and not its upper one; the last bin holds both, as in NumPy. What lies outside, and NaN,
    is counted apart: nothing is dropped but nulls.

    Examples
    --------
    >>> histogram("age", 2, (0, 100)).option("edges")
    (0.0, 50.0, 100.0)
    """
    if isinstance(bins, int):
        edges = _equal_bins(bins, range)
    elif range is not None:
        raise UsageError("histogram: bounds of all bins and a range exclude each other", "leave one out")
    else:
        edges = tuple(_number(edge, "histogram: a bound") for edge in bins) if _is_list(bins) else ()
    if not 2 <= len(edges) <= MAX_BINS + 1 or any(a >= b for a, b in itertools.pairwise(edges)):
        raise UsageError(
            f"histogram: {bins!r} gives no bins",
            f"give 1 to {MAX_BINS} bins, as ascending bounds or a number and range",
        )
    return Builtin("histogram", (column_name(column, "histogram"),), (("edges", edges),))


def cov(x: str, y: str, ddof: int = 1) -> Builtin:
    """Take the covariance of two columns over the rows where neither is null. ``ddof`` as in `var`."""
    return Builtin("cov", (column_name(x, "cov", "x"), column_name(y, "cov", "y")), (("ddof", _ddof(ddof)),))


def corr(x: str, y: str) -> Builtin:
    """Take Pearson's correlation of two columns over the rows where neither is null."""
    return Builtin("corr", (column_name(x, "corr", "x"), column_name(y, "corr", "y")))


def _ddof(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1000:
        raise UsageError(f"ddof is {value!r}", "give 1 (of a sample) or 0 (of all there is)")
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{what} is {value!r}", "give a finite number")
    return float(value) + 0.0


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes))


def _equal_bins(bins: int, ends: Any) -> tuple[float, ...]:
    """Bounds by NumPy's linspace, which meets both ends exactly."""
    import numpy as np

    if not _is_list(ends) or len(ends) != 2:
        raise UsageError("histogram: a number of bins needs a range", 'as in histogram("age", 10, range=(0, 100))')
    low, high = (_number(end, "histogram: an end of the range") for end in ends)
    if isinstance(bins, bool) or not 1 <= bins <= MAX_BINS:
        return ()
    return tuple(np.linspace(low, high, bins + 1).tolist())
