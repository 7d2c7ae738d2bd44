"""What the attempts of a stage have shown so far: how long they take, and how much memory is enough."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from shardwise.compute.task import Failure
from shardwise.run.attempts import Running
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
    seconds: list[float] = field(default_factory=list)  # of attempts that succeeded, ascending
    enough: dict[int, int] = field(default_factory=dict)  # {shares of memory: ordinals that fit into them}
    lessons: list[Lesson] = field(default_factory=list)  # what ran out of memory; none of them contains another

    def succeeded(self, seconds: float, ordinals: int, shares: int) -> None:
        """An attempt at so many ordinals took so long; so many shares of memory would have been enough."""
        self.finished += 1
        insort(self.seconds, seconds)
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
        return min((shares for shares, fit in self.enough.items() if fit >= ordinals), default=most)

    @property
    def limit(self) -> float | None:
        """Seconds after which a running attempt is a straggler; None: nobody knows yet."""
        return backup_after(self.seconds, self.finished, self.tasks)


class Paces:
    """All stages of a run, by name."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def __getitem__(self, stage: str) -> Pace:
        return self._paces.setdefault(stage, Pace())

    def stragglers(self, running: Iterable[tuple[str, Running]]) -> list[tuple[float, Running]]:
        """When each attempt becomes, or became, a straggler: the first one first."""
        limits = {stage: pace.limit for stage, pace in self._paces.items()}
        found = [(at.since + limit, at) for stage, at in running if (limit := limits.get(stage)) is not None]
        return sorted(found, key=lambda pair: (pair[0], pair[1].attempt))
