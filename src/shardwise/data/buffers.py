"""Arrow arrays from NumPy arrays and back, without a copy where that can be.

``pa.array``, ``pa.scalar`` and ``to_numpy`` import pandas where it is installed, which takes a fifth of a second
(pyarrow 26): more than the rest of a small job. What every job does goes through here instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_ARROW: dict[str, pa.DataType] = {
    **{f"int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
    **{f"float{bits}": getattr(pa, f"float{bits}")() for bits in (16, 32, 64)},
}
_NUMPY = {kind: np.dtype(name) for name, kind in _ARROW.items()}


def from_numpy(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Make an Arrow array of numbers; where ``valid`` is false, null.

    Examples
    --------
    >>> from_numpy(np.array([1, 2]), np.array([True, False])).to_pylist()
    [1, None]
    """
    values = np.ascontiguousarray(values)
    bits = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(_ARROW[values.dtype.name], len(values), [bits, pa.py_buffer(values)])


def from_numbers(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make an Arrow array of Python numbers; None is null.

    Examples
    --------
    >>> from_numbers([1.5, None], pa.float64()).to_pylist()
    [1.5, None]
    """
    valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
    filled = values if valid.all() else [0 if value is None else value for value in values]
    return from_numpy(np.array(filled, _NUMPY[kind]), valid)


def from_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make an Arrow array of Python values of any type; None is null."""
    return from_numbers(values, kind) if kind in _NUMPY else pa.array(values, kind)


def to_numpy(column: pa.Array | pa.ChunkedArray, null: float = 0) -> npt.NDArray[Any]:
    """Give the numbers of a column, with ``null`` in place of nulls; read-only where nothing had to be copied.

    Examples
    --------
    >>> to_numpy(from_numbers([1, None], pa.int64()), null=7).tolist()
    [1, 7]
    """
    if isinstance(column, pa.ChunkedArray):
        parts = [to_numpy(chunk, null) for chunk in column.chunks]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, _NUMPY[column.type]), *parts])
    if not len(column):
        return np.empty(0, _NUMPY[column.type])
    stop = column.offset + len(column)
    values = np.frombuffer(column.buffers()[1], _NUMPY[column.type], stop)[column.offset :]
    return np.where(is_valid(column), values, values.dtype.type(null)) if column.null_count else values


def is_valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Tell which values are not null.

    Examples
    --------
    >>> is_valid(from_numbers([1, None], pa.int64())).tolist()
    [True, False]
    """
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    validity, stop = array.buffers()[0], array.offset + len(array)
    if validity is None:  # of type null
        return np.zeros(len(array), np.bool_)
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little", count=stop)
    return bits[array.offset :].astype(np.bool_)
