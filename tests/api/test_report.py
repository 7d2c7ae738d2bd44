"""`Result.report`: of runs in a directory and in memory, of real workers, with predicted beside measured."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

import shardwise as sw
from shardwise.api.result import Result
from shardwise.errors import UsageError
from shardwise.run.directory import RunDirectory


def say(x: int, ctx: sw.Context) -> int:
    ctx.log(f"begin {x}")
    print(f"middle {x}", flush=True)
    os.write(1, f"below Python {x}\n".encode())
    time.sleep(0.5)
    subprocess.run(["echo", f"child {x}"], check=True)
    ctx.log(f"end {x}")
    return x


def test_a_run_in_memory_has_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    job = sw.from_items(list(range(100))).map_items(lambda x: x + 1).collect()
    result = job.run(engine="local:2", speculate=False)  # a backup would be one more attempt
    assert not result.run.dir
    made = result.report.to_dict()
    assert made["run"]["status"] == "done"
    assert made["run"]["ends"] == {"committed": result.run.tasks}
    assert sum(stage["rows_in"] for stage in made["stages"]) == 100
    assert {worker["driver"] for worker in made["workers"]} == {False}
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    text = str(result.report)
    assert text.startswith("run ")
    assert "engine local:2, 2 workers" in text
    assert repr(result.report) == text


def test_what_was_tried_in_the_drivers_process_is_in_it() -> None:
    result = sw.from_items(list(range(10))).map_items(lambda x: x + 1).collect().run()
    made = result.report.to_dict()
    assert made["run"]["ends"] == {"committed": result.run.tasks}
    assert [worker["driver"] for worker in made["workers"]] == [True]


def test_a_run_with_a_directory_has_the_same_report_later(trips: str) -> None:
    job = sw.read_parquet(f"{trips}/*.parquet").group_by("zone").aggregate(n=sw.count())
    result = job.run(engine="local:2", shard_size="20kB")
    made = result.report.to_dict()
    assert made["run"]["dir"] == result.run.dir
    assert sum(stage["rows_in"] for stage in made["stages"]) >= 3000
    assert {span["stage"] for span in made["spans"]} >= {"partial"}
    again = job.run(engine="local:2", shard_size="20kB")
    assert again.run.resumed_tasks == again.run.tasks
    assert again.report.to_dict() == made
    assert again.head(1).report.to_dict() == made


def test_a_result_of_no_run_has_none() -> None:
    made = sw.from_items([1]).collect().run()
    with pytest.raises(UsageError, match="not made by a run"):
        _ = Result(list, made.run).report


def test_failed_attempts_are_told(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.write_text("")

    def fails_once(x: int) -> int:
        if x == 3 and flag.exists():
            flag.unlink()
            raise ValueError("the shop is closed")
        return x

    result = sw.from_items(list(range(8))).map_items(fails_once).collect().run(engine="local:1", shard_size=1)
    made = result.report.to_dict()
    assert made["run"]["ends"]["failed"] == 1
    (failed,) = (span for span in made["spans"] if span["how"] == "failed")
    assert failed["failure"] == "ValueError: the shop is closed"
    assert "1 attempt of" in str(result.report)


@pytest.mark.parametrize("engine", ["local:1", "inline"])
def test_lines_are_stamped_when_they_are_printed(tmp_path: Path, engine: str) -> None:
    """By whatever printed them: ctx.log, Python, the C level, a child; workers look 20 times a second."""
    before = time.time()
    run_dir = str(tmp_path / "run")
    sw.from_items([7]).map_items(say).collect().run(engine=engine, run_dir=run_dir)
    ((_, _, said),) = RunDirectory.read(run_dir).said()
    assert [line for _, line in said if "7" in line and "below" not in line and "child" not in line] == [
        "begin 7",
        "middle 7",
        "end 7",
    ]
    times = [at for at, _ in said if at is not None]
    assert len(times) == len(said)
    assert times == sorted(times)
    assert before <= times[0]
    assert times[-1] <= time.time()
    assert times[-1] - times[0] >= 0.11  # the sleep lies between the first line and the last
    if engine != "inline":
        early = [at for at, line in said if line in ("begin 7", "middle 7", "below Python 7")]
        assert len(early) == 3
        assert times[-1] - max(early) >= 0.02  # seen while it slept, not only when it ended


def closed_on_mondays(x: int) -> int:
    if x % 7 == 0:
        raise ValueError(f"closed on day {x}")
    return x


def test_rows_in_quarantine_are_told(tmp_path: Path) -> None:
    job = sw.from_items(list(range(1, 30))).map_items(closed_on_mondays).collect()
    kept = job.run(engine="local:1", on_error="quarantine", run_dir=str(tmp_path / "run"))
    found = kept.report.to_dict()["quarantine"]
    assert found["rows"] == 4
    assert found["first"][0]["message"] == "closed on day 7"
    assert "closed on day 7" in str(kept.report)
    in_memory = job.run(engine="local:1", on_error="quarantine").report
    assert in_memory.to_dict()["quarantine"] == {"rows": 4, "first": []}
    assert "result.quarantine" in str(in_memory)


def test_a_part_of_the_data_has_a_report(trips: str) -> None:
    job = sw.read_parquet(f"{trips}/*.parquet").group_by("zone").aggregate(n=sw.count())
    made = job.run(first="40%", engine="local:1").report.to_dict()
    assert made["run"]["engine"] == "local:1"
    assert made["run"]["seconds"] > 0
    assert made["run"]["ends"]["committed"] == made["run"]["tasks"]


@pytest.mark.parametrize("engine", ["local:2", "inline"])
def test_what_the_driver_holds_is_part_of_what_was_measured(engine: str, tmp_path: Path) -> None:
    job = sw.from_items(list(range(8))).map_items(lambda x: x + 1).collect()
    result = job.run(engine=engine, run_dir=str(tmp_path / "run"))
    lines = list(RunDirectory.read(result.run.dir).events())
    noted = [line.data for line in lines if line.kind == "driver"]
    assert noted and 0 < noted[-1]["before"] <= noted[-1]["peak"]
    peaks = [span["peak"] for span in result.report.to_dict()["spans"]]
    measured = result.report.to_dict()["prediction"]["measured_memory"]
    assert measured > max(peaks) if engine == "local:2" else measured == max(*peaks, noted[-1]["peak"])
