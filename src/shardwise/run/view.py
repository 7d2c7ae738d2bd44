"""A run directory as a reader sees it: never locked, never written to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shardwise.run import lock
from shardwise.run.commits import Commit
from shardwise.run.history import History
from shardwise.run.journal import Journal, Line
from shardwise.run.publish import Places
from shardwise.storage import Store, open_store

if TYPE_CHECKING:
    from shardwise.run.stamps import Said


class RunView:
    """What a run directory says.

    Parameters
    ----------
    url : str
        The directory.
    options : dict, optional
        Storage options of it and of output directories; never written anywhere.
    """

    def __init__(self, url: str, options: dict[str, Any] | None = None) -> None:
        self._options = options
        self._store = open_store(url, options)
        self._stores: dict[str, Store] = {}
        self._journal = Journal(self._store)
        self._history = History()

    def _load(self) -> None:
        self._history = History(self._journal.load())

    @property
    def id(self) -> str:
        """Short name of the job, from its fingerprint; the same for every run of the same job."""
        return self._history.id

    @property
    def url(self) -> str:
        """Where the run lies."""
        return self._store.url

    @property
    def job(self) -> dict[str, Any]:
        """The document that the job's fingerprint is made of."""
        return self._history.job

    @property
    def finished(self) -> dict[str, Any] | None:
        """What was said when the run finished; None if it has not."""
        return self._history.finished

    @property
    def at(self) -> float:
        """When the journal was last written to: seconds since 1970."""
        return self._history.at

    def noted(self, kind: str) -> list[dict[str, Any]]:
        """Plans (``plan``) or samples (``sample``) of the run, oldest first."""
        return self._history.noted.get(kind, [])

    @property
    def stages(self) -> list[str]:
        """Names of the stages that have commits."""
        return [stage for stage, covered in self._history.stages.items() if any(covered)]

    @property
    def status(self) -> str:
        """``done``, ``running``, ``failed``, ``planned`` (a few tasks were tried for a plan, and no run has begun) or
        ``interrupted``. An object store cannot say that a driver is alive."""
        if self.finished is not None:
            return "done"
        local = self._store.local_path(lock.NAME)
        if local is not None and lock.is_locked(self.url):
            return "running"
        if self._history.failed is not None:
            return "failed"
        return "planned" if self._history.only_planned else "interrupted"

    def committed(self, stage: str) -> list[Commit]:
        """Commits of a stage, sorted by first ordinal; no two overlap. Paths of outputs are set."""
        places = self._places()
        covered = self._history.stages.get(stage, ())
        return [places.with_paths(commit, self._history.bases[commit.attempt]) for commit in covered]

    def lost(self, stage: str) -> list[tuple[int, int]]:
        """Ranges of a stage whose commits have lost their files, to be made again as they were."""
        return self._history.lost.ranges(stage)

    def events(self) -> Iterator[Line]:
        """All lines of the journal so far, read anew."""
        return iter(Journal(self._store).load())

    def logs(self, task: str | None = None) -> Iterator[tuple[str, str, list[str]]]:
        """What tasks have said, as (task, attempt, lines), of one task or of all, in order of their names."""
        for named, attempt, said in self.said(task):
            yield named, attempt, [line for _, line in said]

    def said(self, task: str | None = None) -> Iterator[tuple[str, str, Said]]:
        """The same, each line with its time by the clock of the worker's host, where that is known."""
        for named, attempt in self.speakers():
            if task in (None, named):
                yield named, attempt, self.lines_of(named, attempt)

    def speakers(self) -> list[tuple[str, str]]:
        """Which attempts have said something, as (task, attempt), in order of their names."""
        names = (name.split("/", 2) for name in self._store.list("logs"))
        return [(task, attempt.removesuffix(".log")) for _, task, attempt in names]

    def lines_of(self, task: str, attempt: str) -> Said:
        """What one attempt has said, and when."""
        from shardwise.run.stamps import unstamped  # here, as most runs look at no logs

        text = self._store.get(f"logs/{task}/{attempt}.log").decode(errors="backslashreplace")
        return [unstamped(line) for line in text.splitlines()]

    def _places(self) -> Places:
        return Places(self._store, self.id, self._open_base)

    def _open_base(self, url: str) -> Store:
        if url not in self._stores:
            self._stores[url] = open_store(url, self._options)
        return self._stores[url]
