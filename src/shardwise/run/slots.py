"""The workers that are there: which is idle, which has which attempt, which is about to die."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from shardwise.errors import InternalError
from shardwise.run.policies import elsewhere


@dataclass(slots=True)
class Slot:
    """A worker. A condemned one was told to die and gets no more work."""

    number: int
    host: str
    attempt: int | None = None
    condemned: bool = False


class Slots:
    """All slots of a run. A number, once lost, never comes back, in whatever order the news arrives."""

    def __init__(self) -> None:
        self.most = 0  # that were there at the same time
        self.idle: list[int] = []  # heap of numbers
        self._there: dict[int, Slot] = {}
        self._gone: set[int] = set()

    def __getitem__(self, number: int) -> Slot:
        return self._there[number]

    def add(self, number: int, host: str) -> None:
        """Note a new slot; one that is known or was lost already is no news."""
        if number not in self._there and number not in self._gone:
            self._there[number] = Slot(number, host)
            self.most = max(self.most, len(self._there))
            heappush(self.idle, number)

    def known_lost(self, number: int) -> bool:
        """Say whether ``lose`` was told already."""
        return number in self._gone

    def lose(self, number: int) -> Slot | None:
        """Note that a slot is gone; gives it as it was, or None if it had never come."""
        self._gone.add(number)
        slot = self._there.pop(number, None)
        if slot is not None and slot.attempt is None and not slot.condemned:
            self.idle.remove(number)
            heapify(self.idle)
        return slot

    def take(self, failed_on: Slot | None) -> Slot:
        """Give an idle slot away: the lowest, or one that is elsewhere than where the task failed before."""
        if failed_on is None:
            number = heappop(self.idle)
        else:
            places = [(number, self._there[number].host) for number in self.idle]
            number = elsewhere(places, failed_on.number, failed_on.host)
            self.idle.remove(number)
            heapify(self.idle)
        return self._there[number]

    def release(self, number: int) -> Slot:
        """Take the attempt off a slot, which is idle then unless it is condemned."""
        slot = self._there[number]
        slot.attempt = None
        if not slot.condemned:
            heappush(self.idle, number)
        return slot

    def validate(self, attempts: dict[int, int]) -> None:
        """Raise InternalError unless exactly ``attempts`` ({attempt: slot}) are on slots, and the rest is idle."""
        if {slot.attempt: number for number, slot in self._there.items() if slot.attempt is not None} != attempts:
            raise InternalError(f"slots {self._there} do not agree with attempts {attempts}")
        idle = [number for number, slot in self._there.items() if slot.attempt is None and not slot.condemned]
        if sorted(idle) != sorted(self.idle):
            raise InternalError(f"slots {sorted(idle)} are idle, but {sorted(self.idle)} are in the queue")
        if self._gone & self._there.keys():
            raise InternalError(f"slots {self._gone & self._there.keys()} are there and gone")
