"""Row-wise SQL: over one Arrow batch, or fused into one query over a whole shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from shardwise.compute.exact.sql import quoted as quote
from shardwise.compute.operations import Filter, Operation, Relational, Sample, Select, WithColumns
from shardwise.compute.shape import Shape, after
from shardwise.data.source import POSITION

if TYPE_CHECKING:
    import duckdb

BATCH = "__batch"
"""Name under which a batch is registered while its expressions are computed."""


def apply(con: duckdb.DuckDBPyConnection, operation: Operation, table: pa.Table) -> pa.Table:
    """Carry out one operation on one batch. Only what the expressions name passes through DuckDB: the other columns
    keep their Arrow types, and rows their order."""
    match operation:
        case Select(columns):
            return table.select([*columns, *([POSITION] if POSITION in table.column_names else [])])
        case Filter(expression):
            return table.filter(_compute(con, {"keep": expression}, table).column(0))
        case WithColumns(columns):
            made = _compute(con, dict(columns), table)
            for name in made.column_names:
                place = table.schema.get_field_index(name)
                table = (
                    table.append_column(made.field(name), made.column(name))
                    if place < 0
                    else table.set_column(place, made.field(name), made.column(name))
                )
            return table
    raise AssertionError(operation)


def _compute(con: duckdb.DuckDBPyConnection, expressions: dict[str, str], table: pa.Table) -> pa.Table:
    from shardwise.compute.expressions import referenced_columns

    columns = [
        name
        for name in table.column_names
        if any(name in referenced_columns(e, table.schema) for e in expressions.values())
    ]
    if not columns:  # constants: one per row all the same
        seen = pa.table({BATCH: pa.nulls(table.num_rows, pa.bool_())})
    else:
        seen = table.select(columns)
    listed = ", ".join(f"({expression}) AS {quote(name)}" for name, expression in expressions.items())
    con.register(BATCH, seen)
    try:
        return con.sql(f"SELECT {listed} FROM {BATCH}").to_arrow_table()
    finally:
        con.unregister(BATCH)


def fused(operations: tuple[Operation, ...], relation: str, columns: list[str], positions: bool) -> str:
    """SQL of a relation with the operations (all relational, pruned) applied to ``relation``, which has ``columns``."""
    names = list(columns)
    for op in operations:
        match op:
            case Select(chosen):
                names = list(chosen)
                relation = f"(SELECT {_list(names, positions)} FROM {relation})"
            case Filter(expression):
                relation = f"(SELECT * FROM {relation} WHERE ({expression}))"
            case WithColumns(made):
                kept = [name for name in names if name not in dict(made)]
                listed = [f"({expression}) AS {quote(name)}" for name, expression in made]
                if kept or positions:
                    listed.insert(0, _list(kept, positions))
                names = kept + [name for name, _ in made]
                relation = f"(SELECT {', '.join(listed)} FROM {relation})"
    return relation


def _list(names: list[str], positions: bool) -> str:
    return ", ".join(map(quote, [*names, *([POSITION] if positions else [])]))


def prune(
    operations: tuple[Operation, ...], shape: Shape, wanted: list[str] | None
) -> tuple[tuple[Operation, ...], list[str] | None]:
    """Drop what nobody asks for: the operations without columns that are not ``wanted`` in the end (None = all), and
    the columns that the source has to give (None = all)."""
    before: list[Shape] = []
    current = shape
    for op in operations:
        before.append(current)
        current = after(op, current)
    names = None if wanted is None else set(wanted)
    kept: list[Operation] = []
    for op, seen in zip(reversed(operations), reversed(before)):
        if not isinstance(op, (*Relational, Sample)) or seen.schema is None:
            names = None
            kept.append(op)
            continue
        pruned, names = _pruned(op, seen.schema, names)
        kept.extend([pruned] if pruned is not None else [])
    source = None if names is None or shape.schema is None else [n for n in shape.schema.names if n in names]
    return tuple(reversed(kept)), source


def _pruned(op: Operation, schema: pa.Schema, wanted: set[str] | None) -> tuple[Operation | None, set[str] | None]:
    from shardwise.compute.expressions import referenced_columns  # here, as jobs without expressions need none of it

    match op:
        case Select(columns):
            chosen = tuple(c for c in columns if wanted is None or c in wanted)
            return (Select(chosen) if chosen else None), set(chosen)
        case Filter(expression):
            return op, None if wanted is None else wanted | set(referenced_columns(expression, schema))
        case WithColumns(columns) if wanted is not None:
            made = tuple((n, e) for n, e in columns if n in wanted)
            names = wanted - {name for name, _ in made}
            for _, expression in made:
                names |= set(referenced_columns(expression, schema))
            return (WithColumns(made) if made else None), names
    return op, wanted
