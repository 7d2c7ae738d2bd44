"""Sums of columns: a fixed-order NumPy sum inside one batch, exact between batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from shardwise.compute.arrays.lanes import Array, reduce_columns
from shardwise.compute.arrays.units import to_units

Total = tuple[int, float]
"""The sum of what is finite (floats: in units; integers: as it is), and the sum of what is not: 0, +-inf or NaN."""


def totals(batch: Array) -> list[Total]:
    """Sum every column of a batch.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        Integers or floats; at least one row.

    Returns
    -------
    list of (int, float)
        One total per column.

    Examples
    --------
    >>> totals(np.array([[1, 2**62], [2, 2**62]]))
    [(3, 0.0), (9223372036854775808, 0.0)]
    """
    if batch.dtype.kind != "f":
        return [(total, 0.0) for total in integer_sums(batch)]
    with np.errstate(over="ignore", invalid="ignore"):
        sums = reduce_columns(batch, np.add, 0.0, np.float64)
    return [
        (to_units(total), 0.0) if math.isfinite(total) else _odd_total(batch[:, column].astype(np.float64))
        for column, total in enumerate(sums.tolist())
    ]


def integer_sums(batch: Array) -> list[int]:
    """Sum columns of integers or booleans without ever wrapping; a batch has fewer than 2**31 rows."""
    if batch.dtype.itemsize < 8:
        return [int(total) for total in reduce_columns(batch, np.add, 0, np.int64).tolist()]
    high = reduce_columns(batch >> 32, np.add, 0, np.int64).tolist()
    low = reduce_columns(batch & 0xFFFFFFFF, np.add, 0, np.int64).tolist()
    return [(above << 32) + below for above, below in zip(high, low)]


def _odd_total(values: Array) -> Total:
    """A column with NaN or infinities, or whose sum leaves the range of floats on the way."""
    finite = np.isfinite(values)
    with np.errstate(over="ignore", invalid="ignore"):
        odd = float(values[~finite].sum()) if not finite.all() else 0.0
        rest = values[finite].reshape(-1, 1)
        total = float(reduce_columns(rest, np.add, 0.0)[0]) if len(rest) else 0.0
    if math.isfinite(total):
        return to_units(total), odd
    return sum(map(to_units, rest[:, 0].tolist())), odd


def merge_totals(a: Any, b: Any) -> Total:
    """Add two totals: exactly, so in any order."""
    return a[0] + b[0], a[1] + b[1]
