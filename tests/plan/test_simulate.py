"""The real scheduler in virtual time: bounds that every course keeps, and the same course from the same seed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwise.plan.costs import Costs
from shardwise.plan.forecast import DRIFT, Load, Setting, forecast
from shardwise.plan.scaled import shards
from shardwise.plan.shards import Weights
from shardwise.plan.simulate import World, carry_out
from shardwise.run.messages import Budgets, Task


def independent(count: int) -> list[Task]:
    return [Task(number, "map", number, number + 1) for number in range(count)]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40), st.integers(1, 8))
def test_a_course_takes_as_long_as_list_scheduling_does(seconds: list[float], slots: int) -> None:
    def cost(task: Task, busy: int, chance: Random) -> float:
        return seconds[task.id]

    course = carry_out(independent(len(seconds)), World(slots, cost), budgets=Budgets(speculate=False))
    ends = [0.0] * slots
    for each in seconds:  # whoever is free first takes the next
        ends[ends.index(min(ends))] += each
    assert max(ends) <= course.seconds + 1e-9 <= max(ends) + 0.1 + 1e-6
    assert course.busy == pytest.approx(sum(seconds))


@given(st.integers(0, 100), st.floats(0, 0.2))
def test_the_same_seed_gives_the_same_course(seed: int, mortality: float) -> None:
    def cost(task: Task, busy: int, chance: Random) -> float:
        return chance.uniform(1, 3)

    world = World(3, cost, mortality=mortality)
    budgets = Budgets(crash=1000)
    assert carry_out(independent(30), world, seed, budgets) == carry_out(independent(30), world, seed, budgets)


def test_neighbours_slow_each_other_down_only_where_they_meet() -> None:
    load = Load(independent(40), Weights((0, 40), (1.0,)))
    costs = Costs(0.0, 1.0, crowding=1.0)
    together = forecast(load, costs, 0.0, Setting(2)).seconds
    apart = forecast(load, costs, 0.0, Setting(2, hosts=2)).seconds
    alone = forecast(load, costs, 0.0, Setting(1)).seconds
    assert together == pytest.approx(alone, rel=0.1)
    assert apart == pytest.approx(alone / 2, rel=0.1)


def test_merging_counts_by_what_is_merged() -> None:
    load = Load(shards("partial", 33, tree=True), Weights((0, 33), (1.0,)))
    found = forecast(load, Costs(0.0, 1.0), 0.5, Setting(1))
    assert found.stages["finish"] == pytest.approx(3 * 0.5, rel=0.3)
    assert found.seconds == pytest.approx(33 + 0.5 * (33 + 2), rel=0.1)  # the last state needs no merge of its own


def test_what_is_done_costs_nothing() -> None:
    tasks = [Task(n, "map", n, n + 1, done=n < 30) for n in range(40)]
    found = forecast(Load(tasks, Weights((0, 40), (1.0,))), Costs(0.0, 1.0), 0.0, Setting(1))
    assert found.seconds == pytest.approx(10, rel=0.1)
    done = [Task(n, "map", n, n + 1, done=True) for n in range(4)]
    assert forecast(Load(done, Weights((0, 4), (1.0,))), Costs(0.0, 1.0), 0.0, Setting(1)).seconds == 0


def test_the_interval_widens_with_doubt_and_never_below_drift() -> None:
    load = Load(independent(50), Weights((0, 50), (1.0,)))

    def width(doubt: float) -> float:
        found = forecast(load, Costs(0.0, 1.0, doubt=doubt), 0.0, Setting(2))
        return (found.high - found.low) / found.seconds

    assert 2 * DRIFT < width(0.0) < width(0.2) < width(0.5)
