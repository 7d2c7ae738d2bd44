"""Least and greatest values of columns, as integers that sort as the values do."""

from __future__ import annotations

import numpy as np

from shardwise.compute.arrays.lanes import Array, reduce_columns
from shardwise.compute.buckets import order_key


def lows(batch: Array) -> list[int]:
    """The least value of every column: NaN only where there is nothing else, -0.0 before 0.0.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        Integers or floats; at least one row.

    Returns
    -------
    list of int
        Integers as they are, floats as order keys.

    Examples
    --------
    >>> lows(np.array([[3, -1], [2, 5]]))
    [2, -1]
    """
    if batch.dtype.kind != "f":
        return [int(value) for value in reduce_columns(batch, np.minimum, np.iinfo(batch.dtype).max).tolist()]
    return _keys(batch, reduce_columns(batch, np.fmin, np.nan), negative_zero=True)


def highs(batch: Array) -> list[int]:
    """The greatest value of every column: NaN where there is one, 0.0 after -0.0.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        Integers or floats; at least one row.

    Returns
    -------
    list of int
        Integers as they are, floats as order keys.

    Examples
    --------
    >>> highs(np.array([[3, -1], [2, 5]]))
    [3, 5]
    """
    if batch.dtype.kind != "f":
        return [int(value) for value in reduce_columns(batch, np.maximum, np.iinfo(batch.dtype).min).tolist()]
    return _keys(batch, reduce_columns(batch, np.maximum, -np.inf), negative_zero=False)


def _keys(batch: Array, values: Array, negative_zero: bool) -> list[int]:
    """Keys of extremes; of the two zeros, which are equal to NumPy, the one that is asked for if it occurs."""
    keys = order_key(values.astype(np.float64))
    for column in np.flatnonzero(values == 0):
        zeros = batch[batch[:, column] == 0, column]
        has = (np.signbit(zeros) == negative_zero).any()
        keys[column] = -1 if bool(has) == negative_zero else 0
    return [int(key) for key in keys.tolist()]
