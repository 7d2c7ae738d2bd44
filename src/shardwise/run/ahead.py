"""Sends one task ahead to each slot that is busy, so that it need not wait for its next one; and has them back.

The next task then lies beside the worker when one ends, where else a slot would stand idle until the driver has heard
of that and its answer has come. What lies there has not begun: no time counts, no memory is claimed for it, and if its
slot is lost it is ready again, and nothing was tried. It waits for one slot alone, so tasks are sent ahead only while
there are plenty for all slots, and as soon as a slot has nothing to do, one of them is had back for it.
"""

from __future__ import annotations

from shardwise.errors import InternalError
from shardwise.run import placement, policies
from shardwise.run.attempts import Attempts, Running
from shardwise.run.claims import Claims
from shardwise.run.messages import Command, Recall, SendAhead
from shardwise.run.slots import Slot, Slots
from shardwise.run.tasks import Node, Tasks
from shardwise.run.transitions import Cause


class Ahead:
    """What is sent ahead in a run.

    Parameters
    ----------
    allowed : bool
        Whether the engine takes a task for a slot that is busy.
    tasks, slots, attempts, claims
        The scheduler's own.
    """

    def __init__(self, allowed: bool, tasks: Tasks, slots: Slots, attempts: Attempts, claims: Claims) -> None:
        self._allowed = allowed
        self._tasks = tasks
        self._slots = slots
        self._attempts = attempts
        self._claims = claims
        self._recalled: set[int] = set()

    def send(self, now: float) -> list[Command]:
        """Give each busy slot a task that follows, while there are plenty."""
        commands: list[Command] = []
        if not self._allowed or not self._plenty:
            return commands
        for number in list(self._slots.unfollowed):
            if not self._plenty:
                break
            node = self._next_for(self._slots[number])
            if node is not None:
                running = self._attempts.send_ahead(node.task.id, number, now)
                self._slots.send_ahead(number, running.attempt)
                self._tasks.start(node, Cause.SENT_AHEAD)
                commands.append(SendAhead(running.task, running.attempt, number))
        return commands

    @property
    def _plenty(self) -> bool:
        return policies.plenty(len(self._tasks.ready), len(self._slots))

    def _next_for(self, slot: Slot) -> Node | None:
        """The task that a slot would be given if it were idle. None where that may be another one by then: a task that
        has failed before, or of a stage where memory ran out; or where only others are near to its host."""
        head = self._tasks.next
        if not placement.may_be_passed(self._claims.of(head), head.failed_on is not None):
            return None
        if not self._tasks.ready.knows_hosts:
            return head if self._claims.is_plain(head) else None
        found = self._tasks.ready.near([slot.host])
        return self._tasks[found[0]] if found and self._claims.is_plain(self._tasks[found[0]]) else None

    def recall(self, all_of_them: bool) -> list[Command]:
        """Have tasks back that have not begun: all, or one for each slot that has nothing to do."""
        wanted = len(self._attempts.ahead)
        if not all_of_them:
            wanted = 0 if self._tasks.ready else min(wanted, len(self._slots.idle))
        commands: list[Command] = []
        if len(self._recalled) < wanted:
            for running in self._attempts.ahead.values():
                if running.attempt not in self._recalled:
                    self._recalled.add(running.attempt)
                    commands.append(Recall(running.slot, running.attempt))
                    if len(self._recalled) >= wanted:
                        break
        return commands

    def began(self, attempt: int, now: float) -> Running:
        """The attempt before it has ended."""
        self._recalled.discard(attempt)
        running = self._attempts.begin_ahead(attempt, now)
        self._tasks.move(self._tasks[running.task], Cause.BEGAN)
        return running

    def validate(self) -> None:
        """Raise InternalError where an attempt is had back that is not ahead."""
        if not self._recalled <= self._attempts.ahead.keys():
            raise InternalError(f"attempts {self._recalled} are had back, but {list(self._attempts.ahead)} are ahead")

    def take_back(self, attempt: int) -> Running | None:
        """It will not begin where it was sent, if it has not begun: its task waits for a slot again."""
        running = self._attempts.ahead.pop(attempt, None)
        if running is not None:
            self._recalled.discard(attempt)
            self._tasks.move(self._tasks[running.task], Cause.TAKEN_BACK)
        return running
