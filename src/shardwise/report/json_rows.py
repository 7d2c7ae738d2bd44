"""Rows as JSON without losing a digit.

==========================================  ==========================================================================
type                                        in JSON
==========================================  ==========================================================================
null                                        ``null``
boolean, string                             as they are
integer, decimal without decimals           a number with all its digits (also beyond 2^53)
float                                       a number, the shortest that reads back as the same float *of its width*;
                                            ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` as strings (JSON has none)
decimal with decimals                       a string, ``"1.50"``
date, time, timestamp                       a string by ISO 8601, with the offset where there is a time zone
duration                                    a string by ISO 8601 in seconds, ``"PT90.5S"``
interval of months, days and nanoseconds    a string by ISO 8601, ``"P1M2DT3S"``
bytes                                       a string, base64
list, struct                                an array, an object
map                                         an array of [key, value]
==========================================  ==========================================================================
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def to_json_rows(table: pa.Table | Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a table, or dicts of Python values, as dicts that ``json.dumps`` writes as valid JSON; see the module for
    each type.

    Examples
    --------
    >>> import pyarrow as pa
    >>> to_json_rows(pa.table({"x": [0.1, float("nan"), None]}))
    [{'x': 0.1}, {'x': 'NaN'}, {'x': None}]
    """
    if isinstance(table, Sequence):
        return [{name: json_value(value) for name, value in row.items()} for row in table]
    names = table.column_names
    columns = [json_values(column) for column in table.columns]
    if not columns:
        return [{} for _ in range(table.num_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def json_values(column: pa.ChunkedArray) -> list[Any]:
    """Values of one column as JSON has them."""
    return [value for chunk in column.chunks for value in _encode(chunk)]


def json_value(value: Any) -> Any:
    """One Python value as JSON has it; what is none of the types of the module becomes its text.

    Examples
    --------
    >>> import datetime
    >>> json_value(float("inf")), json_value(datetime.date(2013, 1, 1)), json_value([b"a"])
    ('Infinity', '2013-01-01', ['YQ=='])
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float_value(value)
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    import pyarrow as pa

    try:
        return _encode(pa.array([value]))[0]
    except (pa.ArrowException, TypeError, ValueError):
        return str(value)


def dump(document: Any, ascii_only: bool = False) -> str:
    """A JSON document on one line; fails on what is not valid JSON rather than writing ``NaN``."""
    return json.dumps(document, ensure_ascii=ascii_only, allow_nan=False)


def _encode(array: pa.Array) -> list[Any]:
    import pyarrow as pa
    import pyarrow.types as t

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _encode_extension(array)
    if t.is_dictionary(kind):
        return _encode(array.dictionary_decode())
    if t.is_floating(kind):
        return [float_value(v) for v in _shortest_floats(array)]
    if t.is_decimal(kind):
        texts = array.cast(pa.string()).to_pylist()
        return [None if v is None else int(v) for v in texts] if kind.scale == 0 else texts
    if t.is_timestamp(kind) or t.is_date(kind) or t.is_time(kind):
        return [None if v is None else _iso_time(v) for v in array.cast(pa.string()).to_pylist()]
    if t.is_duration(kind):
        scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return [None if v is None else _iso_duration(v, scale) for v in array.cast(pa.int64()).to_pylist()]
    if t.is_nested(kind):
        return _encode_nested(array)
    return [_scalar(v) for v in array.to_pylist()]


def _encode_nested(array: pa.Array) -> list[Any]:
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = array.type
    if t.is_struct(kind):
        return _encode_struct(array)
    if t.is_run_end_encoded(kind):
        return _encode(pc.run_end_decode(array))
    if t.is_union(kind):
        return [_scalar(v) for v in array.to_pylist()]
    pieces = [value.values if value.is_valid else None for value in array]
    if t.is_map(kind):
        pairs = [None if p is None else [_encode(part) for part in p.flatten()] for p in pieces]
        return [None if p is None else [list(pair) for pair in zip(*p, strict=True)] for p in pairs]
    return [None if piece is None else _encode(piece) for piece in pieces]


def _encode_struct(array: pa.StructArray) -> list[Any]:
    names = [field.name for field in array.type]
    fields = [_encode(field) for field in array.flatten()]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*fields, strict=True)] or [{}] * len(array)
    return [row if known else None for row, known in zip(rows, array.is_valid().to_pylist(), strict=True)]


def _encode_extension(array: pa.Array) -> list[Any]:
    values = array.to_pylist()
    if any(type(v).__module__ == "uuid" for v in values if v is not None):
        return [None if v is None else str(v) for v in values]
    return _encode(array.storage)


def _shortest_floats(array: pa.Array) -> list[float | None]:
    import pyarrow.types as t

    if t.is_float64(array.type):
        values: list[float | None] = array.to_pylist()
        return values
    # A float32 widened to float64 shows digits it never had: NumPy writes the shortest for its own width.
    numbers = array.to_numpy(zero_copy_only=False)
    known = array.is_valid().to_pylist()
    return [float(str(v)) if ok else None for v, ok in zip(numbers, known, strict=True)]


def float_value(value: float | None) -> float | str | None:
    """A float as JSON has it."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _iso_time(text: str) -> str:
    """Arrow's text of a date or time by ISO 8601: a ``T``, no fraction that is zero, an offset with its colon."""
    text = re.sub(r"\.0+(?=$|[-+Z])", "", text.replace(" ", "T"))
    return re.sub(r"(:\d\d(?:\.\d+)?[-+]\d\d)(\d\d)$", r"\1:\2", text)


def _iso_duration(ticks: int, scale: int) -> str:
    seconds, part = divmod(abs(ticks), scale)
    fraction = f".{part:0{len(str(scale)) - 1}d}".rstrip("0") if part else ""
    return f"{'-' if ticks < 0 else ''}PT{seconds}{fraction}S"


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if type(value).__name__ == "MonthDayNano":
        return f"P{value.months}M{value.days}D{_iso_duration(value.nanoseconds, 10**9).replace('PT', 'T')}"
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
