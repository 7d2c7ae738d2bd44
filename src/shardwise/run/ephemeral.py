"""A ledger in memory, for runs over data that lives in memory: nothing is kept when the driver ends."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwise.compute.task import EPHEMERAL, Output
from shardwise.run.commits import Commit

if TYPE_CHECKING:
    from shardwise.run.stamps import Said


class EphemeralLedger:
    """Commits in a list; files of attempts in a temporary directory that ``close`` removes."""

    id = EPHEMERAL

    def __init__(self) -> None:
        self._directory: str | None = None
        self._next = 0
        self._committed: dict[str, list[Commit]] = {}
        self.notes: list[tuple[str, float, dict[str, Any]]] = []  # lines of a journal
        self.logs: dict[tuple[str, int], Said] = {}

    @property
    def url(self) -> str:
        """Where the files of attempts lie."""
        if self._directory is None:
            self._directory = tempfile.mkdtemp(prefix="shardwise-")
        return self._directory

    def next_attempt(self) -> int:
        """The next number."""
        self._next += 1
        return self._next

    def attempt_directory(self, attempt: int, base: str | None = None) -> str:
        """A directory of its own below ``url``."""
        return str(Path(self.url) / "_attempts" / str(attempt))

    def committed(self, stage: str) -> list[Commit]:
        """Commits of a stage so far, in order of position."""
        return sorted(self._committed.get(stage, ()), key=lambda commit: commit.first)

    def lost(self, stage: str) -> list[tuple[int, int]]:
        """Nothing was ever lost."""
        return []

    def superseded(self) -> bool:
        """Nothing is ever made again."""
        return False

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        """Files stay where the attempt wrote them."""
        made = [replace(c, outputs=tuple(self._lasting(o, c.attempt) for o in c.outputs)) for c in commits]
        for commit in made:
            self._committed.setdefault(commit.stage, []).append(commit)
        return made

    def _lasting(self, output: Output, attempt: int) -> Output:
        if output.data is not None:
            return output
        return replace(output, path=str(Path("_attempts") / str(attempt) / output.name))

    def discard(self, attempt: int) -> None:
        """Delete what an attempt wrote."""
        if self._directory is not None:
            shutil.rmtree(self.attempt_directory(attempt), ignore_errors=True)

    def append_logs(self, task: str, attempt: int, lines: Sequence[str], times: Sequence[float] = ()) -> None:
        """Keep what a task said, for ``Result.report``."""
        known = times if len(times) == len(lines) else [None] * len(lines)
        self.logs.setdefault((task, attempt), []).extend(zip(known, lines, strict=True))

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Keep a line about the run, for ``Result.report``."""
        self.notes.append((kind, time.time(), data))

    def noted(self, kind: str) -> list[dict[str, object]]:
        """What was noted of a kind, oldest first."""
        return [data for known, _, data in self.notes if known == kind]

    def note_later(self, kind: str, data: dict[str, Any]) -> None:
        """The same: nothing is written."""
        self.note(kind, data)

    def write_notes(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Remove the files."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
