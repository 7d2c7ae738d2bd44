"""What an event costs does not grow with the number of tasks or workers: counted in calls, which no clock disturbs."""

from __future__ import annotations

import cProfile
from heapq import heappop, heappush
from random import Random

from shardwise.run.messages import (
    Budgets,
    Commit,
    Committed,
    Event,
    Kill,
    SlotAdded,
    SlotLost,
    Start,
    Stop,
    Succeeded,
    Task,
    Tick,
    Wake,
)
from shardwise.run.scheduler import Scheduler


def calls_per_event(tasks: int, workers: int) -> float:
    """Calls that the scheduler makes for each event of a run in which a worker in a hundred dies at work."""
    scheduler = Scheduler([Task(number, "map", number, number + 1) for number in range(tasks)], Budgets())
    chance, agenda, events, wake, profile = Random(1), [], 0, None, cProfile.Profile()  # type: ignore[var-annotated]

    def later(at: float, event: Event) -> None:
        nonlocal events
        heappush(agenda, (at, events, event))
        events += 1

    for slot in range(workers):
        later(0.0, SlotAdded(0.0, slot, f"host-{slot % 100}"))
    while not scheduler.finished:
        if wake is not None and (not agenda or wake < agenda[0][0]):
            event: Event = Tick(wake)
        else:
            event = heappop(agenda)[2]
        commands = profile.runcall(scheduler.handle, event)
        wake = None
        for command in commands:
            match command:
                case Start(_, attempt, slot):
                    end = event.now + chance.uniform(30, 90) * (10 if chance.random() < 0.01 else 1)
                    if chance.random() < 0.01:
                        later(end, SlotLost(end, slot, "crash", "gone"))
                        later(end + 5, SlotAdded(end + 5, workers + events, "host-0"))
                    else:
                        later(end, Succeeded(end, slot, attempt))
                case Commit(_, attempt):
                    later(event.now + 0.1, Committed(event.now + 0.1, attempt))
                case Kill(slot, _):
                    later(event.now, SlotLost(event.now, slot, "killed", "asked for"))
                case Wake(at):
                    wake = at
                case Stop(how):
                    assert how == "done"
    return sum(entry.callcount for entry in profile.getstats()) / events  # type: ignore[attr-defined]


def test_ten_times_the_workers_cost_an_event_no_more() -> None:
    assert calls_per_event(2000, 1000) < 1.5 * calls_per_event(2000, 100)


def test_ten_times_the_tasks_cost_an_event_no_more() -> None:
    assert calls_per_event(10_000, 50) < 1.2 * calls_per_event(1_000, 50)
