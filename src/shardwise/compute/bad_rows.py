"""Rows in quarantine: where they stand, why they are there, and what is in them."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.failure import MESSAGE_BYTES
from shardwise.compute.logs import shorten
from shardwise.compute.task import Failure

DATA_BYTES = 1 << 20
"""Of a row's own data as text; what is longer is cut, and says so."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is in none of the outputs.

    Parameters
    ----------
    file : str
        Name of the file or piece of memory; ``fragment`` is its number.
    batch, row : int
        Batch of the file, and row of the batch as the source has it, before any filter.
    scope : str
        ``row``: it fails by itself; ``batch``: all rows of the batch were given up.
    kind : str
        ``exception``, ``crash``, ``timeout`` or ``memory``.
    type, message, traceback : str
        What the function raised, or how the worker ended.
    data : str
        The row as the first function receives it, as JSON.
    """

    file: str
    fragment: int
    batch: int
    row: int
    scope: str
    kind: str
    type: str
    message: str
    traceback: str
    data: str


SCHEMA = pa.schema([(f.name, pa.int64() if f.type == "int" else pa.string()) for f in fields(BadRow)])
"""Columns of a quarantine."""


def to_ipc(rows: Sequence[BadRow]) -> bytes:
    """The rows as an Arrow IPC stream. Reasons are stored once each: they repeat where a whole batch is given up."""
    columns = list(zip(*(astuple(row) for row in rows)))
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA)]
    repeated = ("file", "scope", "kind", "type", "message", "traceback")
    arrays = [a.dictionary_encode() if f.name in repeated else a for a, f in zip(arrays, SCHEMA)]
    table = pa.table(arrays, names=SCHEMA.names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(parts: Iterable[bytes | memoryview]) -> pa.Table:
    """One table of all rows, in order of position."""
    tables = [pa.ipc.open_stream(pa.py_buffer(part)).read_all().cast(SCHEMA) for part in parts]
    table = pa.concat_tables([SCHEMA.empty_table(), *tables]).combine_chunks()
    return table.sort_by([(name, "ascending") for name in ("fragment", "batch", "row")])


def empty() -> pa.Table:
    """The quarantine of a run that left nothing out."""
    return with_commands(SCHEMA.empty_table(), [])


def with_commands(rows: pa.Table, commands: Sequence[str]) -> pa.Table:
    """The rows with the command that replays each."""
    return rows.append_column("replay", pa.array(commands, pa.string()))


def reason(failure: Failure, why: str = "") -> Failure:
    """A failure as the reason of a row; ``why`` the whole batch is given up, where it is."""
    message = failure.message if not why else f"{why}: {failure.message}"
    return replace(failure, message=shorten(message, MESSAGE_BYTES))


def rows_as_json(data: Any) -> list[str]:
    """Each row of a batch as one JSON document, for people and for other programs."""
    rows = data.to_pylist() if isinstance(data, pa.Table) else list(data)
    return [shorten(_json(row), DATA_BYTES) for row in rows]


def _json(row: Any) -> str:
    return json.dumps(_plain(row), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(part) for part in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, (decimal.Decimal, datetime.timedelta)):
        return str(value)
    return _shown(value)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a hostile __repr__ must not lose the row
        return f"<a {type(value).__qualname__}, whose repr() raised {type(error).__name__}>"
