"""The rows of a database query as a source, through ADBC or connectorx."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa

from shardwise.data.base import BaseSource, check_batch_rows
from shardwise.data.connections import files_of, normalized, query_batches, quoted, shown
from shardwise.data.paths import FileInfo, expand, file_identity
from shardwise.data.schema import choose, common_type, plain
from shardwise.data.source import BATCH_ROWS, Batch, Fragment, Kind
from shardwise.data.streams import even_tables
from shardwise.errors import InputError, UsageError

PARTITIONS = 16
"""Partitions of a query unless the person says otherwise; a constant, so that batches do not depend on the machine."""


@dataclass(frozen=True)
class DatabaseSource(BaseSource):
    """One query, or one for each range of an integer column (``conditions``); each is read in order."""

    url: str = field(repr=False)
    query: str
    conditions: tuple[str, ...]
    schema: pa.Schema
    files: tuple[FileInfo, ...]
    kind: Kind = "table"

    @property
    def remote_safe(self) -> bool:
        """A server can be reached from anywhere; a SQLite file is one that all workers must see."""
        return True

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Send the query of each partition and cut what comes every ``batch_rows`` rows."""
        schema = choose(self.schema, columns)
        for fragment, _, _ in self.spans(first, last):
            sql = _select(self.query, [quoted(self.url, name) for name in schema.names], self.conditions[fragment])
            with query_batches(self.url, sql) as stream:
                for index, table in enumerate(even_tables(stream, self.batch_rows)):
                    yield Batch(fragment, index, _conform(table, schema, f"{shown(self.url)} partition {fragment}"))

    def identity(self) -> dict[str, Any] | None:
        """Name the files of a SQLite database as they were; None for a server, where nothing tells of a change."""
        if not self.files:
            return None
        return {
            "format": "database",
            "files": [file_identity(file) for file in self.files],
            "query": self.query,
            "conditions": list(self.conditions),
            "batch_rows": self.batch_rows,
        }


def read_database(
    query: str,
    *,
    url: str,
    partition_on: str | None = None,
    partitions: int | None = None,
    batch_rows: int = BATCH_ROWS,
) -> DatabaseSource:
    """Describe the rows of a query; the schema, and the range of ``partition_on``, are asked for at once.

    Parameters
    ----------
    query : str
        A SELECT. The order of its rows is the database's; where it matters, partition on a column that orders them.
    url : str
        ``sqlite:///path`` (absolute) or ``sqlite://path`` (relative), ``postgresql://user:password@host/name``, or
        another that connectorx knows. Passwords are neither shown nor stored.
    partition_on : str, optional
        A column of integers. Its range is cut into equal parts, which are read side by side; rows where it is null
        come last, in a part of their own.
    partitions : int, optional
        Into how many parts, 16 unless given.
    batch_rows : int
        Rows of a batch.

    Returns
    -------
    DatabaseSource
        One fragment for each part, each read in order.

    Raises
    ------
    UsageError
        If the query fails, or ``partition_on`` is not a column of integers.
    MissingExtra
        If no driver for the database is installed.
    """
    check_batch_rows(batch_rows)
    if partitions is not None and (partition_on is None or partitions < 1):
        raise UsageError(
            f"read_database got partitions={partitions} and partition_on={partition_on!r}",
            "give at least 1, and the integer column to partition on",
        )
    url, query = normalized(url), query.strip().rstrip(";")
    files = tuple(expand(files_of(url), ())) if files_of(url) else ()
    try:
        schema = _schema(url, query)
        conditions = _conditions(url, query, partition_on, partitions or PARTITIONS)
    except InputError as error:
        raise UsageError(error.message, error.fix) from error
    fragments = tuple(Fragment(f"<query> {condition}".rstrip(), 1, in_order=True) for condition in conditions)
    return DatabaseSource(fragments, batch_rows, url, query, conditions, schema, files)


def _schema(url: str, query: str) -> pa.Schema:
    with query_batches(url, query) as stream:
        return plain(stream.schema)


def _select(query: str, columns: list[str], condition: str) -> str:
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {', '.join(columns) or '1'} FROM ({query}) AS q{where}"


def _conditions(url: str, query: str, column: str | None, partitions: int) -> tuple[str, ...]:
    """Write the condition of each partition; one empty condition where there is nothing to partition on."""
    if column is None:
        return ("",)
    name = quoted(url, column)
    sql = _select(query, [f"MIN({name})", f"MAX({name})", f"COUNT(*) - COUNT({name})"], "")
    with query_batches(url, sql) as stream:
        low, high, nulls = (values[0] for values in pa.Table.from_batches(stream).to_pydict().values())
    if low is None:
        return (f"{name} IS NULL",)
    if not isinstance(low, int) or not isinstance(high, int):
        raise UsageError(
            f"column {column!r} holds {type(low).__name__}, as {low!r}", "partition on a column of integers"
        )
    width = high - low + 1
    count = min(partitions, width)
    edges = [low + width * part // count for part in range(count + 1)]
    ranges = [f"{name} >= {start} AND {name} < {stop}" for start, stop in pairwise(edges)]
    return (*ranges, f"{name} IS NULL") if nulls else tuple(ranges)


def _conform(table: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """Give a partition the schema of the query; SQLite guesses types anew from the first rows of each one."""
    if not schema.names:
        return table.select([])
    columns = [_convert(table.column(number), want, name) for number, want in enumerate(schema)]
    return pa.Table.from_arrays(columns, schema=schema)


def _convert(column: pa.ChunkedArray, want: pa.Field, name: str) -> pa.ChunkedArray:
    have = column.type
    if have.equals(want.type):
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), want.type)])
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (have, want.type))
    if numbers or common_type(want.type, have) == want.type:
        try:
            return column.cast(want.type)
        except pa.ArrowInvalid:
            pass
    raise InputError(
        f"{name}: column {want.name!r} holds {have}, but {want.type} was found at first",
        f"give it one type in the query: CAST({want.name} AS ...)",
    )
