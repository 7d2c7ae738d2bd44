"""What a journal amounts to: a fold over its lines. Pure; knows no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shardwise.errors import StorageError
from shardwise.run.commits import Commit, Covered, from_plain, to_plain
from shardwise.run.journal import Line
from shardwise.run.lost import Lost

BEGUN, OPENED, COMMITTED, DROPPED, FINISHED, FAILED = "begun", "opened", "committed", "dropped", "finished", "failed"
"""Kinds of lines that mean something here, with ``damaged``; all others are for people."""

PLANNED = "planned"
"""Kind of the line of a driver that only plans: at most one of each."""

DRIVER = "driver"
"""Kind of the lines with what a driver's process held before its run, and at most since: bytes, for reports."""

SETTLE = "settle"
"""The stage whose output every other stage was made with, without reading it as an input."""


class History:
    """The state of a run, line by line.

    ``begun`` names the job and forgets what was before (a restart). ``opened`` is a driver's start. ``committed``
    covers a range unless an earlier commit does. ``dropped`` makes gaps of commits, for good: because their files are
    gone (then what is made again must come out the same), or because what they were made from came out different
    (``stale``). ``plan`` and ``sample`` are kept as they were noted. ``planned`` says that a driver tries a few tasks
    for a plan and no more. ``damaged`` says which segments of the journal are
    lost: what was made from their commits is dropped.
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
        self.lost = Lost()
        self._by_attempt: dict[int, Commit] = {}
        self._by_key: dict[str, Commit] = {}
        self.finished: dict[str, Any] | None = None
        self.failed: dict[str, Any] | None = None
        self.noted: dict[str, list[dict[str, Any]]] = {}  # plans and samples
        self._drivers = self._planners = 0

    def apply(self, line: Line) -> None:
        """Take one more line into account.

        Raises
        ------
        StorageError
            It is not a line that any driver writes.
        """
        try:
            self._apply(line)
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise StorageError(
                f"the journal has a {line.kind!r} line that no Shardwise wrote: {type(cause).__name__}: {cause}",
                "trust nothing in that directory; begin anew in another --run-dir",
            ) from cause

    def _apply(self, line: Line) -> None:
        self.at = line.at
        match line.kind:
            case "begun":
                self._reset()
                self.id, self.job = str(line.data["id"]), dict(line.data["job"])
            case "opened":
                self.epoch = int(line.data["epoch"])
                self.failed = None
                self._drivers += 1
            case "planned":
                self._planners += 1
            case "committed":
                self._commit(from_plain(line.data["commit"]), str(line.data["base"]))
            case "dropped":
                for attempt in line.data["attempts"]:
                    self._drop(attempt, bool(line.data.get("stale")))
                self.finished = None
            case "damaged":
                self.finished = None
                for commit in self.orphans():
                    self._drop(commit.attempt, stale=True)
            case "finished":
                self.finished, self.failed = dict(line.data), None
            case "failed":
                self.failed = dict(line.data)
            case "plan" | "sample":
                self.noted.setdefault(line.kind, []).append(dict(line.data))

    @property
    def only_planned(self) -> bool:
        """Whether no driver wanted to carry it out so far."""
        return self._drivers == self._planners > 0

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

    def stale(self, new: Sequence[Commit]) -> list[Commit]:
        """Which commits were made from what does not stand once ``new`` is committed, or came out different."""
        changed = {key for commit in new for key in self.lost.changed_by(commit)}
        known = {commit.key for commit in new} - changed
        if not changed and all(self._has(need) or need in known for commit in new for need in commit.needs):
            return []
        everything = [*self.commits(), *new]
        if any(key.startswith(f"{SETTLE}:") for key in changed):
            return [commit for commit in everything if commit.stage != SETTLE]
        return _made_from_others(everything, (known | self._by_key.keys() | self.lost.keys()) - changed)

    def orphans(self) -> list[Commit]:
        """Which commits were made from some that the journal has lost."""
        return _made_from_others(self.commits(), self._by_key.keys() | self.lost.keys())

    def _has(self, key: str) -> bool:
        return key in self._by_key or key in self.lost

    def _commit(self, commit: Commit, base: str) -> None:
        commit.check()
        if not self.is_free(commit):
            return
        self.stages.setdefault(commit.stage, Covered()).add(commit)
        self.bases[commit.attempt] = base
        self._by_attempt[commit.attempt] = commit
        self._by_key[commit.key] = commit
        self.lost.found_again(commit)

    def _drop(self, attempt: int, stale: bool) -> None:
        commit = self._by_attempt.pop(attempt, None)
        if commit is not None:
            self.stages[commit.stage].drop(commit)
            del self.bases[attempt], self._by_key[commit.key]
            if not stale:
                self.lost.add(commit)


def _made_from_others(commits: Sequence[Commit], known: set[str]) -> list[Commit]:
    """Commits that need a key that is not known, or one that does."""
    found: list[Commit] = []
    waiting = list(commits)
    while bad := [commit for commit in waiting if not known.issuperset(commit.needs)]:
        found += bad
        known = known - {commit.key for commit in bad}
        attempts = {commit.attempt for commit in bad}
        waiting = [commit for commit in waiting if commit.attempt not in attempts]
    return found


def committed_line(commit: Commit, base: str, at: float) -> Line:
    """The line of the journal that is the commit. ``base``: URL of the output directory its attempt wrote under."""
    return Line(COMMITTED, at, {"commit": to_plain(commit), "base": base})


def dropped_line(commits: Iterable[Commit], at: float) -> Line:
    """The line that drops what was made from something that is not so any more."""
    return Line(DROPPED, at, {"attempts": [commit.attempt for commit in commits], "stale": True})
