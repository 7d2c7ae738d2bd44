"""A scheduler on the bench: validated after every event, with a clock of its own."""

from __future__ import annotations

import dataclasses

from shardwise.compute.task import Failure
from shardwise.run.messages import (
    Budgets,
    Command,
    Committed,
    Event,
    Failed,
    SlotAdded,
    SlotLost,
    Succeeded,
    Task,
    Tick,
)
from shardwise.run.scheduler import Scheduler


class Bench:
    """A scheduler that is validated after every event, and a clock."""

    def __init__(
        self,
        *tasks: Task,
        slots: int = 1,
        hosts: str = "a",
        budgets: Budgets | None = None,
        first: int = 0,
        ahead: bool = False,
    ) -> None:
        self.now = 0.0
        self.scheduler = Scheduler(tasks, budgets or Budgets(), first, ahead)
        self.begun = self.handle(*(SlotAdded(0.0, slot, hosts[slot % len(hosts)]) for slot in range(slots)))

    def handle(self, *events: Event) -> list[Command]:
        commands = self.scheduler.handle(*(dataclasses.replace(event, now=self.now) for event in events))
        self.scheduler.validate()
        return commands

    def succeed(self, attempt: int, slot: int = 0, shares: int = 0) -> list[Command]:
        return self.handle(Succeeded(0.0, slot, attempt, shares))

    def fail(self, attempt: int, kind: str = "exception", slot: int = 0) -> list[Command]:
        return self.handle(Failed(0.0, slot, attempt, Failure(kind, "Some", "thing")))

    def lose(self, slot: int, kind: str = "crash") -> list[Command]:
        return self.handle(SlotLost(0.0, slot, kind, "gone"))

    def add(self, slot: int, host: str = "a") -> list[Command]:
        return self.handle(SlotAdded(0.0, slot, host))

    def commit(self, attempt: int) -> list[Command]:
        return self.handle(Committed(0.0, attempt))

    def later(self, seconds: float) -> list[Command]:
        self.now += seconds
        return self.handle(Tick(0.0))


def task(number: int, *needs: int, done: bool = False) -> Task:
    return Task(number, "stage", number, number + 1, needs, done)


def only(kind: type, commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, kind)]
