"""Where the batches of a Parquet file are cut, and what its footer says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shardwise.data.paths import FileInfo, open_file
from shardwise.data.seekable import first_line, local_path
from shardwise.errors import InputError

FOOTER_THREADS = 16
PAGE_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """One batch: ``rows`` rows after the first ``skip`` of row groups [first_group, last_group).

    ``start`` is the number in the file of its first row. Either it is whole row groups, or a slice of one.
    """

    first_group: int
    last_group: int
    skip: int
    rows: int
    start: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What is kept of a footer."""

    row_groups: tuple[int, ...]
    schema: pa.Schema
    int96: frozenset[str]


@lru_cache(maxsize=256)
def cut(row_groups: tuple[int, ...], batch_rows: int) -> tuple[Piece, ...]:
    """Cut a file into batches: small row groups are joined up to ``batch_rows``, a larger one is cut inside.

    Examples
    --------
    >>> [(p.first_group, p.last_group, p.skip, p.rows) for p in cut((40, 50, 30, 120), 100)]
    [(0, 2, 0, 90), (2, 3, 0, 30), (3, 4, 0, 100), (3, 4, 100, 20)]
    """
    pieces: list[Piece] = []
    first = rows = start = 0
    for group, more in enumerate(row_groups):
        if rows and rows + more > batch_rows:
            pieces.append(Piece(first, group, 0, rows, start))
            first, rows, start = group, 0, start + rows
        if more > batch_rows:
            pieces += [
                Piece(group, group + 1, skip, min(batch_rows, more - skip), start + skip)
                for skip in range(0, more, batch_rows)
            ]
            first, start = group + 1, start + more
        else:
            rows += more
    if rows:
        pieces.append(Piece(first, len(row_groups), 0, rows, start))
    return tuple(pieces)


def read_footers(files: Sequence[FileInfo], storage_options: dict[str, Any]) -> list[Footer]:
    """Read all footers, several at a time; raise InputError for the first file, in order, that has none."""
    if len(files) == 1:
        return [read_footer(files[0], storage_options)]
    with ThreadPoolExecutor(FOOTER_THREADS) as threads:
        return list(threads.map(lambda file: read_footer(file, storage_options), files))


def read_footer(file: FileInfo, storage_options: dict[str, Any]) -> Footer:
    """Read the footer of one file."""
    with open_parquet(file, storage_options) as parquet:
        metadata = parquet.metadata
    return Footer(
        tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)),
        metadata.schema.to_arrow_schema(),
        frozenset(leaf.path.partition(".")[0] for leaf in metadata.schema if leaf.physical_type == "INT96"),
    )


@contextmanager
def open_parquet(file: FileInfo, storage_options: dict[str, Any]) -> Iterator[pq.ParquetFile]:
    """Open a file as Parquet; what PyArrow says against its content, here or in the block, becomes InputError.

    A local row group is read page by page (a huge one took 43 MB instead of 506 MB), a remote one in few requests.
    """
    if file.size == 0:
        raise InputError(f"{file.url}: the file is empty (0 bytes), so it is no Parquet file", "leave it out")
    path = local_path(file)
    try:
        if path is not None:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=PAGE_BUFFER) as parquet:
                yield parquet
        else:
            with open_file(file.url, storage_options) as stream, pq.ParquetFile(stream, pre_buffer=True) as parquet:
                yield parquet
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{file.url}: cannot be read as Parquet ({file.size} bytes): {first_line(error)}",
            "write or copy it again, or leave it out",
        ) from error


def column_bounds(file: FileInfo, column: str, storage_options: dict[str, Any]) -> tuple[float, float] | bool | None:
    """Find (min, max) of a float column from its statistics; None where it has no value, False where unknown.

    Statistics leave NaN out, so they bound all other values only.
    """
    with open_parquet(file, storage_options) as parquet:
        metadata = parquet.metadata
    leaf = _leaf(metadata, column)
    if leaf is None:
        return False
    low, high = float("inf"), float("-inf")
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(leaf)
        statistics = chunk.statistics
        if statistics is not None and statistics.has_null_count and statistics.null_count == chunk.num_values:
            continue
        if statistics is None or not statistics.has_min_max or not statistics.min <= statistics.max:
            return False
        low, high = min(low, float(statistics.min)), max(high, float(statistics.max))
    return (low, high) if low <= high else None


def stored_bytes(file: FileInfo, storage_options: dict[str, Any]) -> dict[str, int]:
    """Add up the bytes of each top-level column, encoded but not compressed."""
    sizes: dict[str, int] = {}
    with open_parquet(file, storage_options) as parquet:
        metadata = parquet.metadata
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(number)
                name = _top_level(parquet.schema_arrow, chunk.path_in_schema)
                sizes[name] = sizes.get(name, 0) + chunk.total_uncompressed_size
    return sizes


def _top_level(schema: pa.Schema, path: str) -> str:
    return path if path in schema.names else path.partition(".")[0]


def _leaf(metadata: pq.FileMetaData, column: str) -> int | None:
    """Number of the one leaf that is this top-level column; None where a nested one could be meant."""
    leaves = [
        number
        for number in range(metadata.num_columns)
        if metadata.schema.column(number).path == column and metadata.schema.column(number).max_definition_level <= 1
    ]
    return leaves[0] if len(leaves) == 1 else None
