"""Cutting a stream of record batches into tables of given sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import pyarrow as pa

from shardwise.errors import InternalError


def sized_tables(stream: Iterable[pa.RecordBatch], skip: int, sizes: Iterable[int]) -> Iterator[pa.Table]:
    """Drop ``skip`` rows of a stream and cut what follows into tables of ``sizes`` rows.

    Examples
    --------
    >>> stream = pa.table({"a": range(6)}).to_batches(max_chunksize=4)
    >>> [table["a"].to_pylist() for table in sized_tables(stream, 1, [2, 3])]
    [[1, 2], [3, 4, 5]]
    """
    wanted = list(sizes)
    tables = _cut(stream, skip, wanted)
    for size, table in zip(wanted, tables, strict=True):
        if table.num_rows < size:
            raise InternalError(f"a stream ended {size - table.num_rows} rows early")
        yield table


def even_tables(stream: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Cut a stream into tables of ``rows`` rows however it came; only the last may be shorter.

    Examples
    --------
    >>> stream = pa.table({"a": range(5)}).to_batches(max_chunksize=4)
    >>> [table["a"].to_pylist() for table in even_tables(stream, 3)]
    [[0, 1, 2], [3, 4]]
    """
    return _cut(stream, 0, repeat(rows))


def _cut(stream: Iterable[pa.RecordBatch], skip: int, sizes: Iterable[int]) -> Iterator[pa.Table]:
    batches = iter(stream)
    held: list[pa.RecordBatch] = []
    rows = 0
    for size in sizes:
        while rows < size and (batch := next(batches, None)) is not None:
            drop = min(skip, batch.num_rows)
            skip -= drop
            rows += batch.num_rows - drop
            if batch.num_rows > drop:
                held.append(batch.slice(drop))
        if not held:
            return
        table = pa.Table.from_batches(held)
        yield table.slice(0, size)
        rows = max(0, rows - size)
        held = table.slice(size).to_batches() if rows else []
