"""A run is a directory. Its driver opens it, commits into it, and goes on where another one stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from shardwise._version import __version__
from shardwise.errors import StorageError, UsageError
from shardwise.run import history, output
from shardwise.run.commits import Commit, Covered
from shardwise.run.fingerprint import fingerprint
from shardwise.run.history import committed_line, dropped_line
from shardwise.run.journal import DAMAGED, Line
from shardwise.run.lock import NAME as LOCK
from shardwise.run.lock import Lock
from shardwise.run.ownership import check_is_ours, check_same_job
from shardwise.run.publish import Move, attempt_label, carry_out, check_written
from shardwise.run.recovery import find_lost, sweep
from shardwise.run.view import RunView

__all__ = ["Commit", "RunDirectory", "RunView"]


class RunDirectory(RunView):
    """A run directory with its driver in it. Use ``open``; ``close`` it, or use it in a ``with`` block.

    Not thread-safe: one driver thread calls it.
    """

    @classmethod
    def open(
        cls,
        url: str,
        job: dict[str, Any],
        *,
        restart: bool = False,
        options: dict[str, Any] | None = None,
        verify: bool | None = None,
    ) -> RunDirectory:
        """Create a run directory, or go on in the one that is there.

        Parameters
        ----------
        url : str
            The directory.
        job : dict
            The document that the fingerprint is made of: JSON, no secrets.
        restart : bool
            Forget what an earlier driver committed, of whatever job.
        options : dict, optional
            Storage options; never written anywhere.
        verify : bool, optional
            False: look at the sizes of committed files only. Unless given, their digests are compared, too: of all
            files where the run has not finished, of what its answer is read from where it has.

        Raises
        ------
        DifferentJob
            It belongs to another job; the message names what differs.
        UsageError
            It is not empty and not a run directory.
        RunIsTaken
            Another driver works in it.
        """
        check_is_ours(url, options)
        run = cls(url, options)
        run._enter(json.loads(json.dumps(job)), restart, verify)
        return run

    @classmethod
    def read(cls, url: str, options: dict[str, Any] | None = None) -> RunView:
        """Look at a run without a lock; nothing is written.

        Raises
        ------
        UsageError
            It is not a run directory.
        """
        view = RunView(url, options)
        view._load()
        if not view.id:
            raise UsageError(f"{view.url} is not a run directory", "`shardwise runs` lists them")
        return view

    def __init__(self, url: str, options: dict[str, Any] | None = None) -> None:
        super().__init__(url, options)
        self._lock = Lock(self.url) if self._store.local_path(LOCK) is not None else None
        self._epoch = 0
        self._attempts = 0
        self._bases: dict[int, str] = {}
        self._unpublished: list[Move] = []
        self._prepared: set[str] = set()
        self._superseded = False
        self._later: list[Line] = []
        self.contradictions: list[str] = []
        """Tasks that were made again and came out different."""
        self.losses: list[str] = []
        """What was found damaged or missing when the directory was opened, in words."""

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_attempt(self) -> int:
        """A number that no attempt of this run has had or will have, whoever drives it: the driver's own number in
        the high bits, a count in the low 32."""
        self._claim()
        self._attempts += 1
        return self._epoch << 32 | self._attempts

    def attempt_directory(self, attempt: int, base: str | None = None) -> str:
        """Path or URL where an attempt may write.

        Parameters
        ----------
        attempt : int
            Its number.
        base : str, optional
            URL of the output directory that its parts will be published in: on the same file system, so that
            publishing is a rename.
        """
        if base:
            self._bases[attempt] = base
        if (base or "") not in self._prepared:  # or else a power cut could take what several workers made at a time
            (self._open_base(base) if base else self._store).make_directory(output.ATTEMPTS)
            self._prepared.add(base or "")
        return self._places().directory(attempt, base or "")

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        """Make a group of attempts part of the run: all of them, or none.

        Parameters
        ----------
        commits : sequence of Commit
            Attempts that succeeded, their files under their attempt directories.

        Returns
        -------
        list of Commit
            In order, with ``Output.path`` set. Where exactly this range of the stage was committed before, the commit
            that stands; where an earlier commit covers a part of it, none.

        Raises
        ------
        RunIsTaken
            Another driver has taken over; nothing was committed.
        StorageError
            A file is not what the attempt wrote, or the journal could not be written; nothing was committed.
        """
        self._claim()
        self._journal.check_not_taken()  # or else its sweep would look like vanished files
        new = self._acceptable(commits)
        places = self._places()
        moves = [move for commit in new for move in places.moves(commit, self._base(commit))]
        for move in moves:
            check_written(move)
        for base in self._bases_of(new):
            output.check_owner(self._open_base(base), self.id)
        bases = {commit.key: self._base(commit) for commit in new}  # the graph also reads what is stale already
        if new:
            self._write(self._lines(new))
            self._publish(moves)
            self._tidy(new)
        standing = {commit.key: commit for commit in new}
        for commit in filter(None, map(self._history.standing, commits)):
            standing[commit.key], bases[commit.key] = commit, self._history.bases[commit.attempt]
        return [places.with_paths(standing[c.key], bases[c.key]) for c in commits if c.key in standing]

    def superseded(self) -> bool:
        """Whether commits were dropped since this was last asked, because what they were made from was lost, and came
        out different when it was made again. What is missing has to be planned anew then."""
        found, self._superseded = self._superseded, False
        return found

    def check_not_taken(self) -> None:
        """Raise RunIsTaken if another driver has taken over: what it tidied up is missing here."""
        if self._epoch:
            self._journal.check_not_taken()

    def discard(self, attempt: int) -> None:
        """Delete what an attempt wrote that will not be committed. It may still be writing: then say it again."""
        self._places().delete_attempt(attempt, self._bases.get(attempt, ""))

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Keep a line about the run: a plan, a retry, ``failed`` ..."""
        self._claim()
        self._write([Line(kind, time.time(), data)])

    def note_later(self, kind: str, data: dict[str, Any]) -> None:
        """Keep a line about the run, with the next segment that is put, and at the latest when this is closed."""
        self._later.append(Line(kind, time.time(), data))

    def write_notes(self) -> None:
        """Put the lines that ``note_later`` has left for later."""
        if self._later:
            self._claim()
            self._write([])

    def append_logs(self, task: str, attempt: int, lines: Sequence[str], times: Sequence[float] = ()) -> None:
        """Keep what a task said in one attempt, and when, by its worker's clock."""
        from shardwise.run.stamps import stamped  # here, as most tasks say nothing

        name = f"logs/{task.replace('/', '_')}/{attempt_label(attempt)}.log"
        before = self._store.get(name) if self._store.exists(name) else b""
        text = "".join(line.rstrip("\n") + "\n" for line in stamped(lines, times))
        self._store.put(name, before + text.encode(errors="backslashreplace"))

    def finish(self, data: dict[str, Any]) -> None:
        """Say that the run is done: the next one who opens it has the answer at once. Gives the lock back."""
        self._claim()
        self._make_up()
        self._write([Line(history.FINISHED, time.time(), data)])
        self._release()

    def sweep(self) -> None:
        """Delete garbage: attempts of earlier drivers, files that no commit names, what killed writers left."""
        sweep(self._store, self._places(), self._history, self._open_base, self._epoch or self._history.epoch + 1)

    def close(self) -> None:
        """Let another driver in. Twice is harmless."""
        with suppress(StorageError):  # notes for people: whoever closes has something better to do than to fail
            self.write_notes()
        self._release()

    # --- opening ---------------------------------------------------------------------------------------------------

    def _enter(self, job: dict[str, Any], restart: bool, verify: bool | None) -> None:
        self._acquire()
        try:
            anew = self._look(job, restart)
            self._repair([Line(history.BEGUN, time.time(), _begun(job))] if anew else [])
            places, done = self._places(), self.finished is not None
            lost = find_lost(self._history, places, self._open_base, verify, done)
            if lost is not None:
                self.losses += lost["files"]
                self._claim([Line(history.DROPPED, time.time(), lost)])
            if self.finished is None:
                self._claim()
                self.sweep()
            else:
                self._release()
        except BaseException as error:
            self._release()
            if isinstance(error, StorageError):
                self.check_not_taken()
            raise

    def _look(self, job: dict[str, Any], restart: bool) -> bool:
        """Read the journal; whether the run begins anew."""
        try:
            self._load()
        except StorageError:
            if not restart:
                raise
            self._history = history.History()
        if restart:
            return True
        if not self.id and self._journal.next > len(self._journal.damaged):
            why = "; ".join(map(str, self._journal.damaged[:3])) or "it has no beginning"
            raise StorageError(
                f"the journal of {self.url} does not say whose it is: {why}",
                "restore the directory from a backup, or begin anew with --restart",
            )
        if self.id:
            check_same_job(self.url, self.job, job, bool(self.stages))
        return not self.id

    def _repair(self, lines: list[Line]) -> None:
        """Say in the journal which of its segments are lost, before anything else; then put ``lines``."""
        damaged = self._journal.damaged
        if damaged:
            about = {"segments": [damage.number for damage in damaged], "what": [str(damage) for damage in damaged]}
            lines = [Line(DAMAGED, time.time(), about), *lines]
            self.losses += [str(damage) for damage in damaged if not damage.last]  # the last: nobody was told of it
        if lines:
            self._claim(lines)

    def _claim(self, lines: Sequence[Line] = ()) -> None:
        """Become the driver, if not done yet: take the lock, and put a segment that ends any earlier driver."""
        if self._epoch:
            if lines:
                self._write(lines)
            return
        self._acquire()
        epoch = self._journal.next + 1  # unique, because the number of the segment is
        self._write([*lines, Line(history.OPENED, time.time(), {"epoch": epoch, "version": __version__})])
        self._epoch = epoch

    def _write(self, lines: Sequence[Line]) -> None:
        lines = [*self._later, *lines]
        self._journal.append(lines)
        self._later.clear()
        for line in lines:
            self._history.apply(line)

    def _acquire(self) -> None:
        if self._lock is not None:
            self._lock.acquire()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    # --- committing ------------------------------------------------------------------------------------------------

    def _acceptable(self, commits: Sequence[Commit]) -> list[Commit]:
        """Those whose range is free, also of each other."""
        trial: dict[str, Covered] = {}
        found = []
        for commit in commits:
            taken = trial.setdefault(commit.stage, Covered())
            if self._history.is_free(commit) and taken.is_free(commit.first, commit.last):
                taken.add(commit)
                found.append(commit)
        return found

    def _lines(self, new: Sequence[Commit]) -> list[Line]:
        """The lines of a group of commits, and of what they make stale: one segment, all or nothing."""
        now = time.time()
        lines = [committed_line(commit, self._base(commit), now) for commit in new]
        self.contradictions += [commit.key for commit in new if self._history.lost.differs(commit)]
        stale = self._history.stale(new)
        if stale:
            self._superseded = True
            lines.append(dropped_line(stale, now))
        return lines

    def _base(self, commit: Commit) -> str:
        return self._bases.get(commit.attempt, "")

    def _bases_of(self, commits: Sequence[Commit]) -> list[str]:
        writing = (c for c in commits if any(o.publish for o in c.outputs))
        return sorted({self._base(commit) for commit in writing})

    def _publish(self, moves: Sequence[Move]) -> None:
        """Bring files to their lasting places. They are committed whether or not that works now: ``finish`` tries
        again, and says so, and the next driver does."""
        try:
            carry_out(moves)
        except StorageError:
            self._unpublished += moves

    def _make_up(self) -> None:
        carry_out([move for move in self._unpublished if move.source.exists(move.old)])
        self._unpublished = []

    def _tidy(self, commits: Sequence[Commit]) -> None:
        """Delete the directories that the files of these commits were moved out of."""
        waiting = {move.old for move in self._unpublished}
        for commit in commits:
            moves = self._places().moves(commit, self._base(commit))
            if moves and not any(move.old in waiting for move in moves):
                with suppress(StorageError):  # garbage: the next driver sweeps it
                    self._places().delete_attempt(commit.attempt, self._bases.pop(commit.attempt, ""))


def _begun(job: dict[str, Any]) -> dict[str, Any]:
    return {"id": fingerprint(job)[:12], "job": job, "version": __version__}
