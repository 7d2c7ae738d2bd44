"""Where a run is kept: its directory, or memory for data that lives in memory; and what `plan` may look at."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from shardwise.api.command import TYPED
from shardwise.api.driver_memory import DriverMemory
from shardwise.api.identity import content_document, job_document
from shardwise.api.options import Options
from shardwise.api.result import RunInfo
from shardwise.compute.task import Output
from shardwise.errors import Interrupted, RunIsTaken, ShardwiseError, StorageError
from shardwise.plan.work import Work, WriteTo
from shardwise.records import plain
from shardwise.run.commits import Commit
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.fingerprint import fingerprint, unknown
from shardwise.run.history import DRIVER
from shardwise.storage import digest, open_store, remember


class RunLedger:
    """A run's ledger for one call of ``run`` or ``plan``. Passes the driver's calls on."""

    def __init__(self, keeper: Any, kept_at: str, named_by_place: bool = False) -> None:
        self._keeper = keeper
        self.kept_at = kept_at
        self.named_by_place = named_by_place  # the cache does not know its id
        self.on_commit: Callable[[Sequence[Commit]], None] = lambda commits: None
        self._done = getattr(keeper, "finished", None)
        self._worked = False
        self._memory: DriverMemory | None = None

    # --- for the driver --------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Short name of the run."""
        return str(self._keeper.id)

    @property
    def url(self) -> str:
        """Where outputs' paths begin."""
        return str(self._keeper.url)

    def next_attempt(self) -> int:
        """A number never used before in this run."""
        if not self._worked:
            self._worked = True
            self._memory = DriverMemory()
            self._note_command()
        return int(self._keeper.next_attempt())

    def attempt_directory(self, attempt: int, base: str | None = None) -> str:
        """Where this attempt may write."""
        return str(self._keeper.attempt_directory(attempt, base))

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        """Make a group part of the run."""
        self._note_memory()
        made: list[Commit] = self._keeper.commit(commits)
        self.on_commit(made)
        return made

    def discard(self, attempt: int) -> None:
        """Delete what an attempt wrote."""
        self._keeper.discard(attempt)

    def append_logs(self, task: str, attempt: int, lines: Sequence[str], times: Sequence[float] = ()) -> None:
        """Keep what a task said."""
        self._keeper.append_logs(task, attempt, lines, times)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Keep a line about the run."""
        self._keeper.note(kind, data)

    def noted(self, kind: str) -> list[dict[str, Any]]:
        """Plans or samples that were noted, oldest first."""
        found: list[dict[str, Any]] = self._keeper.noted(kind)
        return found

    def note_later(self, kind: str, data: dict[str, Any]) -> None:
        """Keep a line about the run with what is kept next."""
        self._keeper.note_later(kind, data)

    def write_notes(self) -> None:
        """Keep now what was left for later."""
        self._keeper.write_notes()

    def committed(self, stage: str) -> list[Commit]:
        """Commits of earlier drivers."""
        found: list[Commit] = self._keeper.committed(stage)
        return found

    def lost(self, stage: str) -> list[tuple[int, int]]:
        """Ranges whose commits have lost their files."""
        found: list[tuple[int, int]] = self._keeper.lost(stage)
        return found

    @property
    def takes_commits(self) -> bool:
        """Whether this call may work in it, or only look."""
        return hasattr(self._keeper, "commit")

    @property
    def is_finished(self) -> bool:
        """Whether an earlier call finished the run."""
        return self._done is not None

    @property
    def is_open(self) -> bool:
        """Whether this call is the one that works in it."""
        return self._worked

    # --- for the run -----------------------------------------------------------------------------------------------

    def read(self, output: Output) -> bytes | memoryview:
        """Bytes of a committed output."""
        if output.data is not None:
            return output.data
        data = open_store(self.url).get(output.path)
        if digest(data) != output.digest:
            raise StorageError(
                f"{self.url}/{output.path} was damaged: its digest is not {output.digest}",
                "run the same command again: what is damaged is made again",
            )
        return data

    @property
    def losses(self) -> list[str]:
        """What was found damaged or missing, in words; it is made again."""
        return list(getattr(self._keeper, "losses", ()))

    @property
    def contradictions(self) -> list[str]:
        """Tasks that were made again and came out different."""
        return list(getattr(self._keeper, "contradictions", ()))

    def superseded(self) -> bool:
        """Whether commits that a graph counted on were dropped since this was last asked."""
        return bool(self._keeper.superseded())

    @property
    def outcome(self) -> dict[str, Any] | None:
        """How an earlier call finished the run, as ``RunInfo``; None: it is not finished."""
        return self._done

    def begin(self, work: Work, planned: bool = False) -> None:
        """Claim the output directory, unless everything is done already; ``planned``: only to try a few tasks."""
        if isinstance(work.target, WriteTo) and self._done is None:
            from shardwise.run.output import begin_output

            begin_output(work.target.directory, self.id, work.target.overwrite, reads=_reads(work), planned=planned)

    def _note_command(self) -> None:
        """Keep the command, of which ``shardwise replay`` makes the job, once there is something to be done."""
        typed = TYPED.get()
        if self.kept_at and typed is not None:
            self.note("command", {**plain(typed), "hash_seed": os.environ.get("PYTHONHASHSEED", "0")})  # of workers

    def _note_memory(self, at_last: bool = False) -> None:
        """Keep what this process holds, for who compares it with what was projected."""
        if self._memory is not None and (told := self._memory.told(at_last)) is not None:
            self.note_later(DRIVER, told)

    def publish(self, target: WriteTo, files: Sequence[str], whole: bool) -> None:
        """Make the output directory complete: ``_SUCCESS`` comes last, and only for the whole data."""
        if self._done is None and whole:
            from shardwise.run.output import finish_output

            finish_output(target.directory, self.id, files)

    def finished(self, info: RunInfo, whole: bool) -> None:
        """Say so in the journal, when something was done."""
        self._note_memory(at_last=True)
        if not self.kept_at or (not self._worked and self._done is not None):
            return
        if whole:
            self._keeper.finish(info.to_json())
        else:
            self.note("part", info.to_json())

    def story(self, info: RunInfo, job: str) -> Callable[[], dict[str, Any]]:
        """Makes the report of the run when it is asked for; of a run in memory it keeps what that takes."""
        if self.kept_at:
            where = self.kept_at
            return lambda: _report_of(where)
        notes, logs = self._keeper.notes, self._keeper.logs

        def tell() -> dict[str, Any]:
            from shardwise.report.document import document_of

            return document_of(notes, logs, info.to_json(), job)

        return tell

    def check_not_taken(self) -> None:
        """Raise RunIsTaken if another driver has taken over, which may be why something failed to be written."""
        if self.kept_at and self._worked:
            try:
                self._keeper.check_not_taken()
            except RunIsTaken:
                raise
            except StorageError:  # then the first error is the one to tell
                return

    def failed(self, error: ShardwiseError) -> None:
        """Say in the journal how it ended."""
        self._note_memory(at_last=True)
        if self.kept_at and self._worked:
            kind = "interrupted" if isinstance(error, Interrupted) else "failed"
            with contextlib.suppress(StorageError):  # the disk may be what failed; the first error is the one to tell
                self.note(kind, {"code": error.code, "message": error.message, "fix": error.fix})


def _report_of(directory: str) -> dict[str, Any]:
    from shardwise.report.document import document
    from shardwise.run.directory import RunDirectory

    return document(RunDirectory.read(directory))


@contextlib.contextmanager
def open_ledger(work: Work, title: str, options: Options) -> Iterator[RunLedger]:
    """The run's ledger, created or resumed. Data in memory is only kept where a directory is asked for, where there is
    an output directory to protect, or where rows may go to quarantine and nobody would have them after the command."""
    remember_access(work, options)
    document = job_document(work, title)
    lasting = isinstance(work.target, WriteTo) or (work.guarded and TYPED.get() is not None)
    if document is None and options.run_dir is None and not lasting:
        memory = EphemeralLedger()
        try:
            yield RunLedger(memory, "")
        finally:
            memory.close()
        return
    if document is None:
        document = _by_content(work, title)
    from shardwise.run import cache  # here, as runs in memory need neither
    from shardwise.run.directory import RunDirectory

    fresh = options.restart or bool(unknown(document) and options.run_dir is None)
    url = options.run_dir or cache.cached_run(document)
    with RunDirectory.open(url, document, restart=fresh) as directory:
        yield RunLedger(directory, directory.url, options.run_dir is not None)
    if options.run_dir is None:
        cache.prune_now_and_then(keep=[directory.id])


def remember_access(work: Work, options: Options) -> None:
    """Let all that opens stores know the storage options of the run directory and the output directory."""
    remember(options.run_dir or "", options.storage_options)
    if isinstance(work.target, WriteTo):
        given = work.target.storage_options
        remember(work.target.directory, options.storage_options if given is None else given)


def refuse_taken_output(work: Work, title: str, ledger: RunLedger) -> None:
    """Refuse an output directory as ``run`` would, without claiming it. Of data in memory it is looked at no earlier
    than a run does: which run's it is depends on all of the data."""
    if not isinstance(work.target, WriteTo) or ledger.is_finished:
        return
    document = job_document(work, title)
    if document is not None:
        from shardwise.run.output import check_output

        name = fingerprint(document)[:12]
        check_output(work.target.directory, name, work.target.overwrite, reads=_reads(work))


def _reads(work: Work) -> list[str]:
    return [f.name for f in work.pipeline.source.fragments if work.pipeline.source.remote_safe]


def _by_content(work: Work, title: str) -> dict[str, Any]:
    return job_document(work, title, content_document(work.pipeline.source)) or {}


@contextlib.contextmanager
def look_at(work: Work, title: str, options: Options) -> Iterator[RunLedger]:
    """What is committed already, without taking or writing anything."""
    from shardwise.run import cache
    from shardwise.run.view import RunView

    remember_access(work, options)
    document = job_document(work, title)
    url = options.run_dir or ("" if document is None else cache.cached_run(document))
    nothing = EphemeralLedger()
    if not url or options.restart:
        yield RunLedger(nothing, url)
        return
    view = RunView(url)
    same = bool(view.id) and (document is None or view.id == fingerprint(document)[:12])
    yield RunLedger(view if same else nothing, url)
