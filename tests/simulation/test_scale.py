"""What an event costs does not grow with the number of tasks or workers: counted in calls, which no clock disturbs."""

from __future__ import annotations

import cProfile

from benchmarks.scheduler import course


def calls_per_event(tasks: int, workers: int) -> float:
    """Calls that the scheduler makes for each event of a run in which workers die and tasks dawdle."""
    profile = cProfile.Profile()
    events = course(tasks, workers, lambda scheduler, event: profile.runcall(scheduler.handle, event)).events
    return sum(entry.callcount for entry in profile.getstats()) / events  # type: ignore[attr-defined]


def test_ten_times_the_workers_cost_an_event_no_more() -> None:
    assert calls_per_event(2000, 1000) < 1.5 * calls_per_event(2000, 100)


def test_ten_times_the_tasks_cost_an_event_no_more() -> None:
    assert calls_per_event(10_000, 50) < 1.2 * calls_per_event(1_000, 50)
