"""Arrow arrays from NumPy arrays and back, without a copy where that can be.

``pa.array``, ``pa.scalar`` and ``to_numpy`` import pandas where it is installed, which takes a fifth of a second
(pyarrow 26): more than the rest of a small job. What every job does goes through here instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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


def from_array(values: npt.NDArray[Any]) -> pa.Array:
    """Make an Arrow array of a NumPy array of one dimension: ``pa.array`` of it.

    Examples
    --------
    >>> from_array(np.array([1.5, 2.5])).type, from_array(np.array(["a"])).type
    (DataType(double), DataType(string))
    """
    if values.dtype == np.bool_ and values.ndim == 1:
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])
    plain = values.ndim == 1 and values.dtype.name in _ARROW and values.dtype.isnative
    return from_numpy(values) if plain else pa.array(values)


def from_values(values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array | pa.ChunkedArray:
    """Make an Arrow array of Python values; None is null: ``pa.array`` of them.

    Raises
    ------
    pyarrow.ArrowInvalid, OverflowError, UnicodeEncodeError
        As ``pa.array`` does.

    Examples
    --------
    >>> from_values(["a", None, "bc"]).to_pylist(), from_values([True, None]).type
    (['a', None, 'bc'], DataType(bool))
    """
    return from_values_of(set(map(type, values)), values, kind)


def from_values_of(
    kinds: set[type], values: Sequence[Any], kind: pa.DataType | None = None
) -> pa.Array | pa.ChunkedArray:
    """The same, where the types of the values are known."""
    if not len(values):
        return pa.nulls(0, kind)
    some = kinds - {type(None)}
    made = _MADE.get(next(iter(some))) if len(some) == 1 and "pandas" not in sys.modules else None
    if made is None or (kind is not None and kind != made[0]):
        return pa.array(values, kind)
    valid = None if some == kinds else np.array([value is not None for value in values])
    return made[1](values, valid, made[0])


Valid = npt.NDArray[np.bool_] | None


def _bits(flags: Valid) -> pa.Buffer | None:
    return None if flags is None else pa.py_buffer(np.packbits(flags, bitorder="little"))


def _bools(values: Sequence[bool | None], valid: Valid, kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [_bits(valid), _bits(np.array(values, np.bool_))])


def _numbers(values: Sequence[Any], valid: Valid, kind: pa.DataType) -> pa.Array:
    filled = values if valid is None else [0 if value is None else value for value in values]
    return from_numpy(np.fromiter(filled, _NUMPY[kind], len(values)), valid)


def _texts(values: Sequence[str | None], valid: Valid, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    texts = [value or "" for value in values]
    joined = "".join(texts)
    if joined.isascii():
        return _joined(list(map(len, texts)), joined.encode(), values, valid, kind)
    return _binary([text.encode() for text in texts], valid, kind)


def _binary(values: Sequence[bytes | None], valid: Valid, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    parts = [value or b"" for value in values]
    return _joined(list(map(len, parts)), b"".join(parts), parts, valid, kind)


def _joined(
    lengths: list[int], data: bytes, values: Sequence[Any], valid: Valid, kind: pa.DataType
) -> pa.Array | pa.ChunkedArray:
    if len(data) > np.iinfo(np.int32).max:  # more than one array can hold
        return pa.array(values, kind, mask=None if valid is None else ~valid)
    ends = np.cumsum([0, *lengths], dtype=np.int32)
    return pa.Array.from_buffers(kind, len(values), [_bits(valid), pa.py_buffer(ends), pa.py_buffer(data)])


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


_MADE: dict[type, tuple[pa.DataType, Callable[[Sequence[Any], Valid, pa.DataType], pa.Array | pa.ChunkedArray]]] = {
    bool: (pa.bool_(), _bools),
    int: (pa.int64(), _numbers),
    float: (pa.float64(), _numbers),
    str: (pa.string(), _texts),
    bytes: (pa.binary(), _binary),
}
