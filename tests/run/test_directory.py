"""Law 1: a run is a directory, an output is committed once, and whatever dies, nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shardwise.errors
from shardwise.compute.task import Metrics, Output
from shardwise.errors import DifferentJob, RunIsTaken, StorageError, UsageError
from shardwise.run.directory import Commit, RunDirectory
from shardwise.run.lock import Lock
from shardwise.run.output import begin_output, finish_output
from shardwise.storage import digest, open_store
from shardwise.storage.naming import attempt_name

JOB: dict[str, Any] = {
    "sources": [{"path": "a.csv", "size": 10}, {"path": "b.csv", "size": 7}],
    "options": {"seed": 1},
    "summary": "count of a",
}


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "run") if request.param == "local" else f"memory://{uuid.uuid4().hex}/run"


def attempt(
    run: RunDirectory, first: int, last: int, stage: str = "s", data: bytes = b"rows", base: str = ""
) -> Commit:
    """What a worker does: writes files under its directory, says what it wrote."""
    number = run.next_attempt()
    store = open_store(run.attempt_directory(number, base or None))
    publish = f"part-{first:05d}.parquet" if base else ""
    name = publish or "rows.arrow"
    with store.open_write(attempt_name(name, publish)) as file:
        file.write(data)
    outputs = (
        Output(name, 3, len(data), digest(data), publish=publish),
        Output("state", 1, 2, digest(b"st"), data=b"st"),
    )
    return Commit(stage, first, last, number, outputs, Metrics(seconds=1.5, rows_in=3))


def ranges(run: Any, stage: str = "s") -> list[tuple[int, int]]:
    return [(commit.first, commit.last) for commit in run.committed(stage)]


def contents(url: str) -> dict[str, bytes]:
    store = open_store(url)
    return {name: store.get(name) for name in store.list()}


# --- committing ----------------------------------------------------------------------------------------------------


def test_what_is_committed_is_there_again(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        given = attempt(run, 0, 4)
        (committed,) = run.commit([given])
        assert committed == replace(
            given, outputs=(replace(given.outputs[0], path="outputs/s/00000000-00000004-rows.arrow"), given.outputs[1])
        )
    with RunDirectory.open(url, JOB) as run:
        assert run.committed("s") == [committed]
        assert run.committed("other") == []
        assert open_store(run.url).get(committed.outputs[0].path) == b"rows"
        assert run.stages == ["s"]
    assert open_store(url).list("_attempts") == {}


def test_commits_are_sorted_and_a_group_is_one_segment(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        before = len(open_store(url).list("journal"))
        run.commit([attempt(run, 8, 12), attempt(run, 0, 4), attempt(run, 4, 8)])
        assert ranges(run) == [(0, 4), (4, 8), (8, 12)]
        assert len(open_store(url).list("journal")) == before + 1


def test_nothing_is_committed_twice(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        (standing,) = run.commit([attempt(run, 0, 4, data=b"first")])
        assert run.commit([attempt(run, 0, 4, data=b"second")]) == [standing]
        assert run.commit([attempt(run, 2, 6), attempt(run, 0, 2)]) == []
        first, second = run.commit([attempt(run, 4, 8, data=b"x"), attempt(run, 4, 8, data=b"y")])
        assert first == second
        assert open_store(url).get(first.outputs[0].path) == b"x"
        assert run.commit([]) == []
        assert len(run.commit([attempt(run, 0, 4, stage="t")])) == 1
    with RunDirectory.open(url, JOB) as run:
        assert ranges(run) == [(0, 4), (4, 8)]


def test_a_file_that_is_not_what_was_written_is_not_committed(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        good, bad = attempt(run, 0, 4), attempt(run, 4, 8)
        bad = replace(bad, outputs=(replace(bad.outputs[0], size=5),))
        with pytest.raises(StorageError, match="4 bytes where an attempt wrote 5"):
            run.commit([good, bad])
        open_store(url).delete_tree("_attempts")
        with pytest.raises(StorageError, match="vanished"):
            run.commit([good])
        assert ranges(run) == []


def test_attempt_numbers_are_never_used_twice(url: str) -> None:
    seen = []
    for restart in (False, False, True, False):
        with RunDirectory.open(url, JOB, restart=restart) as run:
            seen += [run.next_attempt() for _ in range(3)]
    assert len(set(seen)) == 12
    assert seen == sorted(seen)


def test_notes_logs_and_events_can_be_read_back(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        run.note("retry", {"kind": "crash", "task": "s-0-4"})
        number = run.next_attempt()
        run.append_logs("s-0-4", number, ["one\n", "two \N{SNOWMAN}"])
        run.append_logs("s-0-4", number, ["three", "\udcff"])
        run.append_logs("s-4-8", run.next_attempt(), ["other"])
    view = RunDirectory.read(url)
    assert [line.data for line in view.events() if line.kind == "retry"] == [{"kind": "crash", "task": "s-0-4"}]
    assert next(view.logs("s-0-4"))[2] == ["one", "two \N{SNOWMAN}", "three", "\\udcff"]
    assert [task for task, _, _ in view.logs()] == ["s-0-4", "s-4-8"]


def test_discard_deletes_what_an_attempt_wrote(url: str, tmp_path: Path) -> None:
    with RunDirectory.open(url, JOB) as run:
        out = str(tmp_path / "out")
        begin_output(out, run.id)
        run.discard(attempt(run, 0, 4).attempt)
        run.discard(attempt(run, 0, 4, base=out).attempt)
        assert open_store(url).list("_attempts") == {}
        assert list(open_store(out).list()) == ["_shardwise.json"]
        run.discard(12345)


# --- finishing, status ---------------------------------------------------------------------------------------------


def test_a_finished_run_answers_without_being_written_to(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        run.commit([attempt(run, 0, 4)])
        assert run.finished is None
        run.finish({"seconds": 3.5})
    before = contents(url)
    with RunDirectory.open(url, JOB) as run:
        assert run.finished == {"seconds": 3.5}
        assert ranges(run) == [(0, 4)]
        with RunDirectory.open(url, JOB) as another:  # readers of an answer do not exclude each other
            assert another.finished == run.finished
        assert RunDirectory.read(url).status == "done"
    assert contents(url) == before


def test_a_finished_run_that_lost_a_file_is_not_finished(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        first, _ = run.commit([attempt(run, 0, 4), attempt(run, 4, 8)])
        run.finish({})
    open_store(url).delete(first.outputs[0].path)
    with RunDirectory.open(url, JOB) as run:
        assert run.finished is None
        assert ranges(run) == [(4, 8)]
        run.commit([attempt(run, 0, 4)])
        run.finish({})
    with RunDirectory.open(url, JOB) as run:
        assert run.finished == {}
        assert ranges(run) == [(0, 4), (4, 8)]


def test_status_of_a_run(tmp_path: Path) -> None:
    url = str(tmp_path / "run")
    run = RunDirectory.open(url, JOB)
    assert RunDirectory.read(url).status == "running"
    run.close()
    assert RunDirectory.read(url).status == "interrupted"
    with RunDirectory.open(url, JOB) as run:
        run.note("failed", {"message": "no"})
    assert RunDirectory.read(url).status == "failed"
    with RunDirectory.open(url, JOB) as run:
        assert RunDirectory.read(url).status == "running"
        run.finish({})
        assert RunDirectory.read(url).status == "done"


# --- whose directory it is -----------------------------------------------------------------------------------------


def test_another_job_is_refused_with_what_differs(url: str) -> None:
    RunDirectory.open(url, JOB).close()
    before = contents(url)
    other = {**JOB, "sources": [{"path": "a.csv", "size": 12}, {"path": "c.csv", "size": 7}], "options": {"seed": 2}}
    with pytest.raises(DifferentJob) as caught:
        RunDirectory.open(url, other)
    for words in ("sources a.csv: size 10 -> 12", "sources b.csv is gone", "c.csv is new", "options: seed 1 -> 2"):
        assert words in str(caught.value)
    assert "--restart" in caught.value.fix
    assert "--run-dir" in caught.value.fix
    if not url.startswith("memory"):
        before["lock"] = b""
    assert contents(url) == before


def test_the_same_job_in_another_order_of_keys_is_the_same(url: str) -> None:
    RunDirectory.open(url, JOB).close()
    RunDirectory.open(url, dict(reversed(JOB.items()))).close()


def test_restart_forgets_and_sweeps(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        run.commit([attempt(run, 0, 4)])
        attempt(run, 4, 8)
    with RunDirectory.open(url, {**JOB, "options": {}}, restart=True) as run:
        assert run.committed("s") == []
        assert {name.split("/")[0] for name in open_store(url).list()} <= {"journal", "lock"}
        run.commit([attempt(run, 0, 3)])
    with RunDirectory.open(url, {**JOB, "options": {}}) as run:
        assert ranges(run) == [(0, 3)]


def test_a_job_with_unknown_values_never_goes_on(url: str) -> None:
    job = {**JOB, "code": {"unknown": ["lock of f (a _thread.lock)"]}}
    with RunDirectory.open(url, job) as run:
        run.commit([attempt(run, 0, 4)])
    with pytest.raises(DifferentJob, match="lock of f"):
        RunDirectory.open(url, job)
    RunDirectory.open(url, job, restart=True).close()


def test_a_directory_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    for action in (lambda: RunDirectory.open(str(tmp_path), JOB), lambda: RunDirectory.read(str(tmp_path))):
        with pytest.raises(UsageError, match="not a run directory"):
            action()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory.open(str(tmp_path / "thesis.tex"), JOB)
    with pytest.raises(UsageError, match="not a run directory"):
        RunDirectory.read(str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_a_moved_run_directory_goes_on(tmp_path: Path) -> None:
    with RunDirectory.open(str(tmp_path / "a"), JOB) as run:
        run.commit([attempt(run, 0, 4)])
    (tmp_path / "a").rename(tmp_path / "b")
    with RunDirectory.open(str(tmp_path / "b"), JOB) as run:
        assert ranges(run) == [(0, 4)]


# --- two drivers ---------------------------------------------------------------------------------------------------


def test_a_second_driver_is_told_who_holds_the_run(tmp_path: Path) -> None:
    url = str(tmp_path / "run")
    with RunDirectory.open(url, JOB), pytest.raises(RunIsTaken, match=rf"process {os.getpid()} on .+ since \d{{4}}"):
        RunDirectory.open(url, JOB)
    RunDirectory.open(url, JOB).close()


def test_the_numbers_are_the_fence_where_locks_fail(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lock, "acquire", lambda self: None)
    first = RunDirectory.open(url, JOB)
    first.commit([attempt(first, 0, 4)])
    late = attempt(first, 4, 8, data=b"late")
    second = RunDirectory.open(url, JOB)
    with pytest.raises(RunIsTaken, match="has taken over"):
        first.commit([late])
    with pytest.raises(RunIsTaken):
        first.note("plan", {})
    assert ranges(second) == [(0, 4)]
    second.commit([attempt(second, 4, 8, data=b"mine")])
    with pytest.raises(RunIsTaken):
        first.finish({})
    third = RunDirectory.open(url, JOB)
    assert ranges(third) == [(0, 4), (4, 8)]
    assert open_store(url).get(third.committed("s")[1].outputs[0].path) == b"mine"


DRIVER = """
import sys
from shardwise.run.directory import RunDirectory
run = RunDirectory.open(sys.argv[1], {"job": 1})
print("open", flush=True)
sys.stdin.read()
"""


def test_the_kernel_releases_the_lock_of_a_killed_driver(tmp_path: Path) -> None:
    url = str(tmp_path / "run")
    environment = os.environ | {"PYTHONPATH": str(Path(shardwise.errors.__file__).parents[1])}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"open\n"
        with pytest.raises(RunIsTaken, match=f"process {driver.pid}"):
            RunDirectory.open(url, {"job": 1})
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        RunDirectory.open(url, {"job": 1}).close()
    finally:
        driver.kill()
        driver.communicate()


# --- resuming ------------------------------------------------------------------------------------------------------


def test_damaged_bytes_are_found_when_an_unfinished_run_goes_on(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        first, _ = run.commit([attempt(run, 0, 4), attempt(run, 4, 8)])
    open_store(url).put(first.outputs[0].path, b"ROWS")
    with RunDirectory.open(url, JOB, verify=False) as run:
        assert ranges(run) == [(0, 4), (4, 8)]
    with RunDirectory.open(url, JOB) as run:
        assert ranges(run) == [(4, 8)]
        run.commit([attempt(run, 0, 2), attempt(run, 2, 4)])
    with RunDirectory.open(url, JOB) as run:
        assert ranges(run) == [(0, 2), (2, 4), (4, 8)]
    dropped = [line.data for line in RunDirectory.read(url).events() if line.kind == "dropped"]
    assert len(dropped) == 1
    assert "digest" in dropped[0]["files"][0]


def test_garbage_is_swept(url: str) -> None:
    with RunDirectory.open(url, JOB) as run:
        (committed,) = run.commit([attempt(run, 0, 4)])
        attempt(run, 4, 8)
    store = open_store(url)
    store.put("outputs/s/00000004-00000008-rows.arrow", b"stray")
    store.put("_attempts/hello-5eaf00d/question", b"of a driver that was killed")
    with RunDirectory.open(url, JOB) as run:
        mine = attempt(run, 4, 8)
        run.sweep()
        assert list(store.list("outputs")) == [committed.outputs[0].path]
        run.commit([mine])  # what this driver's own attempts write is no garbage
    assert store.list("_attempts") == {}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=5), max_size=5))
def test_any_ranges_in_any_order_never_overlap_and_outlive_the_driver(sessions: list[list[tuple[int, int]]]) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    covered: set[int] = set()
    for session in sessions:
        with RunDirectory.open(url, JOB) as run:
            for first, length in session:
                wanted = set(range(first, first + length))
                committed = run.commit([attempt(run, first, first + length)])
                assert bool(committed) == (not wanted & covered or (first, first + length) in ranges(run))
                covered |= wanted if committed else set()
    with RunDirectory.open(url, JOB) as run:
        found = [ordinal for commit in run.committed("s") for ordinal in range(commit.first, commit.last)]
        assert found == sorted(covered)


class Recorder:
    """Copies a directory before each step that a crash could come before or after."""

    def __init__(self, watched: Path, copies: Path) -> None:
        self.watched, self.copies, self.count = watched, copies, 0

    def wrap(self, step: Any) -> Any:
        def recorded(*arguments: Any, **named: Any) -> Any:
            shutil.copytree(self.watched, self.copies / f"{self.count}", symlinks=True)
            self.count += 1
            return step(*arguments, **named)

        return recorded


def test_a_crash_before_any_step_loses_nothing_that_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy is the disk as a kill at that instant leaves it; each is opened, and the job carried through."""
    work, promises = tmp_path / "work", []
    work.mkdir()
    recorder = Recorder(work, tmp_path / "copies")
    for name in ("link", "fsync", "rmdir"):
        monkeypatch.setattr(os, name, recorder.wrap(getattr(os, name)))
    for name in ("rename", "replace", "unlink"):
        monkeypatch.setattr(Path, name, recorder.wrap(getattr(Path, name)))
    run, out = RunDirectory.open(str(work / "run"), JOB), str(work / "out")
    begin_output(out, run.id)
    for first in (0, 4):
        run.commit([attempt(run, first, first + 4), attempt(run, first, first + 4, "w", b"part", base=out)])
        promises.append((recorder.count, first))
    finish_output(out, run.id, ["part-00000.parquet", "part-00004.parquet"])
    run.finish({})
    run.close()
    monkeypatch.undo()
    assert recorder.count > 50
    for number in range(recorder.count):
        shutil.rmtree(work)
        (tmp_path / "copies" / str(number)).rename(work)
        promised = {(first, first + 4) for count, first in promises if count <= number}
        carry_through(work, promised)


def carry_through(work: Path, promised: set[tuple[int, int]]) -> None:
    for part in (work / "out").glob("**/*.parquet"):
        assert part.read_bytes() == b"part"
    out = str(work / "out")
    with RunDirectory.open(str(work / "run"), JOB) as run:
        for stage in ("s", "w"):
            assert promised <= set(ranges(run, stage))
        begin_output(out, run.id)
        for first in (0, 4):
            for stage, base in (("s", ""), ("w", out)):
                if (first, first + 4) not in ranges(run, stage):
                    run.commit([attempt(run, first, first + 4, stage, b"part" if base else b"rows", base)])
        for commit in run.committed("s"):
            assert open_store(run.url).get(commit.outputs[0].path) == b"rows"
        finish_output(out, run.id, ["part-00000.parquet", "part-00004.parquet"])
        run.finish({})
    names = sorted(path.name for path in (work / "out").rglob("*"))
    assert names == ["_SUCCESS", "_shardwise.json", "part-00000.parquet", "part-00004.parquet"]


def test_a_publication_that_fails_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "run")
    run = RunDirectory.open(url, JOB)
    rename_many = run._store.rename_many

    def refuse(pairs: list[tuple[str, str]]) -> None:
        rename_many(pairs[:1])
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(run._store, "rename_many", refuse)
        group = [attempt(run, first, first + 4) for first in (0, 4, 8)]
        assert len(run.commit(group)) == 3  # the journal has them: they are committed
        with pytest.raises(StorageError, match="full"):
            run.finish({})
    run.close()
    shutil.copytree(url, tmp_path / "copy")
    run.finish({})
    for place in (url, str(tmp_path / "copy")):
        with RunDirectory.open(place, JOB) as again:
            files = [commit.outputs[0].path for commit in again.committed("s")]
            assert open_store(place).get_many(files) == [b"rows"] * 3


# --- what is written -----------------------------------------------------------------------------------------------


def test_storage_options_are_never_written() -> None:
    url = f"memory://{uuid.uuid4().hex}/run"
    with RunDirectory.open(url, JOB, options={"secret": "hunter2"}) as run:
        run.commit([attempt(run, 0, 4)])
        run.finish({})
    assert not any(b"hunter2" in data for data in contents(url).values())
