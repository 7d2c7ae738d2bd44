"""Runs to be cut off: what they do, what they promise, and what must be true of any disk that is found afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import shardwise as sw
from faults.power import Disk, Recorder, lay_out, states
from shardwise.errors import ShardwiseError
from shardwise.run import directory, publish
from shardwise.run import round as rounds
from shardwise.run.commits import Commit
from shardwise.run.directory import RunDirectory
from shardwise.run.publish import Move, carry_out
from shardwise.storage import LocalStore, disk

BATCH = 50


def make_data(directory: Path) -> str:
    """Eight batches in two files."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        x = np.random.default_rng(number).standard_normal(4 * BATCH)
        pq.write_table(pa.table({"k": np.arange(4 * BATCH) % 7, "x": x}), directory / f"{number}.parquet")
    return str(directory)


def twice(table: pa.Table) -> pa.Table:
    return table.append_column("y", pa.array(table.column("x").to_numpy() * 2))


class Cut:
    """A job whose directories lie on the disk that loses its power."""

    def __init__(self, kind: str, place: Path) -> None:
        self.kind, self.place = kind, place
        self.data = make_data(place / "data")
        self.disk = place / "disk"
        self.out = self.disk / "out"
        self.older: set[bytes] = set()

    @property
    def job(self) -> sw.Job:
        """What is run, and run again."""
        rows = sw.read_parquet(self.data, batch_rows=BATCH)
        if self.kind == "group":
            return rows.group_by("k").aggregate(n=sw.count(), mean=sw.mean("x"), dev=sw.std("x"))
        mapped = rows.map(twice)
        if self.kind == "collect":
            return mapped.collect()
        return mapped.write_parquet(str(self.out), file_batches=2, overwrite=self.kind == "overwrite")

    def prepare(self) -> None:
        """An empty disk; or one that has the output of an older job."""
        shutil.rmtree(self.disk, ignore_errors=True)
        self.disk.mkdir(parents=True)
        if self.kind == "overwrite":
            old = sw.read_parquet(self.data, batch_rows=BATCH).map(twice)
            old.write_parquet(str(self.out), file_batches=1).run(
                run_dir=str(self.place / "older"), engine="inline", progress="none", restart=True
            )
            self.older = {path.read_bytes() for path in self.out.glob("part-*")}

    def run(self) -> bytes:
        """The bytes of the answer."""
        result = self.job.run(
            run_dir=str(self.disk / "run"), engine="inline", progress="none", shard_size="1kB", retries=0
        )
        if not result.files:
            return repr(result.to_pylist()).encode()
        assert (self.out / "_SUCCESS").exists()
        found = sorted(path for path in self.out.rglob("*") if path.name not in ("_SUCCESS", "_shardwise.json"))
        return b"".join(f"{path.relative_to(self.out)}".encode() + path.read_bytes() for path in found)


@contextlib.contextmanager
def promising(recorder: Recorder) -> Iterator[None]:
    """Note what the run directory promises: commits, when ``commit`` returns; the end, when ``finish`` does."""
    commit, finish = RunDirectory.commit, RunDirectory.finish

    def noted_commit(self: RunDirectory, commits: Sequence[Commit]) -> list[Commit]:
        made = commit(self, commits)
        for one in made:
            recorder.promise(one.attempt)
        return made

    def noted_finish(self: RunDirectory, data: dict[str, Any]) -> None:
        finish(self, data)
        recorder.promise("finished")

    RunDirectory.commit, RunDirectory.finish = noted_commit, noted_finish  # type: ignore[method-assign]
    try:
        yield
    finally:
        RunDirectory.commit, RunDirectory.finish = commit, finish  # type: ignore[method-assign]


def record(
    cut: Cut, planted: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
) -> tuple[Recorder, Disk, bytes]:
    """A whole run: what it did to the disk, the disk it began with, and its answer. ``planted``: a bug to be found."""
    cut.prepare()
    before = Disk(Path(os.path.realpath(cut.disk)))
    for path in sorted(before.root.rglob("*")):
        before.put(path)
    recorder = Recorder(cut.disk)
    with recorder.recording(), promising(recorder), planted():
        answer = cut.run()
    return recorder, before, answer


def check(cut: Cut, cut_off: Disk, answer: bytes, chance: random.Random) -> str:
    """Cut the power; look at what is found; run the same command again. What is wrong, in words, or nothing."""
    found = cut_off.after_power_cut(chance)
    lay_out(found, cut.disk)
    problem = _readers_problem(cut, answer) or _promises_problem(cut, cut_off) or _uncommitted_problem(cut)
    if problem:
        return problem
    try:
        again = cut.run()
    except Exception as error:
        return f"does not resume: {type(error).__name__}: {error}"
    if again != answer:
        return "another answer"
    lines = list(RunDirectory.read(str(cut.disk / "run")).events())
    dropped = {attempt for line in lines if line.kind == "dropped" for attempt in line.data["attempts"]}
    lost = dropped.intersection(cut_off.promises)
    if lost:
        return f"promised attempts {lost} were lost"
    commits = [line.data["commit"] for line in lines if line.kind == "committed"]
    times = Counter((c["stage"], c["first"], c["last"]) for c in commits if c["attempt"] not in dropped)
    return f"committed twice: {times.most_common(1)}" if times and max(times.values()) > 1 else ""


def _readers_problem(cut: Cut, answer: bytes) -> str:
    """What a reader of the output directory must never see."""
    parts = {path: path.read_bytes() for path in cut.out.rglob("*.parquet")}
    for path, data in parts.items():
        if data not in answer and not _is_older(cut, data):
            return f"{path.name} is there in part"
    if not (cut.out / "_SUCCESS").exists():
        return ""
    names = b"".join(path.name.encode() + parts[path] for path in sorted(parts))
    older = len(parts) == 8 and all(_is_older(cut, data) for data in parts.values())
    return "" if names == answer or older else "_SUCCESS stands in a directory that is not complete"


def _uncommitted_problem(cut: Cut) -> str:
    """A part that can be seen is committed: else the next driver would make it again, and it might be another."""
    shown = {path.name for path in cut.out.glob("part-*") if not _is_older(cut, path.read_bytes())}
    if not shown:
        return ""
    view = RunDirectory.read(str(cut.disk / "run"))
    named = {output.publish for stage in view.stages for commit in view.committed(stage) for output in commit.outputs}
    return f"{sorted(shown - named)} can be seen, and no commit names them" if shown - named else ""


def _is_older(cut: Cut, data: bytes) -> bool:
    return cut.kind == "overwrite" and data in cut.older


def _promises_problem(cut: Cut, cut_off: Disk) -> str:
    if not cut_off.promises:
        return ""
    try:
        view = RunDirectory.read(str(cut.disk / "run"))
    except ShardwiseError as error:
        return f"the journal cannot be read: {error}"
    standing = {commit.attempt for stage in view.stages for commit in view.committed(stage)}
    missing = {promise for promise in cut_off.promises if promise != "finished"} - standing
    if missing:
        return f"the journal does not have promised attempts {missing}"
    if "finished" in cut_off.promises and view.finished is None:
        return "the journal does not say that the run is done"
    return ""


def problems(
    cut: Cut,
    count: int,
    seed: int,
    planted: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Iterator[str]:
    """Record a run, cut its power ``count`` times; what was wrong each time ("" if nothing)."""
    recorder, before, answer = record(cut, planted)
    for number, (place, found) in enumerate(states(recorder.operations, before, count, random.Random(f"{seed}"))):
        wrong = check(cut, found, answer, random.Random(f"{seed} {cut.kind} {number}"))
        at = f"{cut.kind}, seed {seed}, cut {number} after {place} of {len(recorder.operations)} operations"
        yield f"{at}: {wrong}" if wrong else ""


# --- bugs to be found ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _with(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def no_flush_of_files() -> contextlib.AbstractContextManager[None]:
    """Files are named before their bytes are safe."""
    return _with(disk, "sync_file", lambda descriptor: None)


def no_flush_of_directories() -> contextlib.AbstractContextManager[None]:
    """Names are counted on before they are safe."""
    return _with(disk, "sync_directory", lambda directory: None)


@contextlib.contextmanager
def acknowledged_before_the_flush() -> Iterator[None]:
    """Each segment of the journal is flushed only when the next one is put."""
    late: list[Callable[[], None]] = []
    put = LocalStore.put_if_absent

    def hasty(self: LocalStore, name: str, data: bytes) -> bool:
        sync = disk.sync_directory
        for flush in late:
            flush()
        late.clear()
        with _with(disk, "sync_directory", lambda directory: late.append(lambda: sync(directory))):
            return put(self, name, data)

    with _with(LocalStore, "put_if_absent", hasty):
        yield


@contextlib.contextmanager
def published_before_the_journal() -> Iterator[None]:
    """Parts get their names before the segment is put."""
    written = directory.check_written

    def hasty(move: Move) -> None:
        written(move)
        carry_out([move])

    with _with(directory, "check_written", hasty):
        yield


@contextlib.contextmanager
def complete_before_it_is() -> Iterator[None]:
    """``_SUCCESS`` is put as soon as parts appear."""
    move = publish.carry_out

    def hasty(moves: Iterable[Move]) -> None:
        moves = list(moves)
        move(moves)
        for url in {one.target.url for one in moves if one.output.publish}:
            LocalStore(url).put("_SUCCESS", b"")

    with _with(directory, "carry_out", hasty), _with(rounds, "GATHER_MOST", 1):  # else a quick run has but one group
        yield


@contextlib.contextmanager
def deleted_in_any_order() -> Iterator[None]:
    """What ``overwrite`` replaces is deleted, ``_SUCCESS`` and all, without a flush between."""

    def hasty(self: LocalStore, names: Any) -> None:
        for name in names:
            disk.unlink(Path(self.url, name))

    with _with(LocalStore, "delete_many", hasty):
        yield


PLANTED: dict[str, tuple[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "no flush of files": ("write", no_flush_of_files),
    "no flush of directories": ("collect", no_flush_of_directories),
    "acknowledged before the flush": ("collect", acknowledged_before_the_flush),
    "published before the journal": ("write", published_before_the_journal),
    "complete before it is": ("overwrite", complete_before_it_is),
    "deleted in any order": ("overwrite", deleted_in_any_order),
}
"""Name of the bug: the kind of run that shows it, and how it is planted."""
