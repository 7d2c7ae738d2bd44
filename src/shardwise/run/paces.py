"""What the attempts of a stage have shown so far: how long they take, and how much memory is enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from shardwise.compute.task import Failure
from shardwise.run.attempts import Running
from shardwise.run.median import RunningMedian
from shardwise.run.policies import LESSONS, backup_after


@dataclass(frozen=True, slots=True)
class Lesson:
    """So many shares of a host's memory were not enough for the ordinals [first, last)."""

    first: int
    last: int
    shares: int
    failure: Failure

    @property
    def ordinals(self) -> int:
        """How many they are."""
        return self.last - self.first

    def contains(self, other: Lesson) -> bool:
        """Whether the other one says more: of less data, with as much memory."""
        return self.first <= other.first and other.last <= self.last and self.shares <= other.shares


@dataclass(slots=True)
class Pace:
    """Of one stage.

    Parameters
    ----------
    tasks, finished : int
        All, and those that are done or have an attempt that succeeded.
    """

    tasks: int = 0
    finished: int = 0
    seconds: RunningMedian = field(default_factory=RunningMedian)  # of attempts that succeeded
    enough: dict[int, int] = field(default_factory=dict)  # {shares of memory: ordinals that fit into them}
    lessons: list[Lesson] = field(default_factory=list)  # what ran out of memory; none of them contains another
    began: list[tuple[float, int]] = field(default_factory=list)  # heap of (since, attempt); some have ended
    late: list[tuple[float, int]] = field(default_factory=list)  # taken off ``began`` when last looked at

    def succeeded(self, seconds: float, ordinals: int, shares: int) -> None:
        """An attempt at so many ordinals took so long; so many shares of memory would have been enough."""
        self.finished += 1
        self.seconds.add(seconds)
        self.enough[shares] = max(self.enough.get(shares, 0), ordinals)

    def ran_out(self, lesson: Lesson) -> None:
        """Something was too large, whatever was seen before."""
        self.lessons = [old for old in self.lessons if not old.contains(lesson)] + [lesson]
        for fewer in self.enough:
            if fewer <= lesson.shares:
                self.enough[fewer] = min(self.enough[fewer], lesson.ordinals - 1)

    def too_large(self, ordinals: int, shares: int) -> Failure | None:
        """How those failed that show that so many ordinals will not fit; None where that cannot be told."""
        if any(fit >= ordinals for fewer, fit in self.enough.items() if fewer <= shares):
            return None
        alike = [lesson for lesson in self.lessons if lesson.ordinals <= ordinals and lesson.shares >= shares]
        return alike[-1].failure if len(alike) >= LESSONS else None

    def shares_for(self, ordinals: int, most: int) -> int:
        """The fewest shares that were enough for so many ordinals; ``most`` where nothing says that fewer are."""
        fewest = most
        for shares, fit in self.enough.items():  # a loop, as this is asked for every attempt
            if fit >= ordinals and shares < fewest:
                fewest = shares
        return fewest

    @property
    def limit(self) -> float | None:
        """Seconds after which a running attempt is a straggler; None: nobody knows yet."""
        return backup_after(self.seconds.value, len(self.seconds), self.finished, self.tasks)

    def begin(self, since: float, attempt: int, find: Find) -> None:
        """An attempt may become a straggler."""
        self._forget_ended(find)
        heappush(self.began, (since, attempt))

    def stragglers(self, now: float, find: Find) -> list[tuple[float, Running]]:
        """Attempts that are late, and since when. Those that stay alone are looked at again next time."""
        for entry in self.late:
            heappush(self.began, entry)
        self.late = []
        limit, found = self.limit, []
        while limit is not None and self.began and self.began[0][0] + limit <= now:
            since, attempt = heappop(self.began)
            if running := find(attempt):
                self.late.append((since, attempt))
                found.append((since + limit, running))
        return found

    def next_straggler(self, find: Find) -> float | None:
        """When the next attempt will be late that was not when ``stragglers`` was asked."""
        self._forget_ended(find)
        limit = self.limit
        return None if limit is None or not self.began else self.began[0][0] + limit

    def _forget_ended(self, find: Find) -> None:
        while self.began and find(self.began[0][1]) is None:
            heappop(self.began)


Find = Callable[[int], Running | None]
"""Finds an attempt that another one could be started beside, now or later; None: there is one, or it (nearly) ended."""


class Paces(dict[str, Pace]):
    """All stages of a run, by name; one that is asked for is there."""

    def __missing__(self, stage: str) -> Pace:
        pace = self[stage] = Pace()
        return pace

    def stragglers(self, now: float, find: Find) -> list[Running]:
        """Attempts that are late: the one that was due first comes first."""
        found = [late for pace in self.values() for late in pace.stragglers(now, find)]
        return [running for _, running in sorted(found, key=lambda pair: (pair[0], pair[1].attempt))]

    def next_straggler(self, find: Find) -> float | None:
        """When the next attempt will be late."""
        due = [at for pace in self.values() if (at := pace.next_straggler(find)) is not None]
        return min(due, default=None)
