"""Buckets of numbers whose bounds are fixed beforehand, so that counts of any two pieces of data can be added.

A float's bucket is made of the leading bits of its 64: the sign, the exponent and the top seven bits of the mantissa.
No logarithm is taken, so nothing is rounded: the bucket of a number is the same in SQL, in NumPy, on every machine.
Buckets sort as the numbers do, -0.0 before 0.0 and NaN last; each is at most 1/128 of its lower bound wide, so its
middle is within 1/256 of everything in it.

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
from typing import Any

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]

SHIFT = 45  # 52 bits of mantissa less the 7 that are kept
MOST_TICK_BUCKETS = 1 << 12

_ALL_BUT_SIGN = (1 << 63) - 1
_INFINITE_BUCKET = 0x7FF << 52 - SHIFT


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


def middle_key(bucket: int) -> int:
    """The order key of the number that stands for a bucket of floats (``key >> SHIFT``).

    Parameters
    ----------
    bucket : int
        From a key.

    Returns
    -------
    int
        Key of a number within 1/256 of every number in the bucket. It is zero for the two buckets of the zeros, which
        hold subnormal numbers below 1e-309 too; infinities and NaN have buckets of their own.

    Examples
    --------
    >>> key_value(middle_key(int(order_key(np.array([1.0]))[0]) >> SHIFT))
    1.00390625
    """
    if bucket < 0:
        return ~middle_key(~bucket)
    half = 0 if bucket == 0 or bucket >= _INFINITE_BUCKET else 1 << SHIFT - 1
    return (bucket << SHIFT) | half


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


def tick_middle(bucket: int, level: int) -> int:
    """The tick that stands for a bucket of ticks (``tick >> level``).

    Parameters
    ----------
    bucket, level : int
        The bucket.

    Returns
    -------
    int
        Within 2**level / 2 of every tick in it; at level 0 the tick itself.

    Examples
    --------
    >>> tick_middle(5, 0), tick_middle(5, 3)
    (5, 44)
    """
    return (bucket << level) + (1 << level) // 2


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
