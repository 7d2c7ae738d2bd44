"""How much is tried: what the first tasks show, not what warming up costs, decides what is left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shardwise.api.sampling import Ranges, Sampler
from shardwise.plan.sample import Phase, Sample, Tried
from shardwise.plan.shards import Weights

COUNT = 2000


class Pretended(Sampler):
    """Tasks take what they are said to take, at once."""

    def __init__(self, workers: int, fixed: float, each: float, cold: float, kernels: bool = False) -> None:
        work: Any = SimpleNamespace(part_batches=1, target=None, is_native=kernels)
        choice: Any = SimpleNamespace(workers=workers, engine="local")
        super().__init__(work, COUNT, choice, None, lambda graph: {})  # type: ignore[arg-type]
        self._cost = fixed, each, cold

    def _gaps(self) -> list[tuple[int, int]]:
        return [(0, COUNT)]

    def _weights(self) -> Weights:
        return Weights((0, COUNT), (1.0,))

    def _try(self, ranges: Ranges, busy: int, cold: bool = False) -> None:
        if ranges:
            fixed, each, warming = self._cost
            seconds = [fixed + each * (b - a) + (warming if cold else 0.0) for a, b in ranges]
            tried = tuple(Tried(float(b - a), s) for (a, b), s in zip(ranges, seconds))
            self.phases.append(Phase(min(busy, len(ranges)), sum(seconds) / busy, tried, cold))


def tried(sample: Sample) -> float:
    return sum(task.weight for task in sample.tried)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_costly_first_task_shortens_nothing(workers: int) -> None:
    assert 0.045 * COUNT <= tried(Pretended(workers, 0.0, 0.001, cold=3.0).take()) <= 0.05 * COUNT


@pytest.mark.parametrize("workers", [1, 2])
def test_what_tasks_cost_by_themselves_is_not_taken_for_a_pace(workers: int) -> None:
    """A short task that takes half a second says little of one of twenty units."""
    found = tried(Pretended(workers, 0.5, 0.001, cold=0.5).take())
    assert found > 0.03 * COUNT


def test_kernels_get_one_task_as_long_as_can_be() -> None:
    sample = Pretended(1, 0.09, 0.005, cold=0.5, kernels=True).take()
    assert [task.weight for task in sample.warm[-1].tried] == [90.0]
    assert [phase.tried[0].weight for phase in sample.warm] == [1.0, 8.0, 90.0]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_share_that_is_asked_for_is_tried_however_long_it_takes(workers: int) -> None:
    sample = Pretended(workers, 0.0, each=10.0, cold=0.0).more(None, 0.2)
    assert 0.18 * COUNT <= tried(sample) <= 0.2 * COUNT
    assert sample.asked == 0.2


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("each", [0.2, 1.0, 10.0])
def test_what_takes_long_is_shortened_to_about_the_time_there_is(workers: int, each: float) -> None:
    sample = Pretended(workers, 0.0, each, cold=0.0).take(seconds=5.0)
    warm = [phase for phase in sample.phases if not phase.cold]
    assert warm and max(phase.busy for phase in warm) == workers
    assert sum(phase.seconds for phase in warm) <= max(4 * 5.0, 3 * each)
