"""Arrow IPC files (also called Feather) and streams as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pyarrow as pa

from shardwise.data.base import BaseSource, check_batch_rows
from shardwise.data.parquet_layout import Piece, cut
from shardwise.data.paths import FileInfo, Options, PathLike, expand, file_identity
from shardwise.data.schema import choose, conform, settle
from shardwise.data.seekable import first_line, open_seekable
from shardwise.data.source import BATCH_ROWS, Batch, Fragment, Kind
from shardwise.data.streams import even_tables, sized_tables
from shardwise.errors import InputError

SUFFIXES = (".arrow", ".ipc", ".feather", ".arrows")
_MAGIC = b"ARROW1"


@dataclass(frozen=True)
class IpcSource(BaseSource):
    """Arrow IPC files of one schema. ``record_batches`` has the rows of each record batch; None for a stream."""

    files: tuple[FileInfo, ...]
    record_batches: tuple[tuple[int, ...] | None, ...]
    schema: pa.Schema
    selected: tuple[str, ...] | None
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    kind: Kind = "table"

    @property
    def remote_safe(self) -> bool:
        """Files can be read from anywhere."""
        return True

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Read the record batches that are needed; those of a local file stay where they are mapped."""
        schema = choose(self.schema, columns)
        for fragment, begin, end in self.spans(first, last):
            file, rows = self.files[fragment], self.record_batches[fragment]
            if rows is None:
                tables = _stream_tables(file, self.batch_rows, self.storage_options)
            else:
                tables = _file_tables(file, rows, cut(rows, self.batch_rows)[begin:end], schema, self.storage_options)
            for index, table in enumerate(tables, begin):
                yield Batch(fragment, index, conform(table, schema, file.url))

    def identity(self) -> dict[str, Any]:
        """Name the files as they were when they were opened first, and what is read of them."""
        return {
            "format": "ipc",
            "files": [file_identity(file) for file in self.files],
            "columns": None if self.selected is None else list(self.selected),
            "batch_rows": self.batch_rows,
        }


def read_ipc(
    paths: PathLike | Iterable[PathLike],
    *,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: Options | None = None,
) -> IpcSource:
    """Describe Arrow IPC files; a stream (without a footer) is read in order, as one ordinal.

    Parameters
    ----------
    paths : path, or iterable of paths
        Files, directories, globs or URLs.
    columns : sequence of str, optional
        Read only these, in the order of the first file.
    batch_rows : int
        Record batches of fewer rows are joined, larger ones are cut; a stream is cut every ``batch_rows`` rows.
    storage_options : dict, optional
        Given to fsspec for URLs; never stored.

    Returns
    -------
    IpcSource

    Raises
    ------
    UsageError
        If a column is not there, or ``batch_rows`` is out of range.
    InputError
        If a file is missing, damaged, not Arrow IPC, or its columns are not those of the first file.
    """
    check_batch_rows(batch_rows)
    options = storage_options or {}
    files = tuple(expand(paths, SUFFIXES, options))
    heads = [_head(file, options) for file in files]
    schema = settle(((file.url, head[0]) for file, head in zip(files, heads)), columns)
    rows = tuple(head[1] for head in heads)
    fragments = tuple(_fragment(file, counts, batch_rows) for file, counts in zip(files, rows))
    return IpcSource(fragments, batch_rows, files, rows, schema, None if columns is None else tuple(columns), options)


def _fragment(file: FileInfo, counts: tuple[int, ...] | None, batch_rows: int) -> Fragment:
    if counts is None:
        return Fragment(file.url, 1, None, file.size, in_order=True)
    return Fragment(file.url, len(cut(counts, batch_rows)), sum(counts), file.size)


def _head(file: FileInfo, options: dict[str, Any]) -> tuple[pa.Schema, tuple[int, ...] | None]:
    """Read the schema, and the rows of each record batch where there is a footer."""
    if file.size == 0:
        raise InputError(
            f"{file.url}: the file is empty (0 bytes), so it is no Arrow file", "write it again, or leave it out"
        )
    with _opened(file, options) as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            stream.seek(0)
            return pa.ipc.open_stream(stream).schema, None
        schema = pa.ipc.open_file(stream).schema
        narrow = pa.ipc.IpcReadOptions(included_fields=_narrowest(schema))
        reader = pa.ipc.open_file(stream, options=narrow)
        return schema, tuple(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))


def _narrowest(schema: pa.Schema) -> list[int]:
    """Choose the column that costs least where only the number of rows is wanted."""

    def bits(number: int) -> int:
        kind = schema.field(number).type
        return int(kind.bit_width) if pa.types.is_primitive(kind) else 1 << 30

    return [min(range(len(schema)), key=bits)] if len(schema) else []


def _file_tables(
    file: FileInfo, counts: tuple[int, ...], pieces: Sequence[Piece], schema: pa.Schema, options: dict[str, Any]
) -> Iterator[pa.Table]:
    with _opened(file, options) as stream:
        stored = pa.ipc.open_file(stream).schema
        wanted = [stored.get_field_index(name) for name in schema.names] or _narrowest(stored)
        reader = pa.ipc.open_file(stream, options=pa.ipc.IpcReadOptions(included_fields=sorted(wanted)))
        if reader.num_record_batches != len(counts):
            raise InputError(
                f"{file.url}: the file changed while it was in use", "run again, when nothing writes to it"
            )
        for groups, run in groupby(pieces, key=lambda piece: (piece.first_group, piece.last_group)):
            cuts = list(run)
            batches = (reader.get_batch(number) for number in range(*groups))
            yield from sized_tables(batches, cuts[0].skip, [piece.rows for piece in cuts])


def _stream_tables(file: FileInfo, batch_rows: int, options: dict[str, Any]) -> Iterator[pa.Table]:
    with _opened(file, options) as stream:
        yield from even_tables(pa.ipc.open_stream(stream), batch_rows)


@contextmanager
def _opened(file: FileInfo, options: dict[str, Any]) -> Iterator[Any]:
    """Open a file; what PyArrow says against its content becomes InputError."""
    with open_seekable(file, options) as stream:
        try:
            yield stream
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(
                f"{file.url}: cannot be read as Arrow IPC ({file.size} bytes): {first_line(error)}",
                "write or copy it again, or leave it out",
            ) from error
