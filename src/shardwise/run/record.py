"""What is left of a run that was kept in memory only: the same questions as to a ``RunView``, and the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from shardwise.run.commits import Commit
from shardwise.run.journal import Line
from shardwise.run.publish import attempt_label
from shardwise.run.stamps import Said


class Record(Protocol):
    """A run, as somebody who looks back at it sees it: a ``RunView``, or a ``MemoryRecord``."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def url(self) -> str:
        """Where it lies; empty for memory."""

    @property
    def job(self) -> dict[str, Any]:
        """What its fingerprint is made of; ``summary`` says it for people."""

    @property
    def status(self) -> str:
        """``done``, ``running``, ``failed``, ``planned`` or ``interrupted``."""

    @property
    def stages(self) -> list[str]:
        """Names of the stages that have commits, as the journal names them."""

    def committed(self, stage: str) -> list[Commit]:
        """Commits of a stage."""

    def events(self) -> Iterator[Line]:
        """All lines of the journal."""

    def speakers(self) -> list[tuple[str, str]]:
        """Which attempts have said something, as (task, attempt)."""

    def lines_of(self, task: str, attempt: str) -> Said:
        """What one attempt has said, and when."""


class MemoryRecord:
    """A run that had no directory, after its end. It keeps no output, and knows of commits what their spans say.

    Parameters
    ----------
    notes : sequence
        What its ledger was told: kind, when, what.
    logs : mapping
        Lines by (task, attempt).
    about : dict
        What was said when it finished (``RunInfo``).
    job : str
        The job, for people.
    """

    id = "memory"
    url = ""
    status = "done"
    stages: list[str] = []  # noqa: RUF012 - a constant of the protocol

    def __init__(
        self,
        notes: Sequence[tuple[str, float, dict[str, Any]]],
        logs: Mapping[tuple[str, int], Said],
        about: dict[str, Any],
        job: str,
    ) -> None:
        self._notes = [Line(*note) for note in notes]
        self._logs = {(task, attempt_label(attempt)): lines for (task, attempt), lines in logs.items()}
        self._about = about
        self.job = {"summary": job}

    def committed(self, stage: str) -> list[Commit]:
        """Nothing is kept."""
        return []

    def events(self) -> Iterator[Line]:
        """What the ledger was told, and the end."""
        yield from self._notes
        if self._notes:
            last = max((span["ended"] for line in self._notes for span in line.data.get("spans", ())), default=0.0)
            yield Line("finished", max(last, self._notes[-1].at), self._about)

    def speakers(self) -> list[tuple[str, str]]:
        """Which attempts have said something."""
        return list(self._logs)

    def lines_of(self, task: str, attempt: str) -> Said:
        """What one attempt has said."""
        return self._logs[task, attempt]
