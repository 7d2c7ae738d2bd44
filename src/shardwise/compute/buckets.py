"""Buckets of numbers whose bounds are fixed beforehand, so that counts of any two pieces of data can be added.

A float's bucket is made of the leading bits of its 64: the sign, the exponent and the top seven bits of the mantissa.
No logarithm is taken, so nothing is rounded: the bucket of a number is the same in SQL, in NumPy, on every machine.
Buckets sort as the numbers do, -0.0 before 0.0 and NaN last; each is at most 1/128 of its lower bound wide, so the
middle between any two numbers in it is within 1/256 of everything between them.

Ticks (of a clock) have no zero to be relative to. Their buckets are runs of 2**level ticks, with the lowest level at
which all the data occupy few enough buckets. A part of the data never needs a higher level than the whole, so counts
can be taken at a level that suits the part and coarsened later, and the level of the whole does not depend on how it
was cut.

References
----------
C. Masson, J. E. Rim, H. K. Lee: DDSketch, a fast and fully-mergeable quantile sketch with relative-error guarantees
(PVLDB 12, 2019), which has logarithmic buckets and mentions the bits of the float as a faster mapping.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]

SHIFT = 45  # 52 bits of mantissa less the 7 that are kept
MOST_TICK_BUCKETS = 1 << 12

_ALL_BUT_SIGN = (1 << 63) - 1


def order_key(values: npt.NDArray[np.floating[Any]]) -> Longs:
    """Turn floats into integers that sort as they do.

    Parameters
    ----------
    values : numpy.ndarray of float
        Any.

    Returns
    -------
    numpy.ndarray of int64
        Keys, from -infinity over -0.0 and 0.0 to infinity and NaN; ``key_value`` is the inverse.

    Examples
    --------
    >>> order_key(np.array([-np.inf, -0.0, 0.0, 5e-324])).tolist()
    [-9218868437227405313, -1, 0, 1]
    """
    bits = np.where(np.isnan(values), np.nan, values).astype(np.float64).view(np.int64)
    return np.asarray(np.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits))


def order_key_sql(value: str) -> str:
    """``order_key`` of a DOUBLE as SQL in DuckDB's dialect.

    Parameters
    ----------
    value : str
        SQL of type DOUBLE; it is written several times (DuckDB computes it once).

    Returns
    -------
    str
        SQL of type BIGINT; null where the value is.
    """
    one_nan = f"CASE WHEN isnan({value}) THEN CAST('nan' AS DOUBLE) ELSE {value} END"
    bits = f"CAST(CAST({one_nan} AS BIT) AS BIGINT)"
    return f"xor({bits}, ({bits} >> 63) & {_ALL_BUT_SIGN})"  # without a branch: twice as fast


def key_value(key: int) -> float:
    """The float of an order key.

    Parameters
    ----------
    key : int
        From ``order_key``.

    Returns
    -------
    float
        The number, to the bit.

    Examples
    --------
    >>> key_value(int(order_key(np.array([-1.5]))[0]))
    -1.5
    """
    bits = key if key >= 0 else key ^ _ALL_BUT_SIGN
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])


def lowest_level(ticks: Longs, most: int = MOST_TICK_BUCKETS) -> int:
    """The lowest level at which ticks occupy few enough buckets.

    Parameters
    ----------
    ticks : numpy.ndarray of int64
        Sorted.
    most : int, optional
        Buckets that may be occupied; at least 2.

    Returns
    -------
    int
        The least L such that ``ticks >> L`` has at most so many different values; at most 63.

    Examples
    --------
    >>> lowest_level(np.arange(100), most=25)
    2
    """
    if not len(ticks):
        return 0
    changed = (ticks[1:] ^ ticks[:-1]).view(np.uint64)
    return next(level for level in range(64) if 1 + np.count_nonzero(changed >> np.uint64(level)) <= most)


def nearest_rank(q: float, total: int) -> int:
    """The rank of a quantile: of the least value that at least a share ``q`` of the values do not exceed.

    Parameters
    ----------
    q : float
        From 0 to 1; taken as the decimal number that it is written as.
    total : int
        How many values there are.

    Returns
    -------
    int
        ``ceil(q * total)``, but at least 1.

    Examples
    --------
    >>> nearest_rank(0.1, 10), nearest_rank(0, 10), nearest_rank(0.11, 10)
    (1, 1, 2)
    """
    exact = Fraction(repr(float(q)))
    return max(1, -(-total * exact.numerator // exact.denominator))


def between(low: int, high: int, rank: int, total: int) -> int:
    """What stands for the value of a rank, known to lie in a bucket with these extremes.

    Parameters
    ----------
    low, high : int
        Least and greatest value in the bucket, as integers of their scale.
    rank, total : int
        The rank, and of how many values: the first and last are extremes of all.

    Returns
    -------
    int
        An extreme, or half-way between them.

    Examples
    --------
    >>> between(10, 15, 1, 100), between(10, 15, 2, 100), between(10, 15, 100, 100)
    (10, 12, 15)
    """
    if rank == 1:
        return low
    return high if rank == total else (low + high) // 2


def pick_ranks(starts: Longs, counts: Longs, ranks: Longs) -> Longs:
    """Find, in each of several runs of counted things, the one in which a rank falls.

    Parameters
    ----------
    starts : numpy.ndarray of int64
        Where each run begins in ``counts``; run after run without gaps.
    counts : numpy.ndarray of int64
        How often each thing occurs, in order; positive.
    ranks : numpy.ndarray of int64
        One per run, from 1 to the sum of its counts; anything where the run is empty.

    Returns
    -------
    numpy.ndarray of int64
        Index into ``counts``, one per run; anything where the run is empty.

    Examples
    --------
    >>> pick_ranks(np.array([0, 2]), np.array([3, 1, 5]), np.array([4, 5])).tolist()
    [1, 2]
    """
    totals = np.concatenate([[0], np.cumsum(counts)])
    return np.searchsorted(totals[1:], totals[starts] + ranks, side="left")
