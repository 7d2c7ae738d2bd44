"""An engine that really computes, in an order drawn by lot, and loses attempts on the way."""

from __future__ import annotations

from random import Random

from shardwise import records
from shardwise.compute.execute import PickledProgram, execute
from shardwise.compute.task import Failure, Outcome, TaskSpec
from shardwise.engines.protocol import EngineEvent, Finished, SlotDown, SlotUp, Want


class PowerCut(Exception):
    """The driver is gone."""


class UnrulyEngine:
    """Slots whose attempts end in any order; some raise, some take their worker with them, some do their work first.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    slots : int
        Attempts under way at once.
    outcomes : int, optional
        After so many that succeeded, ``wait`` raises PowerCut.
    """

    name = "unruly"

    def __init__(self, seed: int, slots: int, outcomes: int | None = None) -> None:
        self.chance = Random(seed)
        self.slots = slots
        self.left = outcomes
        self.faults = 0
        self.order: list[int] = []
        self._programs: dict[str, bytes] = {}
        self._tasks: dict[int, TaskSpec] = {}
        self._next = 0
        self._events: list[EngineEvent] = []

    def open(self, want: Want) -> None:
        for _ in range(self.slots):
            self._lend()

    def put(self, blob: bytes) -> str:
        ref = str(len(self._programs))
        self._programs[ref] = blob
        return ref

    def send(self, slot: int, task: bytes) -> None:
        self._tasks[slot] = records.from_json(TaskSpec, task)

    def kill(self, slot: int) -> None:
        self._lose(slot, "killed")

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        if self._tasks and not self._events:
            self._end(self.chance.choice(sorted(self._tasks)))
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self._tasks.clear()

    def _end(self, slot: int) -> None:
        spec, fate = self._tasks[slot], self.chance.random()
        works = fate >= 0.15
        outcome = Outcome(spec.task, spec.attempt, (), Failure("exception", "Bad", "luck"))
        if works:
            outcome = execute(spec, PickledProgram(self._programs[spec.program]))
        if fate < 0.3 and works:  # its work is done, and nobody hears of it
            self._lose(slot, "crash")
        else:
            del self._tasks[slot]
            self._events.append(Finished(slot, records.to_json(outcome).encode()))
            if works:
                self._count(spec)
        self.faults += fate < 0.3

    def _count(self, spec: TaskSpec) -> None:
        self.order.append(spec.first)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise PowerCut

    def _lose(self, slot: int, kind: str) -> None:
        self._tasks.pop(slot, None)
        self._events.append(SlotDown(slot, kind, "drawn by lot"))
        self._lend()

    def _lend(self) -> None:
        self._events.append(SlotUp(self._next, "here", 0))
        self._next += 1
