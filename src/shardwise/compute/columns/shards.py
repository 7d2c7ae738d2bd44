"""The rows of a shard for a pass over its columns, so that all threads have work."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from shardwise.compute.columns.aggregate import ColumnPass
from shardwise.compute.exact.sql import quoted

if TYPE_CHECKING:
    from shardwise.compute.aggregates.kernel import State
    from shardwise.compute.pipeline import Pipeline
    from shardwise.compute.program import Attempt
    from shardwise.data.source import Batch, Source

GATHERED_ROWS = 1_000_000
"""Rows of small batches that are aggregated at once; exact states do not notice."""

_STREAMED_ROWS = 1 << 17


def shard_state(columns: ColumnPass, pipeline: Pipeline, attempt: Attempt) -> State:
    """State of the attempt's shard."""
    spec, wanted = attempt.spec, list(columns.columns)
    if not pipeline.relational:
        return columns.state([gathered(pipeline.batches(attempt, wanted))])
    if not pipeline.operations:
        with attempt.phase("compute"):
            state = columns.state(_read_runs(columns, pipeline.source, spec.first, spec.last, spec.threads))
    elif (relation := pipeline.fused(attempt, wanted, False)) is not None:
        listed = ", ".join(map(quoted, wanted))
        with attempt.phase("compute"):
            reader = attempt.connection().sql(f"SELECT {listed} FROM {relation}").to_arrow_reader(_STREAMED_ROWS)
            state = columns.state([_Shared(pa.Table.from_batches([batch]) for batch in reader)] * spec.threads)
    else:
        return columns.state([gathered(pipeline.batches(attempt, wanted))])
    rows, size = pipeline.source.weigh(spec.first, spec.last)
    attempt.count(rows_in=rows, bytes_in=size, batches=spec.last - spec.first)
    return state


def _read_runs(columns: ColumnPass, source: Source, first: int, last: int, threads: int) -> list[Iterable[pa.Table]]:
    """A run of rows, or some of the columns where each is stored by itself, for every thread."""
    names = list(columns.columns)
    if getattr(source, "columns_apart", False) and len(names) >= 2 * threads:
        return [_tables(source, first, last, names[place::threads]) for place in range(threads)]
    cuts = [first + (last - first) * place // threads for place in range(threads + 1)]
    spans = [(a, b) for a, b in pairwise(cuts) if a < b]
    return [_tables(source, a, b, names) for a, b in spans or [(first, last)]]


def _tables(source: Source, first: int, last: int, names: list[str]) -> Iterator[pa.Table]:
    return gathered(source.read(first, last, names))


class _Shared:
    """Gives each table to one of several threads."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._tables = iter(tables)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[pa.Table]:
        while True:
            with self._lock:
                table = next(self._tables, None)
            if table is None:
                return
            yield table


def gathered(batches: Iterable[Batch]) -> Iterator[pa.Table]:
    """Consecutive small tables as larger ones."""
    held: list[pa.Table] = []
    rows = 0
    for batch in batches:
        if not batch.data.num_rows:
            continue
        held.append(batch.data)
        rows += batch.data.num_rows
        if rows >= GATHERED_ROWS:
            yield pa.concat_tables(held)
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held)
