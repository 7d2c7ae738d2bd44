"""Reductions over axis 0 of an array in an order that its shape alone decides, at the speed of reading it.

Rows of few columns are read as rows of many lanes: lane ``r * columns + c`` belongs to column c. Whole wide rows are
combined one after the other, each lane by itself, then the lanes of a column by halves. Nothing depends on threads,
on vector width or on how the array lies in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LEAST_LANES = 512
_BLOCK = 1 << 20


def lanes_per_column(columns: int) -> int:
    """A power of two.

    Examples
    --------
    >>> lanes_per_column(10), lanes_per_column(300)
    (64, 2)
    """
    lanes = 1
    while lanes * columns < _LEAST_LANES:
        lanes *= 2
    return lanes


def wide_blocks(batch: Array, padding: Any, size: int = _BLOCK) -> Iterator[Array]:
    """Cut a batch into blocks of wide rows.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        At least one column.
    padding
        What fills the last wide row.
    size : int, optional
        Elements of a block, roughly.

    Yields
    ------
    numpy.ndarray, shape (wide rows, lanes)
        Views of the batch, but for the last.
    """
    columns = batch.shape[1]
    width = lanes_per_column(columns) * columns
    flat = np.ascontiguousarray(batch).reshape(-1)
    step = max(1, size // width) * width
    whole = len(flat) // width * width
    for start in range(0, whole, step):
        yield flat[start : min(start + step, whole)].reshape(-1, width)
    if whole < len(flat):
        last = np.full((1, width), padding, flat.dtype)
        last[0, : len(flat) - whole] = flat[whole:]
        yield last


def fold_lanes(lanes: Array, columns: int, combine: np.ufunc) -> Array:
    """Combine the lanes of each column, by halves.

    Parameters
    ----------
    lanes : numpy.ndarray
        One wide row.
    columns : int
        Of the array.
    combine : numpy.ufunc
        Of two arguments.

    Returns
    -------
    numpy.ndarray
        One value per column.

    Examples
    --------
    >>> fold_lanes(np.arange(8), 2, np.add).tolist()
    [12, 16]
    """
    rows = lanes.reshape(-1, columns)
    while len(rows) > 1:
        half = len(rows) // 2
        rows = combine(rows[:half], rows[half:])
    return np.asarray(rows[0])


def reduce_columns(batch: Array, combine: np.ufunc, padding: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """Reduce each column of a batch.

    Parameters
    ----------
    batch : numpy.ndarray, shape (rows, columns)
        At least one row and one column.
    combine : numpy.ufunc
        Of two arguments.
    padding
        Its neutral element.
    dtype : data type, optional
        To compute in.

    Returns
    -------
    numpy.ndarray
        One value per column.

    Examples
    --------
    >>> reduce_columns(np.ones((1000, 3)), np.add, 0.0).tolist()
    [1000.0, 1000.0, 1000.0]
    """
    total = None
    for block in wide_blocks(batch, padding):
        part = combine.reduce(block.astype(dtype or block.dtype, copy=False), axis=0)
        total = part if total is None else combine(total, part)
    assert total is not None, "a batch has rows"
    return fold_lanes(total, batch.shape[1], combine)
