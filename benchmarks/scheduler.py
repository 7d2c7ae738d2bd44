"""What the scheduler costs by itself: ``python -m benchmarks.scheduler --tasks 1000000 --workers 10000``.

Nothing is computed and hours pass at once. Tasks take 30 to 90 seconds, one in a hundred ten times as long, and with
one in a hundred its worker dies.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random

from shardwise.run import messages as m
from shardwise.run.scheduler import Scheduler

Handle = Callable[[Scheduler, m.Event], Sequence[m.Command]]


def carry_out(tasks: int, workers: int, handle: Handle = Scheduler.handle) -> tuple[float, int]:
    """Let a scheduler carry tasks out on workers; the virtual seconds that took, and how many events it was told."""
    scheduler = Scheduler([m.Task(number, "map", number, number + 1) for number in range(tasks)], m.Budgets())
    chance, agenda, events, now = Random(1), list[tuple[float, int, m.Event]](), 0, 0.0
    wake: float | None = None

    def later(event: m.Event) -> None:
        nonlocal events
        heappush(agenda, (event.now, events, event))
        events += 1

    for slot in range(workers):
        later(m.SlotAdded(0.0, slot, f"host-{slot % 100}"))
    while not scheduler.finished:
        due = wake is not None and (not agenda or wake < agenda[0][0])
        event = m.Tick(wake or 0.0) if due else heappop(agenda)[2]
        now, wake = event.now, None
        for command in handle(scheduler, event):
            match command:
                case m.Start(_, attempt, slot):
                    end = now + chance.uniform(30, 90) * (10 if chance.random() < 0.01 else 1)
                    if chance.random() < 0.01:
                        later(m.SlotLost(end, slot, "crash", "gone"))
                        later(m.SlotAdded(end + 5, workers + events, "host-0"))
                    else:
                        later(m.Succeeded(end, slot, attempt))
                case m.Commit(_, attempt):
                    later(m.Committed(now + 0.1, attempt))
                case m.Kill(slot, _):
                    later(m.SlotLost(now, slot, "killed", "asked for"))
                case m.Wake(at):
                    wake = at
                case m.Stop(how) if how != "done":
                    raise AssertionError(f"the run ended as {how}")
    return now, events


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduler", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=10_000)
    arguments = parser.parse_args()
    began = time.process_time()
    virtual, events = carry_out(arguments.tasks, arguments.workers)
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.tasks} tasks, {arguments.workers} workers: {virtual:.0f} virtual seconds, {events} events")
    print(f"{seconds:.1f} s of processor time, {seconds / events * 1e6:.1f} microseconds an event, {memory:.0f} MB")


if __name__ == "__main__":
    main()
