"""What the scheduler costs by itself: ``python -m benchmarks.scheduler --tasks 1000000 --workers 10000``.

Nothing is computed and hours pass at once. Tasks take 30 to 90 seconds, one in a hundred ten times as long, and with
one in a hundred its worker dies.
"""

from __future__ import annotations

import argparse
import resource
import time
from random import Random

from shardwise.plan.simulate import Course, Handle, World, carry_out
from shardwise.run.messages import Task
from shardwise.run.scheduler import Scheduler


def uneven(task: Task, busy: int, chance: Random) -> float:
    """Seconds of a task."""
    return chance.uniform(30, 90) * (10 if chance.random() < 0.01 else 1)


def course(tasks: int, workers: int, handle: Handle = Scheduler.handle) -> Course:
    """Let a scheduler carry tasks out on workers."""
    graph = [Task(number, "map", number, number + 1) for number in range(tasks)]
    world = World(workers, uneven, commit=0.1, mortality=0.01, slots_per_host=max(1, workers // 100))
    return carry_out(graph, world, seed=1, handle=handle)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduler", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=10_000)
    arguments = parser.parse_args()
    began = time.process_time()
    went = course(arguments.tasks, arguments.workers)
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.tasks} tasks, {arguments.workers} workers: "
        f"{went.seconds:.0f} virtual seconds, {went.events} events"
    )
    print(
        f"{seconds:.1f} s of processor time, {seconds / went.events * 1e6:.1f} microseconds an event, {memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
