"""Python objects as columns where that loses nothing, as one authenticated pickle where not.

``decode(encode(items))`` gives equal objects of equal types. Items are columns when all are scalars of one type (or
None), or dicts with the same keys, or tuples of the same length, whose values are such scalars. Columns are a line of
JSON and what it describes: written and read without PyArrow, whose import would take longer than most such jobs.
"""

from __future__ import annotations

import json
from array import array
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from shardwise.data.kinds import is_numpy_scalar
from shardwise.errors import FunctionError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS, PICKLE = "items.columns", "items.pickle"


def encode(items: list[Any]) -> tuple[str, bytes]:
    """The name of the format and the bytes of some items.

    Raises
    ------
    FunctionError
        An item cannot be pickled, or not be loaded again.
    """
    columns = to_columns(items)
    if columns is not None:
        return COLUMNS, columns
    import pickle

    import cloudpickle

    from shardwise.storage.signing import sign

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
        return from_columns(bytes(data))
    import pickle

    from shardwise.storage.signing import verify

    return list(pickle.loads(verify(bytes(data))))  # authenticated: only this user's key signs


def ipc_bytes(table: pa.Table) -> bytes:
    """An Arrow IPC stream of a table."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def to_columns(items: list[Any]) -> bytes | None:
    """Columns that remember how to become the same objects again, or None where there are no such columns."""
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
        return _joined({"layout": "dict", "keys": keys}, [[item[k] for item in items] for k in keys])
    if type(first) is tuple:
        if not first or any(type(i) is not tuple or len(i) != len(first) for i in items):
            return None
        return _joined({"layout": "tuple"}, [list(column) for column in zip(*items)])
    return _joined({"layout": "scalar"}, [items])


def from_columns(data: bytes) -> list[Any]:
    """Items from their columns."""
    head, _, body = data.partition(b"\n")
    described = json.loads(head)
    edges = accumulate((size for _, _, size in described["columns"]), initial=0)
    bodies = [body[start:end] for start, end in pairwise(edges)]
    columns = [_values(kind, nulls, part) for (kind, nulls, _), part in zip(described["columns"], bodies)]
    if described["layout"] == "scalar":
        return columns[0]
    if described["layout"] == "tuple":
        return list(zip(*columns))
    return [dict(zip(described["keys"], row)) for row in zip(*columns)]


def _joined(described: dict[str, Any], columns: list[list[Any]]) -> bytes | None:
    """A line that says of each column: what its values are, where None stands, and how many bytes it takes."""
    described["columns"] = []
    bodies = []
    for column in columns:
        nulls = [row for row, value in enumerate(column) if value is None]
        made = _column([value for value in column if value is not None] if nulls else column)
        if made is None:
            return None
        described["columns"].append([made[0], nulls, len(made[1])])
        bodies.append(made[1])
    return b"".join([json.dumps(described).encode(), b"\n", *bodies])


def _column(values: list[Any]) -> tuple[str, bytes] | None:
    """What the values are, and their bytes; None where they are not of one type that can be kept so."""
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    try:
        if kind is int or kind is float:
            return kind.__name__, array("q" if kind is int else "d", values).tobytes()
        if kind is bool:
            return "bool", bytes(values)
        if kind is str:
            return "str", json.dumps(values).encode()
        if kind is bytes:
            return "bytes", json.dumps(list(map(len, values))).encode() + b"\n" + b"".join(values)
    except OverflowError:  # beyond 64 bits
        return None
    return _numpy_column(values, kind) if is_numpy_scalar(kind) else None


def _numpy_column(values: list[Any], kind: type) -> tuple[str, bytes] | None:
    import numpy as np

    made = np.array(values)
    if made.dtype != kind or made.dtype.kind not in "biuf" or made.dtype == np.longdouble:
        return None
    return f"numpy:{made.dtype.name}", made.tobytes()


def _values(kind: str, nulls: list[int], body: bytes) -> list[Any]:
    values = _plain_values(kind, body)
    if not nulls:
        return values
    absent, present = set(nulls), iter(values)
    return [None if row in absent else next(present) for row in range(len(values) + len(nulls))]


def _plain_values(kind: str, body: bytes) -> list[Any]:
    if kind == "str":
        return list(json.loads(body))
    if kind == "bool":
        return list(map(bool, body))
    if kind in ("int", "float"):
        return array("q" if kind == "int" else "d", body).tolist()
    if kind == "bytes":
        lengths, _, joined = body.partition(b"\n")
        return [joined[start:end] for start, end in pairwise(accumulate(json.loads(lengths), initial=0))]
    import numpy as np

    return list(np.frombuffer(body, np.dtype(kind.removeprefix("numpy:"))))
