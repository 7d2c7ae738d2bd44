"""Parquet files as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

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
    stored_bytes,
)
from shardwise.data.parquet_scan import ROW_NUMBER, Rows, column_sql, scan_sql
from shardwise.data.paths import FileInfo, Options, PathLike, expand, file_identity, is_url
from shardwise.data.schema import choose, conform, ordered, settle, unambiguous
from shardwise.data.seekable import local_path
from shardwise.data.source import BATCH_ROWS, Batch, Fragment, Kind
from shardwise.data.streams import sized_tables

if TYPE_CHECKING:
    import duckdb

SUFFIXES = (".parquet", ".pq", ".parq")
_SIZED_FILES = 8


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
    columns_apart: ClassVar[bool] = True  # reading half of the columns costs half

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
        if not self.scannable.issuperset(columns) or any(is_url(file.url) for file in self.files):
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
            "files": [file_identity(file) for file in self.files],
            "columns": None if self.selected is None else list(self.selected),
            "batch_rows": self.batch_rows,
        }

    def float_bounds(self, column: str) -> tuple[float, float] | None:
        """Find (min, max) from the statistics of all row groups, NaN left out; reads the footers again, once."""
        if column not in self._bounds:
            self._bounds[column] = self._find_bounds(column)
        return self._bounds[column]

    @cached_property
    def _bounds(self) -> dict[str, tuple[float, float] | None]:
        return {}

    def _find_bounds(self, column: str) -> tuple[float, float] | None:
        if column not in self.schema.names or not pa.types.is_floating(self.schema.field(column).type):
            return None
        with ThreadPoolExecutor(FOOTER_THREADS) as threads:
            bounds = list(threads.map(lambda file: column_bounds(file, column, self.storage_options), self.files))
        known = [bound for bound in bounds if isinstance(bound, tuple)]
        if False in bounds or not known:
            return None
        return min(low for low, _ in known), max(high for _, high in known)

    def bytes_in_memory(self, columns: Sequence[str] | None = None) -> int:
        """Estimate the bytes of all rows as Arrow holds them.

        Exact for numbers and times; from the footers of at most eight files for text and nested columns, where it is
        too low if values repeat so much that Parquet stores each only once.
        """
        total = sum(sum(groups) for groups in self.row_groups)
        schema = choose(self.schema, columns)
        fixed = [field for field in schema if _is_fixed(field.type)]
        bits = sum(int(field.type.bit_width) + 1 for field in fixed)
        return total * bits // 8 + self._bytes_of([name for name in schema.names if schema.field(name) not in fixed])

    def _bytes_of(self, names: list[str]) -> int:
        sampled = sorted(range(len(self.files)), key=lambda number: -(self.files[number].size or 0))[:_SIZED_FILES]
        rows = sum(sum(self.row_groups[number]) for number in sampled)
        if not names or not rows:
            return 0
        sizes = [stored_bytes(self.files[number], self.storage_options) for number in sampled]
        stored = sum(size.get(name, 0) for size in sizes for name in names)
        return stored * sum(sum(groups) for groups in self.row_groups) // rows

    def _rows(self, fragment: int, begin: int, end: int) -> Rows:
        pieces = cut(self.row_groups[fragment], self.batch_rows)
        stop = pieces[end - 1].start + pieces[end - 1].rows
        local_path(self.files[fragment])
        return Rows(fragment, self.files[fragment].url, pieces[begin].start, stop, (begin, end) == (0, len(pieces)))

    def _tables(self, fragment: int, pieces: Sequence[Piece], schema: pa.Schema) -> Iterator[pa.Table]:
        file = self.files[fragment]
        with open_parquet(file, self.storage_options) as parquet:
            for groups, run in groupby(pieces, key=lambda piece: (piece.first_group, piece.last_group)):
                cuts = list(run)
                for table in _group_tables(parquet, range(*groups), cuts, schema.names):
                    yield conform(table, schema, file.url)


def read_parquet(
    paths: PathLike | Iterable[PathLike],
    *,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: Options | None = None,
) -> ParquetSource:
    """Describe Parquet files. Only their footers are read.

    Parameters
    ----------
    paths : path, or iterable of paths
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
    files = tuple(expand(paths, SUFFIXES, options))
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


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind))


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


def _group_tables(parquet: pq.ParquetFile, groups: range, pieces: list[Piece], names: list[str]) -> Iterator[pa.Table]:
    """Read one run of row groups, once, and cut it into its batches."""
    if not names:
        return (pa.table({"rows": pa.nulls(piece.rows)}).select([]) for piece in pieces)
    rows = max(piece.rows for piece in pieces)
    stream = parquet.iter_batches(batch_size=rows, row_groups=list(groups), columns=names)
    return sized_tables(stream, pieces[0].skip, [piece.rows for piece in pieces])
