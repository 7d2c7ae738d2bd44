"""Parquet files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from shardwise.data.base import BaseSource, check_batch_rows
from shardwise.data.parquet_layout import (
    FOOTER_THREADS,
    Piece,
    column_bounds,
    cut,
    open_parquet,
    read_footers,
    unreadable,
)
from shardwise.data.parquet_scan import ROW_NUMBER, Rows, column_sql, position_sql, scan_sql
from shardwise.data.paths import FileInfo, expand, open_file
from shardwise.data.schema import choose, conform, ordered, settle, unambiguous
from shardwise.data.source import BATCH_ROWS, Batch, Fragment, Kind
from shardwise.data.streams import sized_tables
from shardwise.errors import InputError


@dataclass(frozen=True)
class ParquetSource(BaseSource):
    """Parquet files of one schema. ``scannable`` are the columns that every file stores as DuckDB would read them."""

    files: tuple[FileInfo, ...]
    row_groups: tuple[tuple[int, ...], ...]
    schema: pa.Schema
    scannable: frozenset[str]
    selected: tuple[str, ...] | None
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    kind: Kind = "table"

    @property
    def remote_safe(self) -> bool:
        """Files can be read from anywhere."""
        return True

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Stream the row groups that the batches need; a large one is read once for all of its batches."""
        schema = choose(self.schema, columns)
        for fragment, begin, end in self.spans(first, last):
            pieces = cut(self.row_groups[fragment], self.batch_rows)[begin:end]
            tables = self._tables(fragment, pieces, schema)
            for index, table in zip(range(begin, end), tables, strict=True):
                yield Batch(fragment, index, table)

    def scan(
        self, con: duckdb.DuckDBPyConnection, first: int, last: int, columns: list[str], positions: bool
    ) -> str | None:
        """Let DuckDB read the files. Text and decimals come as its own types: ``large_string`` as VARCHAR.

        ``__position`` also stands there where no column is wanted, so that rows can be counted.
        """
        if not self.scannable.issuperset(columns) or any("://" in file.url for file in self.files):
            return None
        names = ordered(self.schema, columns)
        expressions = [column_sql(name, self.schema.field(name).type) for name in names]
        parts = [self._rows(*span) for span in self.spans(first, last)]
        if not parts:
            parts = [Rows(0, self.files[0].url, 0, 0, False)]
        return scan_sql(parts, [expression for expression in expressions if expression], positions or not columns)

    def identity(self) -> dict[str, Any]:
        """Name the files as they were when their footers were read, and what is read of them."""
        return {
            "format": "parquet",
            "files": [[file.url, file.size, file.mtime_ns, file.etag] for file in self.files],
            "columns": None if self.selected is None else list(self.selected),
            "batch_rows": self.batch_rows,
        }

    def float_bounds(self, column: str) -> tuple[float, float] | None:
        """Find (min, max) from the statistics of all row groups, NaN left out; reads the footers again."""
        if column not in self.schema.names or not pa.types.is_floating(self.schema.field(column).type):
            return None
        with ThreadPoolExecutor(FOOTER_THREADS) as threads:
            bounds = list(threads.map(lambda file: column_bounds(file, column, self.storage_options), self.files))
        known = [bound for bound in bounds if isinstance(bound, tuple)]
        if False in bounds or not known:
            return None
        return min(low for low, _ in known), max(high for _, high in known)

    def _rows(self, fragment: int, begin: int, end: int) -> Rows:
        pieces = cut(self.row_groups[fragment], self.batch_rows)
        stop = pieces[end - 1].start + pieces[end - 1].rows
        return Rows(fragment, self.files[fragment].url, pieces[begin].start, stop, (begin, end) == (0, len(pieces)))

    def _tables(self, fragment: int, pieces: Sequence[Piece], schema: pa.Schema) -> Iterator[pa.Table]:
        file = self.files[fragment]
        with open_file(file.url, self.storage_options) as stream:
            parquet = open_parquet(file, stream)
            _check_unchanged(file, parquet, self.row_groups[fragment])
            for groups, run in groupby(pieces, key=lambda piece: (piece.first_group, piece.last_group)):
                yield from _group_tables(file, parquet, range(*groups), list(run), schema)


def read_parquet(
    paths: str | Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: dict[str, Any] | None = None,
) -> ParquetSource:
    """Describe Parquet files. Only their footers are read.

    Parameters
    ----------
    paths : str or sequence of str
        Files, directories, globs or URLs.
    columns : sequence of str, optional
        Read only these, in the order of the first file.
    batch_rows : int
        Row groups of fewer rows are joined, larger ones are cut, into batches of at most this many rows.
    storage_options : dict, optional
        Given to fsspec for URLs; never stored.

    Returns
    -------
    ParquetSource

    Raises
    ------
    UsageError
        If a column is not there, or ``batch_rows`` is out of range.
    InputError
        If a file is missing, damaged, not Parquet, or its columns are not those of the first file.
    """
    check_batch_rows(batch_rows)
    options = storage_options or {}
    files = tuple(expand(paths, options))
    footers = read_footers(files, options)
    names = [file.url for file in files]
    schema = settle(zip(names, [footer.schema for footer in footers]), columns)
    fragments = tuple(
        Fragment(file.url, len(cut(footer.row_groups, batch_rows)), sum(footer.row_groups), file.size)
        for file, footer in zip(files, footers)
    )
    return ParquetSource(
        fragments,
        batch_rows,
        files,
        tuple(footer.row_groups for footer in footers),
        schema,
        _scannable(schema, [footer.schema for footer in footers], frozenset().union(*(f.int96 for f in footers))),
        None if columns is None else tuple(columns),
        options,
    )


def _scannable(schema: pa.Schema, stored: list[pa.Schema], int96: frozenset[str]) -> frozenset[str]:
    """Find the columns that need no conversion between files and have one type in PyArrow and DuckDB."""
    if not unambiguous(stored[0]) or ROW_NUMBER in (name.lower() for name in stored[0].names):
        return frozenset()
    distinct: list[pa.Schema] = []
    for one in stored:
        if not any(one.equals(other) for other in distinct):
            distinct.append(one)
    return frozenset(
        column.name
        for column in schema
        if column.name not in int96
        and column_sql(column.name, column.type) is not None
        and all(one.field(column.name).type == column.type for one in distinct)
    )


def _check_unchanged(file: FileInfo, parquet: pq.ParquetFile, row_groups: tuple[int, ...]) -> None:
    metadata = parquet.metadata
    if tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)) != row_groups:
        raise InputError(f"{file.url}: the file changed while it was in use", "run again, when nothing writes to it")


def _group_tables(
    file: FileInfo, parquet: pq.ParquetFile, groups: range, pieces: list[Piece], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Read one run of row groups and cut it into its batches."""
    names = schema.names
    if not names:
        yield from (pa.table({"rows": pa.nulls(piece.rows)}).select([]) for piece in pieces)
        return
    rows = min(parquet.metadata.row_group(groups[0]).num_rows, pieces[0].rows) or pieces[0].rows
    try:
        stream = parquet.iter_batches(batch_size=rows, row_groups=list(groups), columns=names)
        for table in sized_tables(stream, pieces[0].skip, [piece.rows for piece in pieces]):
            yield conform(table, schema, file.url)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(file, error) from error
