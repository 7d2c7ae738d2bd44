"""What a case is: data that is made once, and peers that all do the same with it."""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from shardwise._version import __version__

NAMES = (
    "column_mean",
    "row_statistics",
    "exact_moments",
    "group_mean",
    "tiny_tasks",
    "describe_csv",
    "json_files",
    "cluster_mean",
    "cluster_tasks",
)
"""Cases, in the order of the letters (a) to (i)."""


class Clock:
    """Measures the job alone: what happens inside ``with clock:``, the blocks together."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> Clock:
        self._since = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.seconds += time.perf_counter() - self._since


Work = Callable[[Path, Clock], Any]
"""Does the job on the data in a directory, and returns the answer as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to do a case's job."""

    name: str
    work: Work
    how: str  # how it is used, in half a sentence
    needs: tuple[str, ...]  # distributions; the first one gives the version
    rounds: int | None = None  # most rounds of one that is slow

    @property
    def missing(self) -> str | None:
        """What is not installed of what it needs."""
        for name in self.needs:
            if importlib.util.find_spec(name) is None:
                return name
        return None

    @property
    def version(self) -> str:
        """Of its library; empty for the standard library."""
        if self.needs[:1] == ("shardwise",):  # may be run from its source
            return __version__
        if not self.needs:
            return ""
        from importlib.metadata import version  # not wanted in workers, which import this module for their functions

        return version(self.needs[0])


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a peer: seconds of each round, and the peak of memory of a round of its own."""

    whole: list[float]
    job: list[float]
    memory: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """A target: ``ours`` takes at most ``at_most`` times as long as ``peer``."""

    ours: str
    peer: str
    at_most: float
    figure: str = "job"  # or "whole"

    def words(self) -> str:
        """The target."""
        return f"{self.ours} at most {self.at_most:.3g} x {self.peer} ({self.figure})"

    def measured(self, figures: dict[str, tuple[float, float, int]]) -> float | None:
        """The ratio, where both ran."""
        if self.ours not in figures or self.peer not in figures:
            return None
        place = 0 if self.figure == "whole" else 1
        return figures[self.ours][place] / figures[self.peer][place]

    def holds(self, measured: float) -> bool:
        """Whether it is met."""
        return measured <= self.at_most


@dataclass(frozen=True, slots=True)
class Rate:
    """A target: so many items a second."""

    ours: str
    items: int
    at_least: float

    def words(self) -> str:
        """The target."""
        return f"{self.ours} at least {self.at_least:,.0f} items/s (job)"

    def measured(self, figures: dict[str, tuple[float, float, int]]) -> float | None:
        """Items a second."""
        return self.items / figures[self.ours][1] if self.ours in figures else None

    def holds(self, measured: float) -> bool:
        """Whether it is met."""
        return measured >= self.at_least


@dataclass(frozen=True, slots=True)
class Memory:
    """A target: so many MB at most, all processes together."""

    ours: str
    at_most: float

    def words(self) -> str:
        """The target."""
        return f"{self.ours} at most {self.at_most:.0f} MB"

    def measured(self, figures: dict[str, tuple[float, float, int]]) -> float | None:
        """Megabytes."""
        return figures[self.ours][2] / 1e6 if self.ours in figures else None

    def holds(self, measured: float) -> bool:
        """Whether it is met."""
        return measured <= self.at_most


@dataclass(frozen=True, slots=True)
class Overhead:
    """A target: beyond ``ideal`` seconds, the job takes at most so many milliseconds a task; or, where a peer is named,
    no more than that one's."""

    ours: str
    tasks: int
    ideal: float
    at_most: float = 0.0
    peer: str = ""

    def words(self) -> str:
        """The target."""
        if self.peer:
            return f"overhead of {self.ours} at most 1 x that of {self.peer}"
        return f"overhead of {self.ours} at most {self.at_most:g} ms a task"

    def measured(self, figures: dict[str, tuple[float, float, int]]) -> float | None:
        """Milliseconds a task; the share of the peer's, where one is named."""
        if self.ours not in figures or (self.peer and self.peer not in figures):
            return None
        ours = self._milliseconds(figures[self.ours][1])
        return ours / self._milliseconds(figures[self.peer][1]) if self.peer else ours

    def _milliseconds(self, seconds: float) -> float:
        return max(1e-3, 1000 * (seconds - self.ideal) / self.tasks)

    def holds(self, measured: float) -> bool:
        """Whether it is met."""
        return measured <= (1.0 if self.peer else self.at_most)


Target = Ratio | Rate | Memory | Overhead


@dataclass(slots=True)
class Case:
    """Peers that do the same job.

    Parameters
    ----------
    title : str
        One line.
    compares : str
        What is compared, in a sentence or two.
    generate : callable
        Writes the data into a new directory, for a scale (1.0 is the size that the title says).
    tolerance : float
        Relative difference of floats that is rounding.
    targets : tuple
        What is to be reached.
    data : str
        Another case, whose data it uses.
    """

    title: str
    compares: str
    generate: Callable[[Path, float], None]
    tolerance: float = 1e-9
    targets: tuple[Target, ...] = ()
    peers: dict[str, Peer] = field(default_factory=dict)
    data: str = ""

    def peer(self, name: str, how: str, *needs: str, rounds: int | None = None) -> Callable[[Work], Work]:
        """Register a function as a peer."""

        def register(work: Work) -> Work:
            self.peers[name] = Peer(name, work, how, needs, rounds)
            return work

        return register


def load(name: str) -> Case:
    """A case by its name."""
    found: Case = importlib.import_module(f"benchmarks.cases.{name}").CASE
    return found


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two answers are equal but for rounding. ``None`` in either says that this peer does not know."""
    if a is None or b is None:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return bool(a == b)
