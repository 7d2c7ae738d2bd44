"""Carrying aggregates out over a table, whole or cut up, and checking on the way what must always hold."""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Callable, Sequence

import duckdb
import pyarrow as pa
import pytest

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.grouped import GroupedAggregation
from shardwise.data.source import POSITION

Bounds = Callable[[str], tuple[float, float] | None]


def no_bounds(column: str) -> None:
    """No statistics."""


class Harness:
    """One DuckDB connection and the ways to aggregate over it."""

    def __init__(self) -> None:
        self.con = duckdb.connect(config={"threads": 2})
        self.con.execute("SET TimeZone = 'UTC'")

    def threads(self, number: int) -> None:
        self.con.execute(f"SET threads = {number}")

    def states(self, grouped: GroupedAggregation, table: pa.Table, cuts: Sequence[int], bounds: Bounds) -> list[dict]:
        placed = table.append_column(POSITION, pa.array(range(table.num_rows), pa.int64()))
        found = []
        columns = grouped.column_pass(always=True)
        for begin, end in itertools.pairwise([0, *sorted(cuts), table.num_rows]):
            self.con.register("rows_of_test", placed.slice(begin, end - begin))
            state = grouped.partial(self.con, "rows_of_test", bounds)
            assert same(grouped, grouped.load(grouped.save(state)), state)
            if columns is not None:
                assert same(grouped, columns.state(runs_of(table.slice(begin, end - begin))), state)
            found.append(grouped.load(grouped.save(state)))
        return found

    def run(
        self,
        table: pa.Table,
        keys: Sequence[str],
        cuts: Sequence[int] = (),
        bounds: Bounds = no_bounds,
        shuffle: int | None = None,
        **aggregates: Builtin,
    ) -> pa.Table:
        """The result, with the bytes of the merged state as metadata ``state``."""
        made = GroupedAggregation(list(keys), list(aggregates.items()), table.schema)
        grouped = pickle.loads(pickle.dumps(made))
        states = self.states(grouped, table, cuts, bounds)
        if shuffle is not None:
            merged = self.in_some_tree(grouped, states, random.Random(shuffle))
        else:
            merged = grouped.merge(self.con, states)
        result = grouped.finish(self.con, merged)
        assert result.schema.equals(grouped.result_schema)
        result.validate(full=True)
        return result.replace_schema_metadata({"state": grouped.save(merged)})

    def in_some_tree(self, grouped: GroupedAggregation, states: list[dict], rng: random.Random) -> dict:
        """Merge in any order and grouping, the empty state among them."""
        states = [*states, grouped.empty()]
        while len(states) > 1:
            rng.shuffle(states)
            take = rng.randint(2, len(states))
            states = [*states[take:], grouped.merge(self.con, states[:take])]
        return states[0]

    def one(self, table: pa.Table, aggregate: Builtin, **options: object) -> object:
        """The one value of an aggregate over all rows."""
        return self.run(table, [], value=aggregate, **options)["value"][0].as_py()


def runs_of(table: pa.Table) -> list[list[pa.Table]]:
    """The rows for two threads, the first half in two tables."""
    cuts = [0, table.num_rows // 4, table.num_rows // 2, table.num_rows]
    first, second, third = (table.slice(a, b - a) for a, b in itertools.pairwise(cuts))
    return [[first, second], [third]]


def same(grouped: GroupedAggregation, a: dict, b: dict) -> bool:
    """Whether two states are equal bytes."""
    return grouped.save(a) == grouped.save(b)


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness()
