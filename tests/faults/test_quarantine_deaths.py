"""Quarantine of what kills or hangs a worker, and what other deaths must not do to good rows."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from faults.test_worker_kills import Killer

LOCAL = {"engine": "local:2", "progress": "none", "on_error": "quarantine"}


def dying(how: str, bad: frozenset[int]) -> Any:
    """A function of a batch that dies on some values, each in the same way or by turns."""

    def die(value: int) -> None:
        ways = ["segfault", "exit", "abort", "raise"]
        match ways[value % 4] if how == "mixed" else how:
            case "segfault":
                ctypes.string_at(0)
            case "exit":
                os._exit(7)
            case "abort":
                os.abort()
            case "hang":
                time.sleep(1000)
            case "hang without the interpreter":
                # the call keeps the lock of the interpreter: no thread of Python's runs beside it
                ctypes.PyDLL(None).sleep(1000)
            case "memory":
                np.ones(1 << 45)
            case "raise":
                raise ValueError(f"value {value}")

    def function(table: pa.Table) -> pa.Table:
        for value in table["x"].to_pylist():
            if value in bad:
                die(value)
        return table

    return function


def values(result: sw.Result) -> list[int]:
    return [json.loads(text)["x"] for text in result.quarantine["data"].to_pylist()]


def data(rows: int, batch_rows: int) -> sw.Dataset:
    return sw.from_frame({"x": np.arange(rows)}, batch_rows=batch_rows)


def check(result: sw.Result, rows: int, bad: frozenset[int]) -> None:
    assert values(result) == sorted(bad)
    assert result["x"] == [x for x in range(rows) if x not in bad]
    assert set(result.quarantine["scope"].to_pylist()) == {"row"}


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("segfault", "crash", "the worker was ended by SIGSEGV (Segmentation fault)"),
        ("exit", "crash", "the worker ended itself with exit status 7"),
        ("abort", "crash", "the worker was ended by SIGABRT (Aborted)"),
    ],
)
def test_rows_that_kill_the_worker_are_found(how: str, kind: str, message: str) -> None:
    bad = frozenset({0, 2345})
    result = data(5000, 2500).map(dying(how, bad)).collect().run(**LOCAL)
    check(result, 5000, bad)
    assert set(result.quarantine["kind"].to_pylist()) == {kind}
    assert set(result.quarantine["message"].to_pylist()) == {message}
    assert result.run.retries == 0, "narrowing is charged to nobody"
    if how == "segfault":
        assert all("in die" in text and "worker.py" not in text for text in result.quarantine["traceback"].to_pylist())


@pytest.mark.parametrize("how", ["hang", "hang without the interpreter"])
def test_rows_that_hang_are_found(how: str) -> None:
    bad = frozenset({1234})
    result = data(3000, 3000).map(dying(how, bad)).collect().run(**LOCAL, timeout=1.0)
    check(result, 3000, bad)
    assert result.quarantine["kind"].to_pylist() == ["timeout"]
    assert "in die" in result.quarantine["traceback"][0].as_py()


def test_memory_that_one_row_asks_for() -> None:
    bad = frozenset({17})
    result = data(100, 100).map(dying("memory", bad)).collect().run(**LOCAL)
    check(result, 100, bad)
    assert result.quarantine["kind"].to_pylist() == ["memory"]


@pytest.mark.parametrize("options", [{"shard_size": 1, "workers": 1}, {"shard_size": 100, "workers": 2}])
def test_deaths_and_exceptions_side_by_side(options: dict[str, Any]) -> None:
    """What raises early in a batch hides what kills later in it."""
    bad = frozenset({3, 8, 9, 22})
    result = data(30, 20).map(dying("mixed", bad)).collect().run(**{**LOCAL, "engine": "local"}, **options)
    check(result, 30, bad)
    assert result.quarantine["kind"].to_pylist() == ["exception", "crash", "crash", "crash"]


def test_a_call_on_items_tells_which_one_it_died_of(tmp_path: Path) -> None:
    """So each bad row costs one death and no more."""
    log = tmp_path / "log"
    log.touch()

    def item(row: dict[str, int]) -> int:
        if row["x"] in (40, 41, 900):
            with log.open("a") as lines:
                lines.write(f"{row['x']}\n")
            os._exit(1)
        return row["x"]

    result = data(1000, 1000).map_items(item).collect().run(**LOCAL)
    assert values(result) == [40, 41, 900]
    assert len(result) == 997
    assert log.read_text().split() == ["40", "41", "900"]


def test_one_items_batch_is_judged_by_one_death() -> None:
    def item(number: int) -> int:
        if number % 10 == 3:
            os._exit(1)
        return number

    result = sw.from_items(range(30)).map_items(item).collect().run(**LOCAL)
    assert result.to_list() == [n for n in range(30) if n % 10 != 3]
    assert result.quarantine["batch"].to_pylist() == [3, 13, 23]


def test_a_job_that_has_to_settle_first(tmp_path: Path) -> None:
    """The death in settling tells the writer too."""
    bad = frozenset({5, 150})
    prepared = data(200, 100).filter("x <> 2").map(dying("segfault", bad))
    result = prepared.write_parquet(str(tmp_path / "out")).run(**LOCAL)
    assert pq.read_table(tmp_path / "out")["x"].to_pylist() == [x for x in range(200) if x not in (2, 5, 150)]
    assert result.quarantine["row"].to_pylist() == [5, 50]


def test_rows_that_kill_only_together_take_their_batch_with_them() -> None:
    def function(table: pa.Table) -> pa.Table:
        if {3, 7} <= set(table["x"].to_pylist()):
            os._exit(1)
        return table

    result = data(20, 10).map(function).collect().run(**LOCAL)
    assert result["x"] == list(range(10, 20))
    assert set(result.quarantine["scope"].to_pylist()) == {"batch"}
    assert result.quarantine["message"][0].as_py().startswith("the rows kill the worker only together: ")


def test_five_time_outs_are_enough_for_a_batch() -> None:
    bad = frozenset({1, 3, 5, 7, 9})
    result = data(20, 10).map(dying("hang", bad)).collect().run(**LOCAL, timeout=0.5)
    assert result["x"] == list(range(10, 20))
    assert result.quarantine["row"].to_pylist() == list(range(10))
    assert result.quarantine["message"][0].as_py().startswith("5 calls on rows of the batch ran out of time: ")


def test_workers_that_others_kill_put_nothing_in_quarantine(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    killer = Killer(fifo, 12)
    keep_open = os.open(fifo, os.O_RDWR)
    killer.start()
    target = str(fifo)

    def work(item: int) -> int:
        fd = os.open(target, os.O_WRONLY)
        os.write(fd, f"{os.getpid()}\n".encode())
        os.close(fd)
        total = 0
        for i in range(30_000):  # long enough for a killer that comes late
            total += i * item
        return total

    result = sw.from_items(range(300)).map_items(work).collect().run(**LOCAL, retries=60, shard_size=10)
    os.close(keep_open)
    killer.join(10)
    assert killer.killed == 12
    assert result.run.quarantined == 0
    assert result.to_list() == [sum(range(30_000)) * item for item in range(300)]


def test_a_row_that_kills_as_others_do_is_found_in_the_end() -> None:
    """SIGKILL may come from anywhere, so it has to come as often as a task may die."""

    def item(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    result = sw.from_items(range(6)).map_items(item).collect().run(**LOCAL, retries=0)
    assert result.to_list() == [0, 1, 2, 4, 5]
    assert result.quarantine["kind"].to_pylist() == ["crash"]


JOB = """
import os, sys
from pathlib import Path
import numpy as np, pyarrow as pa
import shardwise as sw

log, place = sys.argv[1:]

def dying(table: pa.Table) -> pa.Table:
    fatal = [x for x in table["x"].to_pylist() if x % 400 == 399]
    if fatal:
        with open(log, "a") as lines:
            lines.write(f"{fatal[0]} {table.num_rows}\\n")
        os._exit(1)
    return table

job = sw.generate(2000, lambda rng, n, start: {"x": np.arange(start, start + n)}, batch_rows=500).map(dying)
result = job.collect().run(engine="local:2", on_error="quarantine", run_dir=place, progress="none", shard_size=1)
print(*result["x"], "|", *result.quarantine["row"].to_pylist())
"""


def test_a_driver_killed_in_the_middle_of_narrowing_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    log = tmp_path / "log"
    log.touch()
    command = [sys.executable, str(tmp_path / "job.py"), str(log), str(tmp_path / "run")]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while log.read_text().count("\n") < 4 and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = psutil.Process(victim.pid).children(recursive=True)
    victim.kill()
    victim.wait()
    psutil.wait_procs(workers, timeout=10)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    good, _, rows = done.partition("|")
    assert [int(x) for x in good.split()] == [x for x in range(2000) if x % 400 != 399]
    assert [int(row) for row in rows.split()] == [399, 299, 199, 99, 499]
