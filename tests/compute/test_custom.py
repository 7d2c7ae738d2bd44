"""Custom aggregates: one result, however the batches are cut into shards and the states grouped."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.custom import Aggregate, CustomAggregation, Forest
from shardwise.compute.tree import Node, graft, in_order
from shardwise.data.source import Batch
from shardwise.errors import FunctionError, InternalError


class Spell(Aggregate[str]):
    """Writes down the order of its merges: neither associative nor commutative."""

    def zero(self) -> str:
        return ""

    def step(self, state: str, batch: Any) -> str:
        return state + "".join(batch)

    def merge(self, a: str, b: str) -> str:
        return f"({a}{b})"

    def finish(self, state: str) -> Any:
        return state


class Grow(Aggregate[list[Any]]):
    """Changes its first argument, as is allowed."""

    def zero(self) -> list[Any]:
        return []

    def step(self, state: list[Any], batch: Any) -> list[Any]:
        state.extend(batch)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        a.append(b)
        return a

    def finish(self, state: list[Any]) -> Any:
        return state


SPELL = CustomAggregation(Spell())

# Batches per fragment, each with 0 or 1 rows.
datasets = st.lists(st.lists(st.booleans(), max_size=11), max_size=4)


def batches_of(dataset: list[list[bool]]) -> list[Batch]:
    return [
        Batch(fragment, index, [chr(97 + 12 * fragment % 26) + str(index) + " "] if full else [])
        for fragment, fulls in enumerate(dataset)
        for index, full in enumerate(fulls)
    ]


def cut(data: st.DataObject, things: list[Any]) -> list[list[Any]]:
    ends = sorted(data.draw(st.lists(st.integers(0, len(things)), max_size=5)))
    return [things[a:b] for a, b in zip([0, *ends], [*ends, len(things)])]


def merged_somehow(data: st.DataObject, run: CustomAggregation, states: list[Forest]) -> Forest:
    states = list(data.draw(st.permutations(states)))
    while len(states) > 1:
        size = data.draw(st.integers(2, len(states)))
        states = [run.merge(states[:size]), *states[size:]]
        states = states if data.draw(st.booleans()) else [run.load(run.save(state)) for state in states]
    return states[0]


@settings(deadline=None, max_examples=150)
@given(datasets, st.data())
@pytest.mark.parametrize("aggregate", [Spell(), Grow()])
def test_any_cut_and_any_grouping_give_the_same(
    aggregate: Aggregate[Any], dataset: list[list[bool]], data: st.DataObject
) -> None:
    run = CustomAggregation(aggregate)
    batches = batches_of(dataset)
    whole = run.partial(batches)
    pieces = merged_somehow(data, run, [run.partial(shard) for shard in cut(data, batches)])
    assert pieces == whole
    assert run.finish(pieces) == run.finish(whole) == run.finish(whole)


def test_the_order_is_the_dyadic_one() -> None:
    batches = [Batch(0, i, [f"{i}"]) for i in range(7)] + [Batch(2, i, [f"x{i}"]) for i in range(2)]
    assert SPELL.finish(SPELL.partial(batches)) == "((((((01)(23))(45))6)(x0x1)))"[1:-1]


def test_only_complete_nodes_are_made_before_all_is_in() -> None:
    state = SPELL.partial([Batch(0, i, [f"{i}"]) for i in range(1, 6)])
    assert [tuple(node) for node in state] == [(0, 0, 1), (0, 1, 1), (0, 1, 2)]


def test_no_rows_at_all_give_the_finish_of_zero() -> None:
    assert SPELL.finish(SPELL.partial([])) == ""
    assert SPELL.finish(SPELL.partial([Batch(0, 0, []), Batch(1, 0, [])])) == ""
    assert SPELL.finish(SPELL.merge([])) == ""


def test_batches_without_rows_take_no_part() -> None:
    batches = [Batch(0, 0, ["a"]), Batch(0, 1, []), Batch(0, 2, []), Batch(0, 3, ["b"]), Batch(1, 0, [])]
    assert SPELL.finish(SPELL.partial(batches)) == "(ab)"


def test_a_table_counts_its_rows() -> None:
    class Rows(Spell):
        def step(self, state: str, batch: Any) -> str:
            return state + str(batch.num_rows)

    run = CustomAggregation(Rows())
    no_column = pa.table({"x": [1, 2]}).select([])
    assert run.finish(run.partial([Batch(0, 0, pa.table({"x": [1, 2]})), Batch(0, 1, no_column)])) == "(22)"


def test_none_is_a_state_like_any_other() -> None:
    class Nothing(Spell):
        def step(self, state: str, batch: Any) -> Any:
            return None

        def merge(self, a: Any, b: Any) -> Any:
            return (a, b)

    run = CustomAggregation(Nothing())
    assert run.finish(run.partial([Batch(0, i, ["r"]) for i in range(3)])) == ((None, None), None)


@pytest.mark.parametrize("twice", [[(0, 0)], [(0, 1)], [(0, 0), (0, 1)], [(0, 2)]])
def test_a_batch_that_comes_twice_is_found(twice: list[tuple[int, int]]) -> None:
    state = SPELL.partial([Batch(0, i, ["r"]) for i in range(3)])
    with pytest.raises(InternalError, match="merged twice"):
        SPELL.merge([state, *[SPELL.partial([Batch(*place, ["r"])]) for place in twice]])


def test_a_state_that_cannot_be_pickled_is_the_functions_fault() -> None:
    class Lock(Spell):
        def step(self, state: str, batch: Any) -> Any:
            return threading.Lock()

    with pytest.raises(FunctionError, match="a state of the aggregate Lock"):
        CustomAggregation(Lock()).partial([Batch(0, 0, ["r"])])


def test_other_bytes_are_no_state() -> None:
    with pytest.raises(InternalError, match="3 bytes"):
        SPELL.load(b"abc")


@settings(deadline=None)
@given(st.integers(0, 70), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_forest(count: int, random: Any) -> None:
    def grown(order: list[int]) -> list[tuple[Node, str]]:
        forest: dict[Node, str] = {}
        for number in order:
            graft(forest, Node(3, 0, number), str(number), lambda a, b: f"({a} {b})")
        return in_order(forest)

    shuffled = list(range(count))
    random.shuffle(shuffled)
    assert grown(shuffled) == grown(list(range(count)))
    assert len(grown(shuffled)) == count.bit_count()
