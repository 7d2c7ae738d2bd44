"""``describe``: which aggregates make it, and the table that they become."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa

from shardwise.data.buffers import from_numbers
from shardwise.errors import UsageError

STATISTICS = ("count", "nulls", "mean", "std", "min", "q25", "median", "q75", "max", "distinct")
"""Columns of a description, after the column's name and type."""

_QUARTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}


def describing(schema: pa.Schema | None) -> tuple[tuple[str, Any], ...]:
    """Aggregates for a description of these columns, named ``<number>.<statistic>``.

    Raises
    ------
    UsageError
        There are no columns.
    """
    if schema is None or not len(schema):
        raise UsageError("there is no column to describe")
    return tuple((f"{i}.{name}", made) for i, field in enumerate(schema) for name, made in _of(field).items())


def _of(field: pa.Field) -> dict[str, Any]:
    from shardwise.compute.aggregates import (
        approx_n_unique,
        approx_quantile,
        count,
        count_null,
        maximum,
        mean,
        minimum,
        std,
    )

    name, kind = field.name, field.type
    made: dict[str, Any] = {"count": count(name), "nulls": count_null(name)}
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        return made
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if number:
        made |= {"mean": mean(name), "std": std(name)}
    made |= {"min": minimum(name), "max": maximum(name)}
    if number or (pa.types.is_temporal(kind) and not pa.types.is_time(kind)):
        made["quartiles"] = approx_quantile(name, [*_QUARTILES.values()])
    made["distinct"] = approx_n_unique(name)
    return made


def description(values: pa.Table, schema: pa.Schema) -> list[dict[str, Any]]:
    """One dict per column, with values in their own types, from the aggregates' one row."""
    row = {name: values.column(place)[0].as_py() for place, name in enumerate(values.column_names)}
    for i in range(len(schema)):
        row |= {f"{i}.{label}": one for label, one in zip(_QUARTILES, row.get(f"{i}.quartiles") or ())}
    return [
        {"column": field.name, "type": str(field.type)} | {s: row.get(f"{i}.{s}") for s in STATISTICS}
        for i, field in enumerate(schema)
    ]


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    """A description as a table: counts as int64, mean and std as float64, values of the columns as text."""
    columns: dict[str, Any] = {name: pa.array([row[name] for row in rows], pa.string()) for name in ("column", "type")}
    for name in STATISTICS:
        values = [row[name] for row in rows]
        if name in ("count", "nulls", "distinct"):
            columns[name] = from_numbers(values, pa.int64())
        elif name in ("mean", "std"):
            columns[name] = from_numbers(values, pa.float64())
        else:
            columns[name] = pa.array([_text(v) for v in values], pa.string())
    return pa.table(columns)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)
