"""Costs fitted to tasks of known costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwise.plan.costs import Costs, fit, line
from shardwise.plan.forecast import Load, Setting, forecast
from shardwise.plan.sample import Phase, Sample, Tried, choose_trials
from shardwise.plan.scaled import shards
from shardwise.plan.shards import Weights

FIXED = st.floats(0.0, 2.0)
EACH = st.floats(0.01, 5.0)


def phase(busy: int, weights: list[float], fixed: float, each: float, crowding: float, cold: bool = False) -> Phase:
    slower = 1 + crowding * (busy - 1)
    tried = tuple(Tried(weight, (fixed + each * weight) * slower * (3 if cold else 1)) for weight in weights)
    return Phase(busy, sum(task.seconds for task in tried) / busy, tried, cold)


@given(FIXED, EACH, st.floats(0.0, 1.5))
def test_known_costs_are_found_again(fixed: float, each: float, crowding: float) -> None:
    phases = (
        phase(2, [1.0, 1.0], fixed, each, crowding, cold=True),
        phase(1, [1.0, 3.0], fixed, each, crowding),
        phase(2, [1.0, 1.0, 6.0, 6.0], fixed, each, crowding),
    )
    costs = fit(Sample("local:2", 2, phases))
    for weight in (1.0, 6.0, 50.0):
        for busy in (1, 2):
            expected = (fixed + each * weight) * (1 + crowding * (busy - 1))
            assert costs.seconds(weight, busy) == pytest.approx(expected, rel=0.02)


@given(st.integers(0, 1000))
def test_the_mean_of_uneven_tasks_is_right_for_their_sum(seed: int) -> None:
    chance = Random(seed)
    seconds = [chance.lognormvariate(0, 0.5) for _ in range(400)]
    costs = fit(Sample("local:2", 1, (Phase(1, sum(seconds), tuple(Tried(1.0, s) for s in seconds)),)))
    assert 1000 * costs.seconds(1.0) == pytest.approx(1000 * sum(seconds) / 400, rel=1e-6)
    assert 0.4 < costs.spread < 0.6


def test_drawn_times_have_the_mean_that_was_fitted() -> None:
    costs = fit(Sample("local:1", 1, (Phase(1, 4.0, tuple(Tried(1.0, s) for s in (0.5, 1.0, 1.5, 1.0))),)))
    chance = Random(3)
    drawn = [costs.drawn(1.0, 1, chance) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(1.0, rel=0.02)


def test_one_task_or_tasks_of_one_length_leave_more_doubt() -> None:
    def doubt(*weights: float) -> float:
        return fit(Sample("local:1", 1, (phase(1, list(weights), 0.1, 1.0, 0.0),))).doubt

    assert doubt(1.0) > doubt(1.0, 1.0, 1.0) > doubt(1.0, 3.0, 2.0)


@given(st.floats(0, 0.5), st.floats(0.001, 0.1), st.floats(0, 1.5), st.integers(2, 8))
def test_crowding_is_told_from_what_long_tasks_cost(fixed: float, each: float, crowding: float, workers: int) -> None:
    """One short task alone, short and long ones together: as few as a job that writes files has."""

    def took(weight: float, busy: int) -> Tried:
        return Tried(weight, (fixed + each * weight) * (1 + crowding * (busy - 1)))

    together = tuple(took(weight, workers) for weight in (1.0, 2.0) for _ in range(workers))
    costs = fit(Sample("local", workers, (Phase(1, 1.0, (took(1.0, 1),)), Phase(workers, 1.0, together))))
    assert costs.crowding == pytest.approx(crowding, abs=0.002)
    assert costs.seconds(8.0, workers) == pytest.approx(took(8.0, workers).seconds, rel=0.01)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.001, 100)), min_size=1, max_size=20))
def test_costs_are_never_negative(points: list[tuple[float, float]]) -> None:
    fixed, each = line(points)
    assert fixed >= 0 and each >= 0


@given(st.integers(1, 3000), st.integers(1, 16), st.sampled_from([1, 8]), st.floats(0.001, 0.2), st.booleans())
def test_what_is_tried_is_at_most_the_share_and_never_twice(
    count: int, workers: int, unit: int, share: float, kernels: bool
) -> None:
    found = choose_trials([(0, count)], Weights((0, count), (1.0,)), workers, unit, share, kernels)
    ranges = sorted([*found.cold, *found.alone, *found.together])
    assert ranges and all(a < b for a, b in ranges)
    assert all(before <= after for (_, before), (after, _) in pairwise(ranges))
    units = -(-count // unit)
    assert sum(-(-(b - a) // unit) for a, b in ranges) <= max(1, int(units * share))
    assert all(a % unit == 0 for a, _ in ranges)
    lengths = [-(-(b - a) // unit) for a, b in found.together]
    rounds = [set(lengths[at : at + workers]) for at in range(0, len(lengths), workers)]
    assert all(len(alike) == 1 for alike in rounds), "some work alone while others are done"
    assert len(lengths) % workers == 0 or len(lengths) < workers


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize(("units", "workers"), [(60, 1), (80, 1), (160, 2), (400, 1), (400, 2), (400, 8)])
def test_two_lengths_are_tried_as_soon_as_the_share_allows_it(units: int, workers: int, kernels: bool) -> None:
    found = choose_trials([(0, units)], Weights((0, units), (1.0,)), workers, 1, 0.05, kernels)
    lengths = {b - a for part in (found.cold, found.alone, found.together) for a, b in part}
    assert len(lengths) >= 2


@pytest.mark.parametrize(("units", "lengths"), [(20, [1]), (40, [1]), (60, [2]), (80, [1, 2])])
def test_one_worker_is_warmed_up_as_soon_as_something_else_is_left_to_try(units: int, lengths: list[int]) -> None:
    found = choose_trials([(0, units)], Weights((0, units), (1.0,)), 1, 1)
    assert len(found.cold) == (1 if units > 20 else 0)
    assert [b - a for a, b in found.alone] == lengths


def sampled(*tasks: tuple[float, float]) -> Sample:
    return Sample("inline", 1, (Phase(1, 1.0, tuple(Tried(weight, seconds) for weight, seconds in tasks)),))


@pytest.mark.parametrize("each", [5e-6, 1e-5, 1e-4, 1e-3])
def test_however_far_the_run_is_its_time_is_in_the_interval(each: float) -> None:
    """A task of a millisecond and a bit of data, tried in one length or in two hardly different ones."""

    def took(weight: float, by: float = 1.0) -> tuple[float, float]:
        return weight, (0.001 + each * weight) * by

    far = 10_000.0
    load = Load(shards("partial", 10, tree=False), Weights((0, 10), (far,)))
    for tried in (sampled(took(2.0)), sampled(took(1.0, 0.9), took(1.0, 1.1)), sampled(took(1.0, 1.1), took(2.0, 0.9))):
        found = forecast(load, fit(tried), 0.0, Setting(1))
        assert 0 < found.low < 10 * took(far)[1] < found.high


def test_the_interval_of_what_was_nearly_tried_is_as_wide_as_its_doubt() -> None:
    load = Load(shards("partial", 10, tree=False), Weights((0, 10), (16.0,)))
    costs = replace(fit(sampled((1.0, 1.0), (8.0, 8.0), (8.0, 8.0))), doubt=0.2)
    found = forecast(load, costs, 0.0, Setting(1))
    assert 0.7 < found.low / found.seconds < 0.85 and 1.15 < found.high / found.seconds < 1.4


@given(st.floats(0.0, 20.0))
def test_an_interval_never_begins_at_nothing(doubt: float) -> None:
    load = Load(shards("partial", 10, tree=False), Weights((0, 10), (1.0,)))
    found = forecast(load, Costs(0.0, 1.0, doubt=doubt), 0.0, Setting(1))
    assert 0 < found.low <= found.seconds <= found.high


def test_trials_lie_all_over_the_data() -> None:
    found = choose_trials([(0, 2000)], Weights((0, 2000), (1.0,)), 2, 1)
    quarters = {a // 500 for a, _ in found.together}
    assert quarters == {0, 1, 2, 3}
