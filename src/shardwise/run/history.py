"""What a journal amounts to: a fold over its lines. Pure; knows no files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shardwise.run.commits import Commit, Covered, from_plain, to_plain
from shardwise.run.journal import Line

BEGUN, OPENED, COMMITTED, DROPPED, FINISHED, FAILED = "begun", "opened", "committed", "dropped", "finished", "failed"
"""Kinds of lines that mean something here; all others are for people."""


class History:
    """The state of a run, line by line.

    ``begun`` names the job and forgets what was before (a restart). ``opened`` is a driver's start. ``committed``
    covers a range unless an earlier commit does. ``dropped`` makes gaps of commits whose files are gone, for good.
    """

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.id = ""
        self.job: dict[str, Any] = {}
        self.epoch = 0
        self.at = 0.0
        self._reset()
        for line in lines:
            self.apply(line)

    def _reset(self) -> None:
        self.stages: dict[str, Covered] = {}
        self.bases: dict[int, str] = {}
        self._by_attempt: dict[int, Commit] = {}
        self.finished: dict[str, Any] | None = None
        self.failed: dict[str, Any] | None = None

    def apply(self, line: Line) -> None:
        """Take one more line into account."""
        self.at = line.at
        match line.kind:
            case "begun":
                self._reset()
                self.id, self.job = line.data["id"], line.data["job"]
            case "opened":
                self.epoch = line.data["epoch"]
                self.failed = None
            case "committed":
                self._commit(from_plain(line.data["commit"]), line.data["base"])
            case "dropped":
                for attempt in line.data["attempts"]:
                    self._drop(attempt)
            case "finished":
                self.finished, self.failed = line.data, None
            case "failed":
                self.failed = line.data

    def is_free(self, commit: Commit) -> bool:
        """Whether a commit's range overlaps no other of its stage."""
        covered = self.stages.get(commit.stage)
        return covered is None or covered.is_free(commit.first, commit.last)

    def standing(self, commit: Commit) -> Commit | None:
        """The commit that has exactly this range of this stage."""
        covered = self.stages.get(commit.stage)
        return covered.standing(commit.first, commit.last) if covered else None

    def commits(self) -> list[Commit]:
        """All commits of all stages."""
        return [commit for covered in self.stages.values() for commit in covered]

    def _commit(self, commit: Commit, base: str) -> None:
        if not self.is_free(commit):
            return
        self.stages.setdefault(commit.stage, Covered()).add(commit)
        self.bases[commit.attempt] = base
        self._by_attempt[commit.attempt] = commit

    def _drop(self, attempt: int) -> None:
        commit = self._by_attempt.pop(attempt, None)
        if commit is not None:
            self.stages[commit.stage].drop(commit)
            del self.bases[attempt]
            self.finished = None


def committed_line(commit: Commit, base: str, at: float) -> Line:
    """The line of the journal that is the commit. ``base``: URL of the output directory its attempt wrote under."""
    return Line(COMMITTED, at, {"commit": to_plain(commit), "base": base})
