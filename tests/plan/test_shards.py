"""What is left to do, and how it is cut: every ordinal once, whatever was committed."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shardwise.plan.shards import Weights, cut, gaps


def ordinals(ranges: list[tuple[int, int]]) -> list[int]:
    return [ordinal for first, last in ranges for ordinal in range(first, last)]


@st.composite
def committed(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    """Ranges that do not overlap, in any order, and an end; a range may reach beyond it."""
    edges = sorted(draw(st.sets(st.integers(0, 60), max_size=16)))
    pairs = list(zip(edges[::2], edges[1::2]))
    return draw(st.permutations(pairs)), draw(st.integers(0, 60))


@given(committed())
def test_gaps_are_what_is_not_committed_in_order(case: tuple[list[tuple[int, int]], int]) -> None:
    done, end = case
    left = gaps(done, end)
    assert ordinals(left) == sorted(set(range(end)) - set(ordinals(done)))
    assert all(a[1] < b[0] for a, b in pairwise(left)), "neighbouring gaps are one"


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=5),
    st.floats(0.1, 50.0),
    st.integers(1, 4),
    st.data(),
)
def test_shards_cover_the_gaps_exactly(
    fragments: list[tuple[int, int]], target: float, unit: int, data: st.DataObject
) -> None:
    starts = [0]
    for batches, _ in fragments:
        starts.append(starts[-1] + batches)
    weights = Weights(tuple(starts), tuple(float(weight) for _, weight in fragments))
    edges = sorted(data.draw(st.sets(st.integers(0, starts[-1]), max_size=6)))
    left = gaps(list(zip(edges[::2], edges[1::2])), starts[-1])
    shards = cut(left, weights, target, unit)
    assert ordinals(shards) == ordinals(left)
    ends = {last for _, last in left}
    assert all(first < last and (last % unit == 0 or last in ends) for first, last in shards)
