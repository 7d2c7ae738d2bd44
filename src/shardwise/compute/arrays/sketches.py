"""Filled buckets and HyperLogLog registers of columns: the same as of tables, so the estimates are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.arrays.lanes import Array
from shardwise.compute.buckets import SHIFT, order_key
from shardwise.compute.hashing import hash_array
from shardwise.compute.hyperloglog import RANKS, REGISTERS, estimate, register_and_rank

Buckets = dict[int, tuple[int, int, int]]
"""Bucket -> how many values, the least and the greatest (integers as they are, floats as order keys)."""


def filled_buckets(batch: Array) -> list[Buckets]:
    """Sort the values of every column into buckets.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        Integers or floats; at least one row.

    Returns
    -------
    list of dict
        One per column, in order of the buckets.

    Examples
    --------
    >>> [*filled_buckets(np.array([[5], [7], [5]]))[0].values()]
    [(2, 5, 5), (1, 7, 7)]
    """
    return [_filled(batch[:, column]) for column in range(batch.shape[1])]


def _filled(column: Array) -> Buckets:
    if column.dtype.kind == "f":
        values = np.sort(order_key(column))
        buckets = values >> SHIFT
    else:
        values = np.sort(column)
        buckets = order_key(values.astype(np.float64)) >> SHIFT
    firsts = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]])
    lasts = np.r_[firsts[1:], len(values)] - 1
    counts = lasts - firsts + 1
    filled = zip(counts.tolist(), values[firsts].tolist(), values[lasts].tolist())
    return dict(zip(buckets[firsts].tolist(), filled))


def merge_buckets(a: Any, b: Any) -> Buckets:
    """The buckets of both."""
    both = dict(a)
    for bucket, (count, low, high) in b.items():
        if bucket in both:
            before = both[bucket]
            both[bucket] = (before[0] + count, min(before[1], low), max(before[2], high))
        else:
            both[bucket] = (count, low, high)
    return {bucket: both[bucket] for bucket in sorted(both)}


def registers(batch: Array) -> list[bytes]:
    """Fill the HyperLogLog registers of every column.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        Integers or floats.

    Returns
    -------
    list of bytes
        16384 per column.
    """
    found = []
    for column in range(batch.shape[1]):
        seen = np.zeros(REGISTERS, np.uint8)
        np.maximum.at(seen, *register_and_rank(hash_array(pa.array(batch[:, column]))))
        found.append(seen.tobytes())
    return found


def merge_registers(a: Any, b: Any) -> bytes:
    """The greater of two, register by register."""
    return np.maximum(np.frombuffer(a, np.uint8), np.frombuffer(b, np.uint8)).tobytes()


def unique_estimate(seen: bytes) -> int:
    """How many different values filled the registers.

    Examples
    --------
    >>> unique_estimate(registers(np.arange(50)[:, None])[0])
    50
    """
    histogram = np.bincount(np.frombuffer(seen, np.uint8), minlength=RANKS).reshape(1, RANKS)
    return int(np.rint(estimate(histogram))[0])
