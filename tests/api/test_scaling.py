"""Jobs that are measured with several numbers of workers. Tasks wait and do not compute, so that eight workers on two
cores are eight."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.api.scale_sample import sample_of
from shardwise.api.scaling import Scaling, scale
from shardwise.api.timed_engine import timed
from shardwise.errors import FunctionError, UsageError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of a test, where it can count them."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    return directory


class Slow(sw.Aggregate):
    """A quarter of a second for each of 16 batches, and one second at the end: a fifth of all is serial."""

    def zero(self) -> int:
        return 0

    def step(self, state: int, batch: pa.Table) -> int:
        time.sleep(0.25)
        return state + batch.num_rows

    def merge(self, a: int, b: int) -> int:
        return a + b

    def finish(self, state: int) -> int:
        time.sleep(1.0)
        return state


def naps(count: int = 64, seconds: float = 0.01) -> sw.Job:
    return sw.from_items(list(range(count))).map_items(lambda x: time.sleep(seconds)).collect()


@pytest.mark.slow
def test_a_serial_fraction_of_a_fifth_is_found() -> None:
    job = sw.from_frame(pa.table({"x": list(range(16))}), batch_rows=1).aggregate(rows=Slow())
    for _ in range(3):  # a machine that is busy with other things makes tasks longer; not three times
        (found,) = job.scale(workers=[1, 2, 4, 8], repeats=1, first=1.0).engines
        assert found.fits.amdahl is not None
        serial = found.fits.amdahl.contention.value
        if abs(serial - 0.2) <= 0.03:
            break
    assert serial == pytest.approx(0.2, abs=0.03)
    assert [row.oversubscribed for row in found.rows] == [False] * 4
    for one in found.measured:
        assert one.tasks == 16
        assert one.finishing >= 1.0  # and nothing of it in the work
        assert one.work >= 4.0 / one.workers
    assert found.outlook is not None and found.outlook.half.value <= 7  # the start of workers is in it, too


def queueing(lock: str, seconds: float) -> sw.Job:
    def one_after_another(item: int) -> int:
        time.sleep(0.02)
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(seconds)
        return item

    return sw.from_items(list(range(64))).map_items(one_after_another).collect()


@pytest.mark.slow
def test_tasks_that_queue_for_a_lock_contend(tmp_path: Path) -> None:
    (alone,) = queueing(str(tmp_path / "lock"), 0.0).scale([1, 4, 8], repeats=3, first=1.0).engines
    (queue,) = queueing(str(tmp_path / "lock"), 0.02).scale([1, 4, 8], repeats=3, first=1.0).engines
    free, held = alone.fits.amdahl, queue.fits.amdahl
    assert free is not None and held is not None
    # Half of each item is done by one worker at a time: never more than twice as fast, which is 3/7 of Amdahl's at 8.
    assert held.contention.value > 0.3
    assert held.contention.value > free.contention.value + 0.15
    assert queue.rows[-1].speed_up is not None and queue.rows[-1].speed_up < 2.3


def test_nothing_is_left_and_nothing_is_touched(tmp_path: Path, place: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(4000)}), tmp_path / "in.parquet", row_group_size=100)
    out = tmp_path / "out"

    def doubled(table: pa.Table) -> pa.Table:
        return pa.table({"x": [2 * x for x in table["x"].to_pylist()]})

    data = sw.read_parquet(str(tmp_path / "in.parquet"), batch_rows=100).map(doubled)
    before = sorted(path.name for path in tmp_path.iterdir())
    found = data.write_parquet(str(out)).scale([1, 2], repeats=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert list(place.iterdir()) == []
    assert any(str(out) in remark for remark in found.engines[0].remarks)
    assert found.engines[0].measured[0].publishing >= 0
    assert found.engines[0].measured[0].settling > 0


def test_a_run_directory_says_where_temporary_runs_lie(tmp_path: Path, place: Path) -> None:
    seen: list[str] = []
    home = tmp_path / "runs"
    home.mkdir()
    scale(
        naps(8, 0.001),
        [1],
        repeats=1,
        first=1.0,
        run_dir=str(home),
        told=lambda line: seen.append(str(list(home.iterdir()))),
    )
    assert list(home.iterdir()) == []
    assert seen


def test_a_job_on_the_result_of_another_runs_that_once(tmp_path: Path) -> None:
    log = tmp_path / "calls"

    def noted(item: int) -> int:
        with open(log, "a") as file:
            file.write("x")
        return item

    earlier = sw.from_items(list(range(20))).map_items(noted).collect()
    (found,) = earlier.then().map_items(lambda x: x + 1).collect().scale([1, 2], repeats=1, first=0.5).engines
    assert log.read_text() == "x" * 20  # all of it, once
    assert len(found.measured) == 2


def test_a_native_job_is_measured_in_threads(trips: str) -> None:
    job = sw.read_parquet(trips).group_by("zone").aggregate(sw.mean("fare"))
    (found,) = job.scale([1, 2], repeats=2).engines
    assert found.engine == "inline"
    assert [row.repeats for row in found.rows] == [2, 2]
    assert found.measured[0].merging >= 0 and found.measured[0].finishing > 0


def test_engines_in_turn() -> None:
    found = naps().scale([1, 2], ["local", "inline"], repeats=3, first=1.0)
    local, inline = found.engines
    assert (local.engine, inline.engine) == ("local", "inline")
    assert local.rows[1].speed_up is not None and local.rows[1].speed_up > 1.5
    assert inline.rows[1].speed_up is not None and inline.rows[1].speed_up < 1.5  # one process naps once at a time
    assert local.rows[0].start > 0


def test_machines_and_a_deadline(tmp_path: Path) -> None:
    path = tmp_path / "machines.toml"
    path.write_text('[machines.one]\ncores = 1\nmemory = "64GB"\nprice = 1.0\nmost = 4\n')
    found = naps(16, 0.02).scale([1, 2], repeats=1, first=1.0, machines=str(path), deadline="1h")
    assert found.cheapest is not None and found.cheapest in found.offers
    assert [offer.nodes for offer in found.offers] == [1, 2, 3, 4]
    assert "cheapest within 1 h 0 min: 1 x one" in str(found)
    late = naps(16, 0.02).scale([1, 2], repeats=1, first=1.0, machines=str(path), deadline=1e-6)
    assert late.cheapest is None
    assert "no machine of the file does the whole job within" in str(late)


def test_it_prints_and_is_json(tmp_path: Path) -> None:
    found = naps().scale([1, 2], repeats=1)
    assert isinstance(found, Scaling)
    text = str(found)
    for words in ("engine local", "Amdahl   serial fraction", "the whole job on", "2 machines", "note: two numbers"):
        assert words in text
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["sample"] == {"share": found.share, "tasks": 8}
    assert document["machines"] is None
    found.draw(str(tmp_path / "chart.svg"))
    assert "measured" in (tmp_path / "chart.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": []}, "workers is"),
        ({"workers": [0, 1]}, "workers is"),
        ({"workers": [1, 2], "repeats": 0}, "repeats is 0"),
        ({"workers": [1, 2], "deadline": 5}, "a deadline says nothing without machines"),
        ({"workers": [1, 2], "machines": "none.toml"}, "cannot be read"),
        ({"workers": [1, 100]}, "64 tasks at most, so 100 workers would wait"),
        ({"workers": [1, 8], "first": 0.05}, "has 3 tasks at most, so 8 workers would wait"),
        ({"workers": [1], "engines": ["local:4"]}, "local:4 says how many workers"),
        ({"workers": [1], "engines": ["simulated:10"]}, "nothing to measure on simulated:10"),
        ({"workers": [1], "engines": ["dask://10.0.0.1:1"]}, "cannot reach this user's cache"),
        ({"workers": [1], "engine": "local"}, "engine is what is being varied"),
        ({"workers": [1], "colour": "red"}, "no option 'colour'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(arguments: dict, message: str, place: Path) -> None:
    with pytest.raises(UsageError, match=message):
        naps().scale(**arguments)
    assert list(place.iterdir()) == []


def test_a_job_that_fails_says_so_and_leaves_nothing(place: Path) -> None:
    job = sw.from_items(list(range(16))).map_items(lambda x: 1 // 0).collect()
    with pytest.raises(FunctionError, match="division"):
        job.scale([1, 2], repeats=1, retries=0)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("workers", [[1], [1, 2, 4], [1, 2, 4, 8], [1, 2, 3, 4], [2, 3, 5, 7], [6]])
@pytest.mark.parametrize("items", [64, 65, 1000, 100_000])
def test_a_sample_has_tasks_for_all(workers: list[int], items: int) -> None:
    work = sw.from_items(list(range(items))).map_items(abs).collect().work(sw.Options())
    sample = sample_of(work, workers, None)
    assert sample.tasks % max(workers) == 0 and sample.tasks >= 4 * max(workers)
    assert sample.units % sample.tasks == 0 and sample.end <= items
    assert sample.share >= 0.03
    larger = sample.larger(1e9)
    assert larger.tasks == sample.tasks and sample.units <= larger.units <= items
    assert larger.units > items - sample.tasks


def test_slots_stay_between_runs_and_have_one_thread() -> None:
    def threads(item: int) -> tuple[int, str]:
        return os.getpid(), os.environ["OMP_NUM_THREADS"]

    from shardwise.api.runner import run

    job = sw.from_items(list(range(8))).map_items(threads).collect()
    with timed("local", 1) as engine:
        options = sw.Options(engine=engine, workers=1, progress="none")
        first, second = (run(job, options).to_list() for _ in range(2))
    assert first == second
    assert {one for _, one in first} == {"1"}
    assert engine.start > 0
