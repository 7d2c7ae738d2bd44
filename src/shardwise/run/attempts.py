"""The attempts of a run: which are on slots, which are being committed, which were kept."""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.errors import InternalError


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt on a slot, since when."""

    task: int
    attempt: int
    slot: int
    since: float


class Attempts:
    """All attempts that can still matter. One that is in neither of the three places came to nothing.

    Parameters
    ----------
    first : int
        The number of the first; those below were given out by earlier drivers.
    """

    def __init__(self, first: int) -> None:
        self.running: dict[int, Running] = {}
        self.committing: dict[int, int] = {}  # and for which task
        self.kept: set[int] = set()
        self._first = self._next = first

    def begin(self, task: int, slot: int, now: float) -> Running:
        """Give out a number that was never used."""
        running = self.running[self._next] = Running(task, self._next, slot, now)
        self._next += 1
        return running

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
        numbers = [*self.running, *self.committing, *self.kept]
        if len(set(numbers)) < len(numbers):
            raise InternalError("an attempt is kept in two places")
        if any(not self._first <= number < self._next for number in numbers):
            raise InternalError("an attempt has a number that was not given out")
