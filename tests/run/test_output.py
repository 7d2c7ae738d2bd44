"""A person's output directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shardwise.compute.task import Output
from shardwise.errors import DifferentJob, StorageError, UsageError
from shardwise.run.directory import Commit, RunDirectory
from shardwise.run.output import begin_output, finish_output
from shardwise.storage import digest, open_store
from shardwise.storage.naming import attempt_name

JOB = {"job": 1}


def write_part(run: RunDirectory, out: str, number: int, data: bytes = b"new") -> Commit:
    attempt = run.next_attempt()
    name = f"part-{number:05d}.parquet"
    store = open_store(run.attempt_directory(attempt, out))
    store.put(attempt_name(name, name), data)
    store.put("quarantine.arrow", b"odd")
    outputs = (
        Output(name, 1, len(data), digest(data), publish=name),
        Output("quarantine.arrow", 1, 3, digest(b"odd")),
    )
    return Commit("write", number, number + 1, attempt, outputs)


def names(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_parts_are_published_and_what_is_not_a_part_stays_in_the_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        begin_output(str(out), run.id)
        waiting = write_part(run, str(out), 1)
        assert list(out.glob("**/*.parquet")) == []
        (committed,) = run.commit([waiting])
        assert committed.outputs[0].path == str(out / "part-00001.parquet")
        assert open_store(run.url).get(committed.outputs[1].path) == b"odd"
        assert names(out) == ["_shardwise.json", "part-00001.parquet"]
        write_part(run, str(out), 2)
        (out / "part-00007.parquet").write_bytes(b"of an earlier plan")
        finish_output(str(out), run.id, ["part-00001.parquet"])
    assert names(out) == ["_SUCCESS", "_shardwise.json", "part-00001.parquet"]
    assert not (out / "_attempts").exists()


def test_finishing_with_a_missing_part_is_refused(tmp_path: Path) -> None:
    begin_output(str(tmp_path), "run1")
    with pytest.raises(StorageError, match="part-00000"):
        finish_output(str(tmp_path), "run1", ["part-00000.parquet"])
    assert names(tmp_path) == ["_shardwise.json"]


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "part-1.csv").write_text("a")
    with pytest.raises(UsageError, match=r"not empty: 1 file .part-1\.csv") as caught:
        begin_output(str(tmp_path), "run1")
    assert "overwrite" in caught.value.fix
    (tmp_path / "thesis.tex").write_text("a")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        begin_output(str(tmp_path), "run1", overwrite=True)
    assert names(tmp_path) == ["part-1.csv", "thesis.tex"]


def test_a_directory_of_another_run_is_refused_and_its_own_is_not(tmp_path: Path) -> None:
    begin_output(str(tmp_path), "run1")
    (tmp_path / "part-00000.parquet").write_bytes(b"1")
    finish_output(str(tmp_path), "run1", ["part-00000.parquet"])
    begin_output(str(tmp_path), "run1")
    assert not (tmp_path / "_SUCCESS").exists()
    with pytest.raises(DifferentJob, match="run1"):
        begin_output(str(tmp_path), "run2")


def test_overwriting_keeps_the_old_data_until_the_first_commit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("part-00000.parquet", "part-00009.parquet", "_SUCCESS"):
        (out / name).write_bytes(b"old")
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        begin_output(str(out), run.id, overwrite=True)
        begin_output(str(out), run.id, overwrite=True)
        waiting = write_part(run, str(out), 0)
        assert (out / "part-00000.parquet").read_bytes() == b"old"
        run.commit([waiting])
        assert names(out) == ["_shardwise.json", "part-00000.parquet"]
        run.commit([write_part(run, str(out), 1)])
        assert (out / "part-00000.parquet").read_bytes() == b"new"


def test_overwriting_ones_own_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "part-0.parquet").write_bytes(b"old")
    with pytest.raises(UsageError, match="would overwrite it"):
        begin_output(str(tmp_path), "run1", overwrite=True, reads=["/data/x", str(tmp_path / "part-0.parquet")])
    begin_output(str(tmp_path), "run1", overwrite=True, reads=[str(tmp_path) + "-other/part-0.parquet"])


def test_a_run_whose_output_was_taken_commits_nothing_more_and_starts_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        begin_output(str(out), run.id)
        run.commit([write_part(run, str(out), 0)])
        waiting = write_part(run, str(out), 1)
        begin_output(str(out), "other", overwrite=True)
        with pytest.raises(DifferentJob, match="other"):
            run.commit([waiting])
        with pytest.raises(DifferentJob, match="other"):
            finish_output(str(out), run.id, [])
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        assert run.committed("write") == []


def test_a_damaged_marker_belongs_to_nobody(tmp_path: Path) -> None:
    begin_output(str(tmp_path), "run1")
    (tmp_path / "_shardwise.json").write_text("{")
    begin_output(str(tmp_path), "run2")
    assert json.loads((tmp_path / "_shardwise.json").read_text())["run"] == "run2"


def test_attempts_of_dead_drivers_are_swept_from_the_output(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        begin_output(str(out), run.id)
        run.commit([write_part(run, str(out), 0)])
        write_part(run, str(out), 1)
    (out / "_attempts" / "another-1-1").mkdir(parents=True)
    (out / "_attempts" / "another-1-1" / "part-0.parquet.tmp").write_bytes(b"x")
    RunDirectory.open(str(tmp_path / "run"), JOB).close()
    assert [path.name for path in (out / "_attempts").iterdir()] == ["another-1-1"]


def test_an_output_on_another_store(tmp_path: Path) -> None:
    out = f"memory://{tmp_path.name}/out"
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        begin_output(out, run.id)
        (committed,) = run.commit([write_part(run, out, 0)])
        assert committed.outputs[0].path == f"{out}/part-00000.parquet"
        assert open_store(run.url).get(committed.outputs[1].path) == b"odd"
        finish_output(out, run.id, ["part-00000.parquet"])
    assert list(open_store(out).list()) == ["_SUCCESS", "_shardwise.json", "part-00000.parquet"]
