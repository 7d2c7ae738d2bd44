"""A plan tries a part of the work, and changes nothing else: no output, no commit, no process of the person's."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.errors import UsageError
from shardwise.run.view import RunView

COUNT = 400


def _pause(item: int) -> int:
    time.sleep(0.002)
    return item


def _job(count: int = COUNT) -> Any:
    return sw.from_items(range(count)).map_items(_pause).collect()


def once(table: Any) -> Any:
    return {"x": table.column("x")}


def twice(table: Any) -> Any:
    return {"x": [2 * x for x in table.column("x").to_pylist()]}


def saying(table: Any) -> Any:
    rows = []
    for x in table.column("x").to_pylist():
        print("row", x)
        rows.append({"x": x})
    return rows


def deadly(table: Any) -> Any:
    rows = []
    for x in table.column("x").to_pylist():
        if x == 7:
            os._exit(1)
        rows.append({"x": sum(x for _ in range(200))})
    return rows


def data(place: Path) -> Any:
    pq.write_table(pa.table({"x": list(range(40 * COUNT))}), place / "t.parquet", row_group_size=40)
    return sw.read_parquet(str(place / "t.parquet"), batch_rows=40)


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file() and path.name[0] != "."}


def rows(out: Path) -> list[int]:
    return sorted(pq.read_table(sorted(out.glob("part-*"))).column("x").to_pylist())


# --- outputs -------------------------------------------------------------------------------------------------------


def test_what_a_run_would_replace_is_there_after_a_plan(tmp_path: Path) -> None:
    out = tmp_path / "out"
    data(tmp_path).map(once).write_parquet(str(out)).run(engine="local:2", progress="none")
    before = content(out)
    again = data(tmp_path).map(twice).write_parquet(str(out), overwrite=True)
    plan = again.plan(engine="local:2")
    assert content(out) == before
    assert plan.seconds is None and any("would replace what is in" in reason for reason in plan.reasons)
    again.run(engine="local:2", progress="none")
    assert rows(out) == [2 * x for x in range(40 * COUNT)]


@pytest.mark.parametrize("engine", ["inline", "local:1"])
def test_a_finished_run_is_told_as_it_was_carried_out(engine: str, tmp_path: Path) -> None:
    def job() -> Any:
        return sw.from_items(range(COUNT)).map_items(abs).collect()

    job().run(engine=engine, run_dir=str(tmp_path / "run"), progress="none")
    plan = job().plan(run_dir=str(tmp_path / "run"))
    assert (plan.engine, plan.workers) == (engine, 1)
    assert "how it was carried out" in str(plan) and "inline after all" not in str(plan)


def test_a_function_may_be_changed_between_a_plan_and_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = data(tmp_path).map(once).write_parquet(str(out)).plan(engine="local:2")
    second = data(tmp_path).map(twice).write_parquet(str(out))
    assert first.sample is not None and list(out.glob("part-*"))
    assert second.plan(engine="local:2").sample is not None
    second.run(engine="local:2", progress="none")
    assert rows(out) == [2 * x for x in range(40 * COUNT)]


def test_what_has_begun_is_not_taken_for_a_plan(tmp_path: Path) -> None:
    """Nor what was planned and then carried out."""
    out = tmp_path / "out"
    job = data(tmp_path).map(once).write_parquet(str(out))
    job.plan(engine="local:2")
    job.run(engine="local:2", progress="none")
    with pytest.raises(sw.errors.DifferentJob):
        data(tmp_path).map(twice).write_parquet(str(out)).plan(engine="local:2")
    assert rows(out) == list(range(40 * COUNT))


# --- commits -------------------------------------------------------------------------------------------------------


def test_planning_a_restart_forgets_nothing(tmp_path: Path) -> None:
    place = str(tmp_path / "run")
    _job().run(engine="local:2", run_dir=place, progress="none")
    plan = _job().plan(engine="local:2", run_dir=place, restart=True)
    assert plan.seconds is not None and plan.sample is not None
    again = _job().run(engine="local:2", run_dir=place, progress="none").run
    assert again.resumed_tasks == again.tasks > 0


def test_planning_the_restart_of_a_write_leaves_its_output(tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = data(tmp_path).map(once).write_parquet(str(out))
    job.run(engine="local:2", progress="none")
    before = content(out)
    assert "_SUCCESS" in before
    plan = job.plan(engine="local:2", restart=True)
    assert content(out) == before and plan.seconds is None


# --- what is not there ---------------------------------------------------------------------------------------------


def test_more_data_is_planned_for_after_the_run_too(tmp_path: Path) -> None:
    place = str(tmp_path / "run")
    info = _job().run(engine="local:2", run_dir=place, progress="none").run
    plan = _job().plan(engine="simulated:100", rows=10**6, run_dir=place)
    assert plan.workers == 100
    assert plan.seconds is not None and plan.seconds > 0.002 * 10**6 / 100 > info.seconds / 10


@pytest.mark.parametrize("ask", [{"rows": 10**9}, {"engine": "simulated:100"}])
@pytest.mark.parametrize("why", ["one batch", "no-sample"])
def test_what_cannot_be_scaled_is_refused_and_never_left_out(ask: dict[str, Any], why: str, tmp_path: Path) -> None:
    how = {"sample": 0} if why == "no-sample" else {}
    with pytest.raises(UsageError, match=f"cannot be told: .*{why}"):
        _job(1 if why == "one batch" else COUNT).plan(run_dir=str(tmp_path / "run"), **ask, **how)


def test_a_plan_for_another_size_or_engine_is_not_the_plan_of_the_run(tmp_path: Path) -> None:
    place = str(tmp_path / "run")
    _job().plan(engine="simulated:100", run_dir=place)
    _job().plan(rows=10**6, engine="local:2", run_dir=place)
    assert "plan" not in {line.kind for line in RunView(place).events()}


def test_a_run_on_another_engine_than_was_planned_predicts_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shardwise.api import foresight

    monkeypatch.setattr(foresight, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(foresight, "MOST_SHARE", 1.0)
    place = str(tmp_path / "run")
    _job().plan(engine="inline", run_dir=place)
    _job().run(engine="local:2", shard_size=2, run_dir=place, progress="none")
    plans = [line.data["engine"] for line in RunView(place).events() if line.kind == "plan"]
    assert plans == ["inline", "local:2"]


# --- the process ---------------------------------------------------------------------------------------------------


def test_what_functions_print_is_not_the_plan_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data(tmp_path).map(saying).collect().plan(engine="local:2", run_dir=str(tmp_path / "run"))
    assert "row" not in capsys.readouterr().out


def test_a_row_that_ends_processes_does_not_end_the_one_that_plans(tmp_path: Path) -> None:
    job = data(tmp_path).map(deadly).collect()
    plan = job.plan(engine="local:2", on_error="quarantine", run_dir=str(tmp_path / "run"))
    assert plan.seconds is not None


# --- the same as the run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"timeout": "1m"}, {"memory": "4GB"}, {"on_error": "quarantine"}])
def test_auto_is_planned_as_it_is_run(how: dict[str, Any], tmp_path: Path) -> None:
    """Where only a process can keep what was asked for, a run does not look for another way, nor does its plan."""
    place = str(tmp_path / "run")
    job = data(tmp_path).map(once).collect()
    plan = job.plan(run_dir=place, **how)
    info = job.run(run_dir=place, progress="none", **how).run
    assert plan.engine == info.engine and plan.engine.startswith("local")
