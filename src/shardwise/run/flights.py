"""Attempts between the command that sends them and their end, as whoever sends them sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardwise.run.task import Task

if TYPE_CHECKING:
    from shardwise.compute.task import Outcome


@dataclass(slots=True)
class Flight:
    """An attempt on its way."""

    task: Task
    slot: int
    backup: bool = False
    shares: int = 1
    host: str = ""
    sent: int = 0  # bytes
    outcome: Outcome | None = None


class Flights(dict[int, Flight]):
    """All of them, by number of the attempt; ``ahead`` are those that have not begun, by slot.

    Examples
    --------
    >>> task = Task(0, "map", 0, 8)
    >>> flights = Flights({3: Flight(task, slot=1), 4: Flight(task, slot=1)})
    >>> flights.ahead[1] = 4
    >>> flights.under_way, flights.lost_with(1)
    (1, 3)
    >>> flights.drop(4).slot, flights.ahead
    (1, {})
    """

    def __init__(self, flights: dict[int, Flight] | None = None) -> None:
        super().__init__(flights or {})
        self.ahead: dict[int, int] = {}

    @property
    def under_way(self) -> int:
        """How many have begun and not answered."""
        return sum(flight.outcome is None for flight in self.values()) - len(self.ahead)

    def lost_with(self, slot: int) -> int | None:
        """The attempt that a slot is at."""
        found = (n for n, at in self.items() if at.slot == slot and at.outcome is None and n != self.ahead.get(slot))
        return next(found, None)

    def drop(self, attempt: int) -> Flight | None:
        """Forget one."""
        flight = self.pop(attempt, None)
        if flight is not None and self.ahead.get(flight.slot) == attempt:
            del self.ahead[flight.slot]
        return flight
