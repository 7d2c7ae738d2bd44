"""Many items at a time give what one at a time gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import shardwise as sw
from shardwise.compute.item_runs import applies, results
from shardwise.compute.operations import MapItems


def _one(item: int) -> int:
    return item + 1


def _some(item: int) -> Any:
    return (item * 10 + i for i in range(item % 4)) if item % 2 else item


def _yielding(item: int) -> Iterator[int]:
    yield from range(item % 3)


@given(st.lists(st.integers(-50, 50)), st.permutations([_one, _some, _yielding]))
def test_runs_of_items(items: list[int], functions: list[Any]) -> None:
    dataset = sw.from_items(items)
    expected = list(items)
    for function in functions:
        dataset = dataset.map_items(function)
        made = [function(item) for item in expected]
        expected = [result for one in made for result in (one if hasattr(one, "send") else [one])]
    assert dataset.collect().run(engine="inline", shard_size=7).to_list() == expected


def test_generators_among_values() -> None:
    assert results(_some, [1, 2, 3]) == [10, 2, 30, 31, 32]


def test_a_function_that_asks_where_it_is_sees_each_item() -> None:
    def where(item: str, ctx: sw.Context) -> int:
        return ctx.batch.index

    dataset = sw.from_items("a" for _ in range(20)).map_items(where)
    assert not applies(dataset._source, dataset._operations)  # type: ignore[arg-type]
    assert all(isinstance(op, MapItems) for op in dataset._operations)
    assert dataset.collect().run(engine="inline").to_list() == list(range(20))
