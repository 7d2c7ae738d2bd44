"""The three ways to aggregate behind one face: tables in SQL, arrays in NumPy, the person's own classes in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shardwise.compute.operations import Filter, Select, WithColumns
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from shardwise.compute.aggregates.grouped import GroupedAggregation
    from shardwise.compute.aggregates.kernel import State


class Aggregation(Protocol):
    """Partial states of shards, merged in any tree, finished once. Picklable."""

    def partial(self, pipeline: Pipeline, attempt: Attempt) -> bytes:
        """State of the attempt's shard."""

    def merge(self, attempt: Attempt, states: Iterable[bytes]) -> bytes:
        """One state of several, given in order of position."""

    def finish(self, attempt: Attempt, states: Iterable[bytes]) -> pa.Table:
        """The result of all states, given in order of position."""


@dataclass(frozen=True, slots=True)
class TableAggregation:
    """Built-in aggregates over tables, by any number of keys, in DuckDB."""

    grouped: GroupedAggregation
    bounds: dict[str, tuple[float, float]]  # of columns whose statistics are known

    def partial(self, pipeline: Pipeline, attempt: Attempt) -> bytes:
        """One query over the whole shard where DuckDB can read it, else one per gathered run of batches."""
        grouped = self.grouped
        if (columns := grouped.column_pass()) is not None:
            from shardwise.compute.columns.shards import shard_state  # here, as few jobs need it

            return grouped.save(shard_state(columns, pipeline, attempt))
        con = attempt.connection()
        relation = pipeline.fused(attempt, list(grouped.columns), grouped.needs_position)
        if relation is not None:
            kept = getattr(pipeline.source, "is_parsed", False) and grouped.reads_often
            with attempt.phase("compute"), _parsed_once(con, relation) if kept else nullcontext(relation) as shard:
                state = grouped.partial(con, shard, self.bounds.get)
            first, last = attempt.spec.first, attempt.spec.last
            rows, size = pipeline.source.weigh(first, last)
            attempt.count(rows_in=rows, bytes_in=size, batches=last - first)
            return grouped.save(state)
        from shardwise.compute.columns.shards import gathered

        batches = pipeline.batches(attempt, list(grouped.columns), grouped.needs_position)
        state = grouped.empty()
        for table in gathered(batches):
            with attempt.phase("compute"):
                state = grouped.merge(con, [state, self._of(con, table)])
        return grouped.save(state)

    def _of(self, con: Any, table: pa.Table) -> State:
        con.register("__gathered", table)
        try:
            return self.grouped.partial(con, "__gathered", self.bounds.get)
        finally:
            con.unregister("__gathered")

    def merge(self, attempt: Attempt, states: Iterable[bytes]) -> bytes:
        """Merged in one query."""
        return self.grouped.save(self._merged(attempt, states))

    def _merged(self, attempt: Attempt, states: Iterable[bytes]) -> State:
        loaded = [self.grouped.load(state) for state in states]
        if not loaded:
            return self.grouped.empty()
        return loaded[0] if len(loaded) == 1 else self.grouped.merge(attempt.connection(), loaded)

    def finish(self, attempt: Attempt, states: Iterable[bytes]) -> pa.Table:
        """Sorted by key, nulls first; one row where there is no key."""
        return self.grouped.finish(attempt.connection(), self._merged(attempt, states))


@contextmanager
def _parsed_once(con: duckdb.DuckDBPyConnection, relation: str) -> Iterator[str]:
    """The rows of a relation as a table that DuckDB keeps, and spills: parsing text again costs more."""
    con.execute(f"CREATE TEMP TABLE __shard AS SELECT * FROM ({relation})")
    try:
        yield "__shard"
    finally:
        con.execute("DROP TABLE __shard")


def known_bounds(pipeline: Pipeline, columns: Iterable[str]) -> dict[str, tuple[float, float]]:
    """(min, max) of the float columns that come straight from the source, where statistics tell."""
    if not all(isinstance(op, (Select, Filter, WithColumns)) for op in pipeline.operations):
        return {}
    made = {name for op in pipeline.operations if isinstance(op, WithColumns) for name in dict(op.columns)}
    found = {name: pipeline.source.float_bounds(name) for name in columns if name not in made}
    return {name: bounds for name, bounds in found.items() if bounds is not None}
