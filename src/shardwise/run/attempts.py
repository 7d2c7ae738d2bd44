"""The attempts of a run: which are on slots, or ahead there, which are being committed, which were kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shardwise.errors import InternalError


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt on a slot, since when."""

    task: int
    attempt: int
    slot: int
    since: float
    shares: int = 1
    backup: bool = False


class Attempts:
    """All attempts that can still matter. One that is in none of the four places came to nothing.

    Parameters
    ----------
    first : int
        The number of the first; those below were given out by earlier drivers.
    """

    def __init__(self, first: int) -> None:
        self.running: dict[int, Running] = {}
        self.ahead: dict[int, Running] = {}  # sent to slots that are at others, oldest first
        self.rivals: dict[int, list[Running]] = {}  # those that are running, by task
        self.committing: dict[int, int] = {}  # and for which task
        self.kept: set[int] = set()
        self._first = self._next = first

    def begin(self, task: int, slot: int, now: float, shares: int = 1) -> Running:
        """Give out a number that was never used. A backup is what a second one beside a first one is."""
        rivals = self.rivals.setdefault(task, [])
        running = self.running[self._next] = Running(task, self._next, slot, now, shares, backup=bool(rivals))
        rivals.append(running)
        self._next += 1
        return running

    def send_ahead(self, task: int, slot: int, now: float) -> Running:
        """Give out a number for an attempt that begins later."""
        running = self.ahead[self._next] = Running(task, self._next, slot, now)
        self._next += 1
        return running

    def begin_ahead(self, attempt: int, now: float) -> Running:
        """What was sent ahead is under way now: the only one of its task."""
        running = self.running[attempt] = replace(self.ahead.pop(attempt), since=now)
        self.rivals[running.task] = [running]
        return running

    def end(self, attempt: int) -> Running | None:
        """Take an attempt off the list of those running, if it is on it."""
        running = self.running.pop(attempt, None)
        if running is not None:
            rivals = self.rivals[running.task]
            if len(rivals) > 1:
                rivals.remove(running)
            else:
                del self.rivals[running.task]
        return running

    def of(self, task: int) -> tuple[Running, ...]:
        """Those of a task that are running: two at most."""
        return tuple(self.rivals.get(task, ()))

    def end_commit(self, attempt: int) -> int:
        """Take an attempt off the list of those being committed; gives its task."""
        if attempt not in self.committing:
            raise InternalError(f"the journal answered for attempt {attempt}, which it was not asked to commit")
        return self.committing.pop(attempt)

    def is_precious(self, attempt: int) -> bool:
        """Whether its outputs are, or may become, part of the run; those of an earlier driver may be."""
        return attempt in self.kept or attempt in self.committing or attempt < self._first

    def validate(self) -> None:
        """Raise InternalError unless every attempt is in one place and has a number that was given out."""
        numbers = [*self.running, *self.ahead, *self.committing, *self.kept]
        if len(set(numbers)) < len(numbers):
            raise InternalError("an attempt is kept in two places")
        if sorted(at.attempt for rivals in self.rivals.values() for at in rivals) != sorted(self.running):
            raise InternalError(f"attempts {sorted(self.running)} are running, but by task they are {self.rivals}")
        if any(not self._first <= number < self._next for number in numbers):
            raise InternalError("an attempt has a number that was not given out")
