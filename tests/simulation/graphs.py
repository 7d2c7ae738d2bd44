"""Graphs of tasks of many shapes: for each task, which others it needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from shardwise.run.messages import Task

Needs = list[tuple[int, ...]]


def apart(count: int) -> Needs:
    """Nobody needs anybody."""
    return [()] * count


def chain(count: int) -> Needs:
    """Everybody needs the one before."""
    return [(i - 1,) if i else () for i in range(count)]


def tree(count: int) -> Needs:
    """Leaves, and then merges of the two oldest that are not merged yet."""
    needs = apart((count + 1) // 2)
    loose = deque(range(len(needs)))
    while len(loose) > 1:
        needs.append((loose.popleft(), loose.popleft()))
        loose.append(len(needs) - 1)
    return needs


def diamonds(count: int) -> Needs:
    """One feeds two, which feed one, which feeds two."""
    return [(i - i % 3,) if i % 3 else (i - 2, i - 1) if i else () for i in range(count)]


def any_shape(count: int, chance: Random) -> Needs:
    """Everybody needs up to four of those before."""
    return [tuple(chance.sample(range(i), chance.randint(0, min(i, 4)))) for i in range(count)]


def draw_graph(chance: Random) -> tuple[Task, ...]:
    """A graph of up to 16 tasks in two stages, each with ordinals of its own; of some graphs, tasks can be split.
    Sometimes ids are shuffled, so that lower ones need higher ones, too."""
    count = chance.randint(0, 16)
    shapes: list[Callable[[int], Needs]] = [apart, chain, tree, diamonds, lambda count: any_shape(count, chance)]
    needs = chance.choice(shapes)(count)
    ids = list(range(len(needs)))
    if chance.random() < 0.3:
        chance.shuffle(ids)
    unit, longest = chance.choice((0, 1, 1, 2, 3)), chance.choice((1, 4, 20))
    tasks = []
    for i in range(len(needs)):
        first = 60 * i
        last = first + chance.randint(1, longest)
        tasks.append(Task(ids[i], f"stage-{i % 2}", first, last, tuple(ids[need] for need in needs[i]), unit=unit))
    return tuple(sorted(tasks, key=lambda task: task.id))
