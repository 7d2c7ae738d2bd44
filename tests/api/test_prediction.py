"""Plans that try the first tasks, and what follows from them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shardwise as sw
from shardwise.api.options import Options
from shardwise.compute.machine import usable_cores
from shardwise.errors import UsageError
from shardwise.plan import candidates
from shardwise.sizes import format_duration


def _pause(item: int) -> int:
    time.sleep(0.002)
    return item


def _job(count: int = 400) -> Any:
    return sw.from_items(range(count)).map_items(_pause).collect()


def test_what_is_tried_is_at_most_a_twentieth_and_never_done_again(tmp_path: Path) -> None:
    place = str(tmp_path / "run")
    plan = _job().plan(engine="local:2", run_dir=place)
    assert plan.sample is not None and 0 < plan.sample["share"] <= 0.05
    assert plan.seconds_low < plan.seconds < plan.seconds_high
    result = _job().run(engine="local:2", run_dir=place, progress="none")
    assert result.to_list() == list(range(400))
    assert result.run.resumed_tasks == plan.sample["tasks"]
    assert result.run.rows == 400 - round(400 * plan.sample["share"])


def test_a_second_plan_tries_nothing_more(tmp_path: Path) -> None:
    place = str(tmp_path / "run")
    first = _job().plan(engine="local:2", run_dir=place)
    second = _job().plan(engine="local:2", run_dir=place)
    assert second.sample == first.sample
    assert sum(stage.done for stage in second.stages) == first.sample["tasks"]


def test_without_a_sample_nothing_runs_and_nothing_is_predicted(tmp_path: Path) -> None:
    called = tmp_path / "called"

    def noting(item: int) -> int:
        called.touch()
        return item

    plan = sw.from_items(range(100)).map_items(noting).collect().plan(sample=0, run_dir=str(tmp_path / "run"))
    assert plan.seconds is None and plan.sample is None and plan.alternatives == ()
    assert not called.exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize("engine", ["inline", "local:1"])
def test_what_this_process_held_once_is_not_projected(engine: str, tmp_path: Path) -> None:
    """A notebook that had a large array, and has it no more."""
    before = _job().plan(engine=engine, run_dir=str(tmp_path / "before")).memory_bytes
    once = np.ones(200_000_000)
    assert once[-1] == 1.0
    del once
    assert _job().plan(engine=engine, run_dir=str(tmp_path / "after")).memory_bytes < before + 400_000_000


def test_one_batch_is_not_tried(tmp_path: Path) -> None:
    """It would be all of the work."""
    plan = sw.from_items([1]).map_items(_pause).collect().plan(run_dir=str(tmp_path / "run"))
    assert plan.sample is None and plan.seconds is None


def test_the_mean_of_an_array_is_planned_without_processes() -> None:
    data = np.random.default_rng(0).random((10_000_000, 10))  # 800 MB
    plan = sw.from_array(data).aggregate(m=sw.mean("*")).plan()
    assert plan.engine == "inline"
    others = {way.engine: way for way in plan.alternatives}
    assert {"inline"} < set(others)
    assert others["inline"].chosen
    local = min((way for name, way in others.items() if name.startswith("local")), key=lambda way: way.seconds)
    assert local.seconds > others["inline"].seconds
    text = str(plan)
    assert "why      no processes: " in text and "bringing the data to other processes takes" in text
    mine, theirs = format_duration(others["inline"].seconds), format_duration(local.seconds)
    assert f"why      inline takes {mine}, {local.engine} {theirs}" in text


def test_kernels_are_not_taken_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a sample says: a neighbour may have held the cores. Functions are."""
    monkeypatch.setattr(candidates, "idle", lambda sample, weight: 0.9)
    data = sw.from_array(np.ones((400_000, 10)), batch_rows=4_000)
    for job, waits in (data.aggregate(m=sw.mean("*")), False), (data.map(np.sqrt).aggregate(m=sw.mean("*")), True):
        ways = job.plan().alternatives
        assert any(way.workers > usable_cores() for way in ways) == waits, ways


def test_a_plan_that_does_not_fit_is_refused_before_any_more_work(tmp_path: Path) -> None:
    def large(item: int) -> bytes:
        return bytes(4 << 20)

    job = sw.from_items(range(2000)).map_items(large).collect()
    with pytest.raises(UsageError, match="the collected result would hold about") as refused:
        job.plan(engine="local:1", run_dir=str(tmp_path / "run"), memory="1GB")
    assert "write the result to files" in refused.value.fix
    assert "1.00 GB are allowed" in refused.value.message


def test_more_rows_take_longer_in_proportion(tmp_path: Path) -> None:
    options = {"engine": "local:2", "run_dir": str(tmp_path / "run")}
    some = _job().plan(rows=40_000, **options)
    many = _job().plan(rows=400_000, **options)
    assert many.seconds == pytest.approx(10 * some.seconds, rel=0.1)
    assert any("100 times what is there" in reason for reason in some.reasons)


def test_a_cluster_that_is_not_there_is_planned_for_and_never_run(tmp_path: Path) -> None:
    place = str(tmp_path / "run")
    few = _job().plan(engine="simulated:2", rows=10**6, run_dir=place)
    many = _job().plan(engine="simulated:200", rows=10**6, run_dir=place)
    assert 40 < few.seconds / many.seconds < 150
    assert many.workers == 200
    with pytest.raises(UsageError, match="only be planned for"):
        _job().run(engine="simulated:200")
    with pytest.raises(UsageError, match="how many workers"):
        _job().plan(engine="simulated")


def test_what_is_not_known_to_have_rows_is_not_scaled(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + "1\n" * 400)
    job = sw.read_csv(str(tmp_path / "a.csv"), batch_rows=10).aggregate(n=sw.count())
    with pytest.raises(UsageError, match="how many rows"):
        job.plan(rows=10**9, run_dir=str(tmp_path / "run"))


def test_a_function_of_rows_is_told_from_one_of_columns() -> None:
    from shardwise.api.interpreted import steps_of_a_row

    def by_row(batch: np.ndarray) -> np.ndarray:
        out = np.empty(len(batch))
        for number, row in enumerate(batch):
            out[number] = row.sum()
        return out[:, None]

    def by_column(batch: np.ndarray) -> np.ndarray:
        return batch.sum(axis=1, keepdims=True)

    data = sw.from_array(np.ones((10_000, 3)))
    assert steps_of_a_row(data.map(by_row).collect().work(Options())) >= 2  # the loop's own, and those inside sum()
    assert steps_of_a_row(data.map(by_column).collect().work(Options())) < 0.1


def test_the_plan_of_a_run_is_kept_with_it(tmp_path: Path) -> None:
    from shardwise.run.view import RunView

    plan = _job().plan(engine="local:2", run_dir=str(tmp_path / "run"))
    kept = [line.data for line in RunView(str(tmp_path / "run")).events() if line.kind == "plan"]
    assert kept[-1]["seconds"] == plan.seconds
    assert kept[-1]["alternatives"] == plan.to_dict()["alternatives"]


def test_a_run_that_nobody_planned_predicts_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shardwise.api import foresight
    from shardwise.run.view import RunView

    monkeypatch.setattr(foresight, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(foresight, "MOST_SHARE", 1.0)  # commits come in groups
    _job().run(engine="local:2", shard_size=2, run_dir=str(tmp_path / "run"), progress="none")
    kept = [line.data for line in RunView(str(tmp_path / "run")).events() if line.kind == "plan"]
    assert len(kept) == 1
    assert kept[0]["seconds"] is not None and kept[0]["sample"]["share"] >= 0.05
