"""A task done again: the same, different, damaged, changed, failed; what is said is so."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.errors import DifferentJob, FunctionError, UsageError

cloudpickle.register_pickle_by_value(sys.modules[__name__])

RUN: dict[str, Any] = {"progress": "none", "shard_size": 1, "retries": 1}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        pq.write_table(pa.table({"x": [float(x) for x in range(40)]}), tmp_path / f"{name}.parquet")
    return tmp_path


def data(place: Path) -> sw.Dataset:
    return sw.read_parquet(str(place / "*.parquet"), batch_rows=10)


def steady(table: pa.Table, ctx: sw.Context) -> pa.Table:
    return table.append_column("y", pa.array(np.sqrt(table["x"].to_numpy()) + ctx.rng.random(len(table))))


def restless(table: pa.Table) -> pa.Table:
    y = [random.random() if x == 27 else x for x in table["x"].to_pylist()]
    return table.append_column("y", pa.array(y))


class Longest(sw.Aggregate[Any]):
    def zero(self) -> Any:
        return []

    def step(self, state: Any, batch: Any) -> Any:
        return state + batch["x"].to_pylist()

    def merge(self, a: Any, b: Any) -> Any:
        return a + b

    def finish(self, state: Any) -> Any:
        return len(state)


def jobs(place: Path) -> dict[str, tuple[sw.Job, str]]:
    """Jobs of every kind, with one of their tasks."""
    ds = data(place)
    return {
        "collect": (ds.map(steady).collect(), "collect-2-3"),
        "arrays": (sw.from_array(np.arange(9.0), batch_rows=3).map(lambda a: a * 2).collect(), "collect-0-1"),
        "items": (sw.from_items([{1}, {2}]).map_items(lambda item: item | {3}).collect(), "collect-0-1"),
        "write": (ds.map(steady).write_parquet(str(place / "out")), "write-0-8"),
        "csv": (ds.map(steady).write_csv(str(place / "out-csv")), "write-0-8"),
        "settle": (ds.map(steady).write_parquet(str(place / "out-2")), "settle-0-8"),
        "partial": (ds.map(steady).group_by("x").aggregate(sw.mean("y"), sw.argmax("y", "x")), "partial-3-4"),
        "finish": (ds.map(steady).aggregate(sw.mean("y"), sw.approx_quantile("y", 0.5)), "finish-0-8"),
        "own": (ds.aggregate(sw.count(), n=Longest()), "partial-1-2"),
        "own_finish": (ds.aggregate(n=Longest()), "finish-0-8"),
        "native": (ds.aggregate(sw.sum("x")), "partial-0-1"),
        "describe": (ds.describe(), "finish-0-8"),
    }


KINDS = "collect arrays items write csv settle partial finish own own_finish native describe"


@pytest.mark.parametrize("kind", KINDS.split())
def test_a_task_of_any_kind_comes_out_the_same(kind: str, place: Path) -> None:
    job, task = jobs(place)[kind]
    run_dir = str(place / "run")
    job.run(run_dir=run_dir, engine="inline", seed=7, **RUN)
    again = job.replay_task(task, run_dir=run_dir, seed=7)
    assert again.same, str(again)
    assert again.verdict == "same"
    assert again.task == task
    assert again.outputs
    assert all(output.committed == output.again for output in again.outputs)


def test_a_task_of_workers_and_a_merge_come_out_the_same(place: Path) -> None:
    ds = sw.read_parquet(str(place / "*.parquet"), batch_rows=2)
    job = ds.map(steady).aggregate(sw.mean("y"))
    job.run(engine="local:2", **RUN)
    for task in ("partial-0-1", "merge-0-16", "finish-0-40"):
        assert job.replay_task(task).verdict == "same"
    names = [job.replay_task(number).task for number in (0, 41)]
    assert names == ["settle-0-40", "merge-0-16"]


def test_a_task_that_comes_out_different_says_where(place: Path) -> None:
    job = data(place).map(restless).collect()
    job.run(engine="inline", **RUN)
    again = job.replay_task("collect-6-7")
    assert again.verdict == "differs"
    (output,) = again.outputs
    assert output.place is not None
    assert str(output.place) == f"{place / 'b.parquet'}, batch 2, row 7"
    assert output.difference is not None
    assert (output.difference.row, output.difference.column) == (7, "y")
    assert "first difference" in str(again)
    assert job.replay_task("collect-5-6").same, "in another batch nothing is drawn"


FORMATS = ["rows", "array", "columns", "pickle", "parquet", "csv", "ndjson", "ipc", "npy", "state"]


@pytest.mark.parametrize("form", FORMATS)
def test_the_first_difference_is_found_in_every_format(form: str, place: Path) -> None:
    def drawn(item: int) -> dict[str, Any]:
        more = {"s": {item}} if form == "pickle" else {}
        return {"x": item, "y": random.random() if item == 7 else float(item), **more}

    def drawn_array(array: np.ndarray) -> np.ndarray:
        made = array.copy()
        made[7] += random.random()
        return made

    ds = data(place).map(restless)
    array = sw.from_array(np.arange(20.0)[:, None], batch_rows=10).map(drawn_array)
    items = sw.from_items(list(range(9))).map_items(drawn)
    jobs = {
        "rows": lambda: ds.collect(),
        "array": lambda: array.collect(),
        "columns": lambda: items.collect(),
        "pickle": lambda: items.collect(),
        "npy": lambda: array.write_npy(str(place / "out")),
        "state": lambda: ds.aggregate(y=sw.sum("y")),
    }
    job = jobs.get(form, lambda: getattr(ds, f"write_{form}")(str(place / "out")))()
    run_dir = str(place / "run")
    job.run(
        engine="inline", run_dir=run_dir, progress="none", shard_size=100 if form in ("columns", "pickle") else None
    )
    differing = []
    for number in range(4):
        with contextlib.suppress(UsageError):
            differing += [one for one in job.replay_task(number, run_dir=run_dir).outputs if not one.same]
    found = differing[0].difference
    assert found is not None
    assert found.row == {"state": 0, "parquet": 27, "csv": 27, "ndjson": 27, "ipc": 27, "rows": 27}.get(form, 7)
    assert found.column == ("c0" if form in ("array", "npy") else "y")
    assert found.first != found.second
    assert (
        differing[0].place is None or differing[0].place.row == (7 if form != "state" else None) or form in FORMATS[2:4]
    )


def test_damage_of_what_was_committed_is_told_from_a_difference(place: Path) -> None:
    job = data(place).map(steady).write_parquet(str(place / "out"))
    job.run(engine="inline", **RUN)
    (part,) = (place / "out").glob("part-*.parquet")
    whole = part.read_bytes()
    rows = pq.read_table(part)
    changed = rows.set_column(0, "x", pa.array([9.5, *rows["x"].to_pylist()[1:]]))
    pq.write_table(changed, part)
    again = job.replay_task("write-0-8")
    assert not again.same
    assert "same, but what was committed is damaged" in again.verdict
    assert "row 0, column 'x': 9.5, then 0.0" in str(again)
    part.write_bytes(whole[: len(whole) // 2])
    again = job.replay_task("write-0-8")
    assert not again.same
    assert "damaged" in again.verdict
    part.unlink()
    assert "damaged" in job.replay_task("write-0-8").verdict
    part.write_bytes(whole)
    assert job.replay_task("write-0-8").verdict == "same"


def test_inputs_that_are_damaged_are_refused(place: Path) -> None:
    def wide(table: pa.Table) -> pa.Table:
        return table.append_column("s", pa.array(np.arange(len(table)) * 1.5))

    ds = sw.from_array(np.random.default_rng(1).random((60_000, 2)), batch_rows=30_000)
    job = ds.aggregate(q=Longest2())
    job.run(engine="inline", run_dir=str(place / "run"), **RUN)
    (state, *_) = sorted((place / "run" / "outputs" / "partial").iterdir())
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    with pytest.raises(sw.errors.StorageError, match="is not what was committed"):
        job.replay_task("finish-0-2", run_dir=str(place / "run"))


class Longest2(Longest):
    def step(self, state: Any, batch: Any) -> Any:
        return state + batch[:, 0].tolist()


def test_changed_code_is_refused_and_done_anyway(place: Path) -> None:
    run_dir = str(place / "run")

    def job_with(power: int) -> sw.Job:
        def raised(table: pa.Table) -> pa.Table:
            return table.append_column("y", pa.array(table["x"].to_numpy() ** power))

        return data(place).map(raised).collect()

    job_with(2).run(run_dir=run_dir, engine="inline", **RUN)
    with pytest.raises(DifferentJob, match="power of raised 2 -> 3") as caught:
        job_with(3).replay_task("collect-0-1", run_dir=run_dir)
    assert "--anyway" in caught.value.fix
    again = job_with(3).replay_task("collect-0-1", run_dir=run_dir, anyway=True)
    assert again.verdict == "differs"
    assert "row 2, column 'y': 4.0, then 8.0" in str(again)
    assert any("power of raised 2 -> 3" in note for note in again.notes)
    with pytest.raises(DifferentJob, match="seed"):
        job_with(2).replay_task("collect-0-1", run_dir=run_dir, seed=3)
    with pytest.raises(UsageError, match="no run of this job is kept"):
        job_with(5).replay_task("collect-0-1")


def test_a_task_that_failed_fails_again(place: Path) -> None:
    def picky(table: pa.Table) -> pa.Table:
        if 27.0 in table["x"].to_pylist():
            raise ValueError("no 27")
        return table

    job = data(place).map(picky).collect()
    with pytest.raises(FunctionError, match="no 27"):
        job.run(engine="local:1", **RUN)
    with pytest.raises(ValueError, match="no 27"):
        job.replay_task("collect-2-3")
    from shardwise.api.run_tasks import tasks_of
    from shardwise.run.cache import list_runs
    from shardwise.run.directory import RunDirectory

    (run,) = list_runs()
    known = {task.name: task for task in tasks_of(RunDirectory.read(run.url))}
    failed = known["collect-2-3"]
    assert failed.commit is None
    assert failed.failures[0] == "ValueError: no 27"


def test_a_function_that_cannot_be_settled_is_replayed_by_its_settling(place: Path) -> None:
    def broken(table: pa.Table) -> pa.Table:
        raise LookupError("never")

    job = data(place).map(broken).aggregate(sw.count())
    with pytest.raises(FunctionError, match="never"):
        job.run(engine="local:1", **RUN)
    with pytest.raises(LookupError, match="never"):
        job.replay_task("settle-0-8")


def test_a_job_that_reads_from_another_one(place: Path) -> None:
    first = data(place).map(restless).aggregate(s=sw.sum("x"))
    job = first.then().aggregate(sw.max("s"))
    made = first.run(engine="inline", **RUN)
    assert job.replay_task("partial-0-1", run_dir=made.run.dir).same, "the run is of the job that it reads from"


def test_quarantine_comes_out_the_same(place: Path) -> None:
    def picky(table: pa.Table) -> pa.Table:
        if 27.0 in table["x"].to_pylist():
            raise ValueError("no 27")
        return table

    job = data(place).map(picky).collect()
    job.run(engine="inline", on_error="quarantine", **RUN)
    again = job.replay_task("collect-2-3", on_error="quarantine")
    assert [output.name for output in again.outputs] == ["rows.arrow", "quarantine.arrow"]
    assert again.same, str(again)


@pytest.mark.parametrize("deadly", [{27.0}, {22.0, 27.0}, set(range(20, 30))])
def test_rows_that_ended_workers_are_left_out_again(deadly: set[float], place: Path) -> None:
    def dies(table: pa.Table) -> pa.Table:
        if deadly & {*table["x"].to_pylist()} and (len(deadly) < 10 or len(table) > 5):
            os._exit(3)
        return table

    job = data(place).filter("x > 20").map(dies).collect()
    result = job.run(engine="local:1", on_error="quarantine", **RUN)
    assert result.run.quarantined
    again = job.replay_task("collect-2-3", on_error="quarantine")
    assert "quarantine.arrow" in [output.name for output in again.outputs]
    assert again.same, str(again)


def test_what_is_no_task_is_refused_by_name(place: Path) -> None:
    job = data(place).map(steady).collect()
    job.run(engine="inline", **RUN)
    with pytest.raises(UsageError, match="no task 'collect-0-9999'"):
        job.replay_task("collect-0-9999")
    with pytest.raises(UsageError, match="has 8 tasks, from 0"):
        job.replay_task("8")
    with pytest.raises(UsageError, match="did you mean collect-0-1"):
        job.replay_task("colect-0-1")
    again = job.replay_task("collect-0-3")
    assert "committed nothing of it" in again.verdict
