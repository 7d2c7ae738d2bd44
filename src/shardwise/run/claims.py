"""How much of its host's memory a task claims, and what becomes of one that ran out: it is halved, or claims more."""

from __future__ import annotations

from shardwise.compute.task import Failure
from shardwise.run import policies
from shardwise.run.messages import Split
from shardwise.run.paces import Lesson, Paces
from shardwise.run.slots import Slot, Slots
from shardwise.run.tasks import Node, Tasks


class Claims:
    """Of all tasks of a run. What the stages have learned stands in their paces.

    Parameters
    ----------
    tasks, slots, paces
        The scheduler's own.
    """

    def __init__(self, tasks: Tasks, slots: Slots, paces: Paces) -> None:
        self._tasks = tasks
        self._slots = slots
        self._paces = paces

    def of(self, node: Node) -> int:
        """Shares of its host's memory for the next attempt: no more than tasks of this size are known to need."""
        known = self._paces[node.task.stage].shares_for(node.ordinals, node.shares)
        return max(node.least, min(node.shares, known))

    def is_plain(self, node: Node) -> bool:
        """Whether its next attempt asks for nothing but an idle slot: for one share, and for no other place."""
        return self.of(node) == 1 and node.failed_on is None and not self._paces[node.task.stage].lessons

    def ran_out(self, node: Node, failure: Failure, slot: Slot) -> Split | None:
        """Learn from an attempt that ran out of memory on a slot, and halve its task where that is possible."""
        lesson = Lesson(node.task.first, node.task.last, slot.shares, failure)
        self._paces[node.task.stage].ran_out(lesson)
        return self._halved(node, policies.more_shares(slot.shares, self._slots.shares_of(slot.host)), failure)

    def may_grow(self, node: Node, slot: Slot) -> bool:
        """Have a task that cannot be halved claim more than its slot had, unless that was all its host has."""
        most = self._slots.shares_of(slot.host)
        if slot.shares < most:
            node.shares = node.least = policies.more_shares(slot.shares, most)
        return slot.shares < most

    def heed_lessons(self, node: Node) -> Split | None:
        """Do with a task what would be done after an attempt in vain, where others as large were."""
        pace = self._paces[node.task.stage]
        if not pace.lessons:
            return None
        most = self._slots.most_shares
        while failure := pace.too_large(node.ordinals, claim := self.of(node)):
            more = policies.more_shares(claim, most)
            if (split := self._halved(node, more, failure)) is not None:
                return split
            if claim >= most:
                break
            node.shares = node.least = more
        return None

    def _halved(self, node: Node, shares: int, failure: Failure) -> Split | None:
        cut = policies.middle(node.task.first, node.task.last, node.task.unit)
        if cut is None:
            return None
        self._paces[node.task.stage].tasks += 1
        return Split(node.task.id, self._tasks.split(node, cut, shares), failure)
