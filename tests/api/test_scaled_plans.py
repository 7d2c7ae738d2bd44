"""Plans for more data than there is, and for clusters that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.compute.machine import usable_cores
from shardwise.errors import UsageError
from shardwise.plan.plan import Plan, StagePlan

ROWS = 60_000


def same(table: Any) -> Any:
    return table


def data(place: Path, batch_rows: int = 1000) -> Any:
    table = pa.table({"k": [n % 7 for n in range(ROWS)], "v": [float(n) for n in range(ROWS)]})
    pq.write_table(table, place / "d.parquet", row_group_size=batch_rows)
    return sw.read_parquet(str(place / "d.parquet"), batch_rows=batch_rows)


def by_key(place: Path) -> Any:
    return data(place).group_by("k").aggregate(avg=sw.mean("v"))


def mapped(place: Path) -> Any:
    return data(place).map(same).write_parquet(str(place / "out"))


def stage(plan: Plan, name: str) -> StagePlan:
    return next(one for one in plan.stages if one.name == name)


@pytest.mark.parametrize(("make", "name"), [(by_key, "partial"), (mapped, "write")])
def test_a_thousand_workers_for_a_trillion_rows_need_what_fits_in_each_host(
    make: Any, name: str, tmp_path: Path
) -> None:
    plan = make(tmp_path).plan(engine="simulated:1000", rows=1e12, run_dir=str(tmp_path / "run"))
    assert plan.workers == 1000 and plan.hosts == -(-1000 // usable_cores())
    assert f"per host ({plan.hosts:,} hosts)" in str(plan)
    reads = stage(plan, name)
    assert reads.rows == 10**12 and reads.batches == 10**9 and reads.done == 0 and reads.tasks > 1000
    assert reads.seconds is not None and reads.seconds > 0.5 * plan.seconds
    (only,) = plan.alternatives
    assert only.shard_bytes == pytest.approx(reads.size / reads.tasks, rel=0.001)


def test_the_limit_that_is_given_is_that_of_a_host(tmp_path: Path) -> None:
    job = by_key(tmp_path)
    plan = job.plan(engine="simulated:1000", rows=1e9, memory="2GB", run_dir=str(tmp_path / "run"))
    assert plan.memory_bytes <= 2e9


def test_a_second_number_of_workers_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--workers 4 .*simulated:1000") as refused:
        by_key(tmp_path).plan(engine="simulated:1000", workers=4)
    assert "simulated:4" in refused.value.fix


def test_many_workers_get_shards_of_their_own_and_none_shorter_than_a_cut(tmp_path: Path) -> None:
    job, place = by_key(tmp_path), str(tmp_path / "run")
    assert stage(job.plan(engine="simulated:30", run_dir=place), "partial").tasks >= 30
    assert stage(job.plan(engine="simulated:1000", run_dir=place), "partial").tasks == 60


def test_the_stage_that_takes_the_time_is_told_after_the_run_too(tmp_path: Path) -> None:
    job, place = by_key(tmp_path), str(tmp_path / "run")
    job.run(run_dir=place, progress="none")
    plan = job.plan(rows=10 * ROWS, run_dir=place)
    reads = stage(plan, "partial")
    assert (reads.rows, reads.batches, reads.done) == (10 * ROWS, 600, 0)
    assert "already committed" not in str(plan)


def test_shards_of_the_data_to_come_have_the_length_that_is_told(tmp_path: Path) -> None:
    job = data(tmp_path).map(same).collect()
    plan = job.plan(rows=100 * ROWS, run_dir=str(tmp_path / "run"))
    chosen = next(way for way in plan.alternatives if way.chosen)
    reads = stage(plan, "collect")
    assert chosen.shard_bytes == pytest.approx(reads.size / reads.tasks, rel=0.001)
    lengths = {way.shard_bytes for way in plan.alternatives if way.engine == chosen.engine}
    assert len(lengths) == (3 if chosen.engine != "inline" else 1)


def test_the_length_of_shards_that_is_asked_for_holds_for_the_data_to_come(tmp_path: Path) -> None:
    options = {"engine": "local:2", "run_dir": str(tmp_path / "run")}
    job = data(tmp_path).map(same).collect()
    plan = job.plan(rows=100 * ROWS, shard_size="1MB", **options)
    assert plan.alternatives[0].shard_bytes == pytest.approx(1_000_000, rel=0.02)


def test_far_from_what_was_tried_a_plan_says_so_and_its_interval_is_wide(tmp_path: Path) -> None:
    """Of one small file, three batches can be tried: whose cost is all the time, theirs or their rows'?"""
    job = data(tmp_path).aggregate(n=sw.count())
    near = job.plan(run_dir=str(tmp_path / "run"))
    far = job.plan(rows=1e9, run_dir=str(tmp_path / "run"))
    assert any("a long way" in reason for reason in far.reasons)
    assert not any("a long way" in reason for reason in near.reasons)
    assert 0 < far.seconds_low < far.seconds / 100 and far.seconds < far.seconds_high
