"""The scheduler of a run, carried out in virtual time: hours pass at once, nothing is computed.

It is the very scheduler that the run will have (``run.scheduler``), told what an engine and a journal would tell it,
so that order, balance, back-ups of stragglers, fan-in and the end of a run are not modelled but happen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from shardwise.run import messages as m
from shardwise.run.commits import GATHER_SECONDS
from shardwise.run.scheduler import Scheduler

Cost = Callable[[m.Task, int, Random], float]
"""Seconds that a slot is busy with a task, given how many slots are busy with it, itself included."""

Handle = Callable[[Scheduler, m.Event], Sequence[m.Command]]


@dataclass(frozen=True, slots=True)
class World:
    """What the simulated engine and journal are like.

    Parameters
    ----------
    slots : int
        Workers.
    cost : callable
        Seconds of a task.
    start : float
        Seconds until workers are up; the k-th comes ``apart`` seconds after the one before.
    apart : float
        See ``start``.
    commit : float
        Seconds from the end of a task to its place in the journal where nothing else is under way.
    gather : float
        Seconds that a commit waits for company while other tasks run.
    mortality : float
        Part of the attempts whose worker dies at their end.
    rebirth : float
        Seconds until a dead worker has a successor.
    slots_per_host : int
        Workers that share a host.
    """

    slots: int
    cost: Cost
    start: float = 0.0
    apart: float = 0.0
    commit: float = 0.0
    gather: float = GATHER_SECONDS
    mortality: float = 0.0
    rebirth: float = 5.0
    slots_per_host: int = 1


@dataclass(slots=True)
class Course:
    """How a simulated run went.

    Attributes
    ----------
    seconds : float
        Of virtual time, from the first request for workers to the last commit.
    busy : float
        Seconds that slots were busy, all together.
    events : int
        That the scheduler was told.
    ends : dict
        When the last task of each stage was committed.
    """

    seconds: float = 0.0
    busy: float = 0.0
    events: int = 0
    ends: dict[str, float] = field(default_factory=dict)


def carry_out(
    tasks: Sequence[m.Task],
    world: World,
    seed: int = 0,
    budgets: m.Budgets | None = None,
    handle: Handle = Scheduler.handle,
) -> Course:
    """Let the scheduler carry tasks out in a world. The same arguments give the same course, to the last event.

    Raises
    ------
    RuntimeError
        The simulated run failed: workers die too often.

    Examples
    --------
    >>> tasks = [m.Task(number, "map", number, number + 1) for number in range(8)]
    >>> carry_out(tasks, World(slots=2, cost=lambda task, busy, chance: 1.0)).seconds
    4.0
    """
    if all(task.done for task in tasks):
        return Course()
    return _Simulation(tasks, world, seed, budgets or m.Budgets(), handle).until_stop()


class _Simulation:
    def __init__(self, tasks: Sequence[m.Task], world: World, seed: int, budgets: m.Budgets, handle: Handle) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._world = world
        self._chance = Random(seed)
        self._scheduler = Scheduler(tasks, budgets)
        self._handle = handle
        self._agenda: list[tuple[float, int, m.Event | None]] = []  # None: look whether a group of commits is due
        self._entries = 0
        self._numbers = world.slots  # slots given out
        self._running: dict[int, float] = {}  # attempt: since
        self._by_slot: dict[int, int] = {}
        self._replaced: set[int] = set()  # slots whose successor is on its way
        self._gathering: list[m.Commit] = []
        self._gathering_since = 0.0
        self._course = Course()

    def until_stop(self) -> Course:
        world, wake = self._world, None
        for slot in range(world.slots):
            at = world.start + slot * world.apart
            self._later(at, m.SlotAdded(at, slot, self._host(slot)))
        while not self._scheduler.finished:
            if wake is not None and (not self._agenda or wake < self._agenda[0][0]):
                now, event = wake, m.Tick(wake)
            else:
                now, _, event = heappop(self._agenda)  # type: ignore[assignment]
            if event is not None:
                self._note(event, now)
                wake = self._obey(self._handle(self._scheduler, event), now)
            if self._gathering:
                self._commit(now)
        return self._course

    def _note(self, event: m.Event, now: float) -> None:
        self._course.events += 1
        if isinstance(event, (m.Succeeded, m.SlotLost)):
            began = self._running.pop(self._by_slot.pop(event.slot, -1), now)
            self._course.busy += now - began
        elif isinstance(event, m.Committed):
            self._course.seconds = now

    def _obey(self, commands: Sequence[m.Command], now: float) -> float | None:
        wake = None
        for command in commands:
            match command:
                case m.Start(task, attempt, slot):
                    self._start(self._tasks[task], attempt, slot, now)
                case m.Commit():
                    if not self._gathering:
                        self._gathering_since = now
                        self._later(now + self._world.gather, None)
                    self._gathering.append(command)
                case m.Kill(slot, _):
                    self._lose(slot, now, "killed")
                case m.Wake(at):
                    wake = at
                case m.Stop(how) if how != "done":
                    raise RuntimeError(f"the simulated run ended as {how}")
        return wake

    def _start(self, task: m.Task, attempt: int, slot: int, now: float) -> None:
        self._running[attempt] = now
        self._by_slot[slot] = attempt
        end = now + self._world.cost(task, len(self._running), self._chance)
        if self._chance.random() < self._world.mortality:
            self._lose(slot, end, "crash")
        else:
            self._later(end, m.Succeeded(end, slot, attempt))

    def _commit(self, now: float) -> None:
        """Commit a group when it has waited long enough, or nobody works who could join it."""
        if not self._running or now >= self._gathering_since + self._world.gather:
            at = now + self._world.commit
            for commit in self._gathering:
                self._later(at, m.Committed(at, commit.attempt))
                self._course.ends[self._tasks[commit.task].stage] = at
            self._gathering = []

    def _lose(self, slot: int, at: float, kind: str) -> None:
        self._later(at, m.SlotLost(at, slot, kind, "simulated"))
        if slot not in self._replaced:
            self._replaced.add(slot)
            back = at + self._world.rebirth
            self._later(back, m.SlotAdded(back, self._numbers, self._host(slot)))
            self._numbers += 1

    def _host(self, slot: int) -> str:
        return f"host-{slot // self._world.slots_per_host}"

    def _later(self, at: float, event: m.Event | None) -> None:
        heappush(self._agenda, (at, self._entries, event))
        self._entries += 1
