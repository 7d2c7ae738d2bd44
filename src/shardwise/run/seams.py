"""What a driver needs besides an engine: where it commits, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from shardwise.compute.task import Failure
from shardwise.run import messages
from shardwise.run.commits import Commit

if TYPE_CHECKING:
    from shardwise.run.graph import Graph


class Ledger(Protocol):
    """Where a driver commits: a run directory, or memory for runs that have none."""

    @property
    def id(self) -> str:
        """Short name of the run."""

    @property
    def url(self) -> str:
        """Where it lies; empty for memory."""

    def next_attempt(self) -> int:
        """A number never used before in this run."""

    def attempt_directory(self, attempt: int, base: str | None = None) -> str:
        """Where this attempt may write."""

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        """Make a group of outputs part of the run, all or none; returns them with their lasting paths."""

    def discard(self, attempt: int) -> None:
        """Delete what an attempt wrote that will not be committed."""

    def append_logs(self, task: str, attempt: int, lines: Sequence[str], times: Sequence[float] = ()) -> None:
        """Keep what a task said, and when, by its worker's clock."""

    def note(self, kind: str, data: dict[str, object]) -> None:
        """Keep a line about the run."""

    def note_later(self, kind: str, data: dict[str, object]) -> None:
        """Keep a line about the run with what is kept next."""

    def write_notes(self) -> None:
        """Keep now what was left for later."""


class Watcher(Protocol):
    """Who is told how the run goes (progress on a terminal, a report)."""

    def started(self, graph: Graph, slots: int) -> None:
        """A graph is about to be carried out."""

    def moved(self, now: float, running: int, commits: Sequence[Commit]) -> None:
        """Something happened; called often."""

    def retried(self, task: messages.Task, failure: Failure) -> None:
        """A task will be tried again."""

    def split(self, task: messages.Task, halves: Sequence[messages.Task], failure: Failure) -> None:
        """A task ran out of memory, and others take its place."""

    def speculated(self, task: messages.Task) -> None:
        """A second attempt at a task was started beside a slow one."""

    def draining(self, running: int) -> None:
        """The first Ctrl-C came."""
