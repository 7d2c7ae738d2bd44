"""The median of numbers that come one by one is that of all of them."""

from hypothesis import given
from hypothesis import strategies as st

from shardwise.run.median import RunningMedian


@given(st.lists(st.floats(0.0, 1e6), min_size=1))
def test_it_is_the_upper_median_of_what_came_so_far(numbers: list[float]) -> None:
    running = RunningMedian()
    for count, number in enumerate(numbers, 1):
        running.add(number)
        assert len(running) == count
        assert running.value == sorted(numbers[:count])[count // 2]
