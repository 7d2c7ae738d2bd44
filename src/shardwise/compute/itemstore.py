"""Python objects as columns where that loses nothing, as one authenticated pickle where not.

``decode(encode(items))`` gives equal objects of equal types. Items are columns when all are scalars of one type (or
None), or dicts with the same keys, or tuples of the same length, whose values are such scalars.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.data.buffers import from_array, from_values, to_numpy
from shardwise.errors import FunctionError
from shardwise.storage.signing import sign, verify

COLUMNS, PICKLE = "items.arrow", "items.pickle"
_LAYOUT = b"shardwise.items"
_ARROW = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}


def encode(items: list[Any]) -> tuple[str, bytes]:
    """The name of the format and the bytes of some items.

    Raises
    ------
    FunctionError
        An item cannot be pickled, or not be loaded again.
    """
    table = to_columns(items)
    if table is not None:
        return COLUMNS, ipc_bytes(table)
    import pickle

    import cloudpickle

    try:
        data = cloudpickle.dumps(items, protocol=5)
        pickle.loads(data)  # what is committed must never turn out to be lost when it is read
        return PICKLE, sign(data)
    except Exception as error:
        raise FunctionError(
            f"a result of the function cannot be stored: {type(error).__name__}: {error}",
            "return plain data: numbers, text, arrays, frames, dicts and lists of them",
        ) from error


def decode(name: str, data: bytes | memoryview) -> list[Any]:
    """Items as they were."""
    if name == COLUMNS:
        return from_columns(pa.ipc.open_stream(pa.py_buffer(data)).read_all())
    import pickle

    return list(pickle.loads(verify(bytes(data))))  # authenticated: only this user's key signs


def ipc_bytes(table: pa.Table) -> bytes:
    """An Arrow IPC stream of a table."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def to_columns(items: list[Any]) -> pa.Table | None:
    """Columns that remember how to become the same objects again, or None where there is no such table."""
    if not items:
        return None
    first = items[0]
    if type(first) is dict:
        keys = list(first)
        if (
            not keys
            or any(type(k) is not str for k in keys)
            or any(type(i) is not dict or list(i) != keys for i in items)
        ):
            return None
        return _table("dict", keys, [[item[k] for item in items] for k in keys])
    if type(first) is tuple:
        if not first or any(type(i) is not tuple or len(i) != len(first) for i in items):
            return None
        return _table("tuple", [f"c{i}" for i in range(len(first))], [list(column) for column in zip(*items)])
    return _table("scalar", ["value"], [items])


def _table(layout: str, names: list[str], columns: list[list[Any]]) -> pa.Table | None:
    arrays, kinds = [], []
    for column in columns:
        made = _array(column)
        if made is None:
            return None
        arrays.append(made[0])
        kinds.append(made[1])
    described = json.dumps({"layout": layout, "kinds": kinds})
    return pa.table(
        arrays, pa.schema([pa.field(n, a.type) for n, a in zip(names, arrays)], {_LAYOUT: described.encode()})
    )


def _array(values: list[Any]) -> tuple[pa.Array, str] | None:
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    if issubclass(kind, np.generic):
        array = np.array(values)
        if array.dtype != kind or array.dtype.kind not in "biuf" or array.dtype == np.longdouble:
            return None
        return from_array(array), f"numpy:{array.dtype.name}"
    if kind not in _ARROW:
        return None
    try:
        return from_values(values, _ARROW[kind]), "python"
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):  # beyond 64 bits, lone surrogates
        return None


def from_columns(table: pa.Table) -> list[Any]:
    """Items from their columns."""
    layout = json.loads(table.schema.metadata[_LAYOUT])
    columns = [
        column.to_pylist()
        if kind == "python"
        else list(column.to_numpy() if kind == "numpy:bool" else to_numpy(column))
        for column, kind in zip(table.columns, layout["kinds"])
    ]
    if layout["layout"] == "scalar":
        return columns[0]
    if layout["layout"] == "tuple":
        return list(zip(*columns))
    names = table.column_names
    return [dict(zip(names, row)) for row in zip(*columns)]


def _values(column: pa.ChunkedArray, kind: str) -> list[Any]:
    if kind == "python":
        return list(column.to_pylist())
    return list(column.to_numpy() if column.type == pa.bool_() else to_numpy(column))
