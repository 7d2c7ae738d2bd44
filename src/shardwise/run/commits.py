"""What the journal says of committed attempts, and which ranges of a stage they cover."""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from shardwise import records
from shardwise.compute.task import Metrics, Output
from shardwise.storage.store import check_name

GATHER_SECONDS = 0.1
"""Commits wait this long for company: a group shares one fsync. Nothing waits when no attempt is under way."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed attempt.

    Parameters
    ----------
    stage : str
        Its stage.
    first, last : int
        The ordinals [first, last) it stands for.
    attempt : int
        Which attempt; unique in the run.
    outputs : tuple of Output
        With ``path`` set once the run directory has committed them.
    metrics : Metrics
        What it cost.
    needs : tuple of str
        Keys of the commits that it was made from.
    """

    stage: str
    first: int
    last: int
    attempt: int
    outputs: tuple[Output, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)
    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What it stands for, whichever attempt made it."""
        return f"{self.stage}:{self.first}:{self.last}"

    def check(self) -> None:
        """Make sure, where it was read from a file that anybody may have written, that it is one.

        Raises
        ------
        StorageError
            A name in it would leave the directory that it belongs in.
        ValueError
            It has no range.
        """
        if not (type(self.first) is type(self.last) is type(self.attempt) is int and 0 <= self.first <= self.last):
            raise ValueError(f"{self.first!r} to {self.last!r} is no range")
        published = (output.publish for output in self.outputs if output.publish)
        for name in (self.stage, *(output.name for output in self.outputs), *published):
            check_name(name, "the run directory")


def to_plain(commit: Commit) -> dict[str, Any]:
    """A commit as JSON."""
    return dict(records.plain(commit))


def from_plain(data: dict[str, Any]) -> Commit:
    """The commit that ``to_plain`` was given.

    By hand: a resumed run reads ten thousand of them, and general code takes four times as long. Keys that a newer
    Shardwise has added are ignored.
    """
    outputs = tuple(_output(output) for output in data["outputs"])
    metrics = Metrics(**{key: value for key, value in data["metrics"].items() if key in _METRICS})
    needs = tuple(data.get("needs", ()))
    return Commit(data["stage"], data["first"], data["last"], data["attempt"], outputs, metrics, needs)


_METRICS = frozenset(field.name for field in fields(Metrics))


def _output(data: dict[str, Any]) -> Output:
    carried = None if data["data"] is None else b64decode(data["data"], validate=True)
    return Output(data["name"], data["rows"], data["size"], data["digest"], carried, data["publish"], data["path"])


class Covered:
    """The commits of one stage, sorted by first ordinal, never overlapping."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int]] = []
        self._commits: dict[tuple[int, int], Commit] = {}

    def __iter__(self) -> Iterator[Commit]:
        return (self._commits[key] for key in self._keys)

    def standing(self, first: int, last: int) -> Commit | None:
        """The commit of exactly this range."""
        return self._commits.get((first, last))

    def is_free(self, first: int, last: int) -> bool:
        """Whether no commit covers a part of [first, last), nor is equal to it."""
        if (first, last) in self._commits:
            return False
        at = bisect_left(self._keys, (first, last))
        neighbours = self._keys[max(0, at - 2) : at + 2]
        return all(last <= other_first or other_last <= first for other_first, other_last in neighbours)

    def add(self, commit: Commit) -> None:
        """Add a commit whose range is free."""
        insort(self._keys, (commit.first, commit.last))
        self._commits[commit.first, commit.last] = commit

    def drop(self, commit: Commit) -> None:
        """Take a commit away: its range is a gap again."""
        self._keys.remove((commit.first, commit.last))
        del self._commits[commit.first, commit.last]
