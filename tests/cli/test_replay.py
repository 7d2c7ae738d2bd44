"""A task done again at a terminal: verdicts, exit status, the environment of a worker, the debugger."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.cli import main as cli

Run = Callable[..., tuple[int, str, str]]

SCRIPT = """
import pyarrow as pa
import shardwise as sw

def double(table: pa.Table) -> pa.Table:
    values = [2 * x for x in table["x"].to_pylist()]
    return table.append_column("y", pa.array(values))

def words(table: pa.Table) -> pa.Table:
    return table.append_column("y", pa.array(["".join({"a", "b", "c", "d", "e"})] * len(table)))

def picky(table: pa.Table) -> pa.Table:
    for x in table["x"].to_pylist():
        if x == 17:
            raise ValueError(f"no good: {x}")
    return table

data = sw.read_parquet("d.parquet", batch_rows=10)
job = data.map(double).aggregate(total=sw.sum("y"))
other = data.map(picky).collect()
drawn = data.map(lambda table: table.append_column("y", pa.array([id(table)] * len(table)))).collect()
"""
LOCAL = ("--engine", "local:1", "--progress", "none", "--shard-size", "1", "--quiet")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"x": list(range(40))}), "d.parquet")
    (tmp_path / "jobs.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def shardwise(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(args)
        return status, *capsys.readouterr()

    return run


def run_id(place: Path) -> str:
    (run,) = (place / "cache" / "runs").iterdir()
    return run.name


@pytest.mark.parametrize(
    ("command", "task"),
    [
        (("map", "d.parquet", "jobs.py:double", "-o", "out", "--batch-rows", "10"), "write-0-4"),
        (("run", "jobs.py:job"), "partial-1-2"),
        (("run", "jobs.py:job"), "finish-0-4"),
        (("aggregate", "d.parquet", "--agg", "m=mean(x)", "--where", "y > 3", "--with", "y=x + 1"), "partial-0-1"),
        (("describe", "d.parquet"), "finish-0-1"),
    ],
)
def test_a_task_of_every_command_is_the_same_from_anywhere(
    shardwise: Run, place: Path, command: tuple[str, ...], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shardwise(*command, *LOCAL)[0] == 0
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    status, out, err = shardwise("replay", run_id(place), task)
    assert (status, err) == (0, "")
    assert out.startswith(f"task {task}: same\n")


def test_tasks_are_listed_and_found_by_number(shardwise: Run, place: Path) -> None:
    shardwise("run", "jobs.py:job", *LOCAL)
    status, out, _ = shardwise("replay", run_id(place), "--list")
    assert status == 0
    lines = out.splitlines()[2:]
    assert [line.split()[:3] for line in lines[:2]] == [["0", "settle-0-4", "yes"], ["1", "partial-0-1", "yes"]]
    for number in (0, 1, 5):
        status, out, _ = shardwise("replay", run_id(place), str(number))
        assert (status, out.split()[1]) == (0, lines[number].split()[1] + ":")
        status, out, err = shardwise("logs", run_id(place), str(number))
        assert (status, lines[number].split()[1] in out + err) == (0 if out else 2, True)
    status, _, err = shardwise("logs", run_id(place), "6")
    assert status == 2 and "has 6 tasks, from 0" in err
    status, _, err = shardwise("replay", run_id(place), "6")
    assert status == 2
    assert "has 6 tasks, from 0" in err


def test_what_comes_out_different_ends_with_status_1(shardwise: Run, place: Path) -> None:
    shardwise("run", "jobs.py:drawn", *LOCAL)
    status, out, _ = shardwise("replay", run_id(place), "collect-3-4")
    assert status == 1
    assert out.startswith("task collect-3-4: differs")
    assert re.search(r"first difference \(.*d\.parquet, batch 3, row 0\): row 0, column 'y': \d+, then \d+", out)


def test_a_changed_function_is_refused_with_what_differs(shardwise: Run, place: Path) -> None:
    shardwise("run", "jobs.py:job", *LOCAL)
    (place / "jobs.py").write_text(SCRIPT.replace("2 * x", "3 * x"), encoding="utf-8")
    status, out, err = shardwise("replay", run_id(place), "partial-0-1")
    assert (status, out) == (2, "")
    assert "error[E130]" in err
    assert "function double changed" in err
    assert "--anyway" in err
    status, out, _ = shardwise("replay", run_id(place), "partial-0-1", "--anyway")
    assert status == 1
    assert "column 'total': 90, then 135" in out
    assert "note: since the run: " in out


def test_changed_data_are_refused_too(shardwise: Run, place: Path) -> None:
    shardwise("run", "jobs.py:job", *LOCAL)
    pq.write_table(pa.table({"x": list(range(1, 41))}), "d.parquet")
    status, _, err = shardwise("replay", run_id(place), "partial-0-1")
    assert status == 2
    assert "d.parquet" in err


def test_a_task_that_failed_shows_its_traceback(shardwise: Run, place: Path) -> None:
    assert shardwise("run", "jobs.py:other", *LOCAL, "--retries", "1")[0] == 1
    _, shown, _ = shardwise("show", run_id(place))
    assert re.search(rf"to see it fail +shardwise replay {run_id(place)} collect-1-2 --pdb\n", shown)
    status, out, err = shardwise("replay", run_id(place), "collect-1-2")
    assert (status, out) == (1, "")
    assert "jobs.py" in err
    assert "ValueError: no good: 17" in err
    assert "in the run it failed: ValueError: no good: 17" in err
    (place / "jobs.py").write_text(SCRIPT.replace("raise ValueError", "print"), encoding="utf-8")
    status, out, _ = shardwise("replay", run_id(place), "collect-1-2", "--anyway")
    assert status == 0
    assert "passes; the run committed nothing of it" in out


def test_the_job_of_a_program_is_named(shardwise: Run, place: Path) -> None:
    import shardwise as sw

    cli.TYPED.set(None)
    job = sw.read_parquet("d.parquet", batch_rows=10).aggregate(sw.sum("x"))
    job.run(engine="inline", progress="none", run_dir=str(place / "run"))
    (place / "jobs.py").write_text(SCRIPT + 'again = data.aggregate(sw.sum("x"))\n', encoding="utf-8")
    status, _, err = shardwise("replay", str(place / "run"), "partial-0-4")
    assert status == 2
    assert "job.replay_task('partial-0-4')" in err
    status, out, _ = shardwise("replay", str(place / "run"), "partial-0-4", "--job", "jobs.py:again")
    assert (status, out.splitlines()[0]) == (0, "task partial-0-4: same")


# --- processes of their own ----------------------------------------------------------------------------------------


def command_line(*args: str) -> list[str]:
    return [sys.executable, "-m", "shardwise.cli.main", *args]


def test_the_order_of_sets_is_that_of_workers(shardwise: Run, place: Path) -> None:
    shardwise("map", "d.parquet", "jobs.py:words", "-o", "out", *LOCAL)
    environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    for seed in ({}, {"PYTHONHASHSEED": "5"}):
        done = subprocess.run(
            command_line("replay", run_id(place), "write-0-1"), env=environment | seed, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("task write-0-1: same")
    script = "from shardwise.cli import main; raise SystemExit(main.main(['replay', '{}', 'write-0-1']))"
    environment["PYTHONHASHSEED"] = "5"  # and a process that is no command of ours stays as it is
    done = subprocess.run(
        [sys.executable, "-c", script.format(run_id(place))], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout + done.stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *args: str) -> None:
        environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), "TERM": "dumb"}
        self._leader, follower = pty.openpty()
        self._process = subprocess.Popen(
            command_line(*args), stdin=follower, stdout=follower, stderr=follower, env=environment
        )
        os.close(follower)
        self.said = ""

    def until(self, text: str, seconds: float = 120) -> str:
        """What is said until, and with, some text."""
        end = time.monotonic() + seconds
        start = len(self.said)
        while text not in self.said[start:]:
            assert time.monotonic() < end, f"{text!r} was not said: {self.said}"
            if select.select([self._leader], [], [], 1.0)[0]:
                try:
                    self.said += os.read(self._leader, 4096).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"{text!r} was not said: {self.said}") from error
        return self.said[start:]

    def type(self, line: str) -> None:
        os.write(self._leader, f"{line}\n".encode())

    def end(self) -> int:
        with contextlib.suppress(OSError):
            while data := os.read(self._leader, 4096):
                self.said += data.decode(errors="replace")
        os.close(self._leader)
        return self._process.wait(60)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def test_the_debugger_comes_where_a_task_fails(shardwise: Run, place: Path) -> None:
    shardwise("run", "jobs.py:other", *LOCAL, "--retries", "1")
    terminal = Terminal("replay", run_id(place), "collect-1-2", "--pdb")
    try:
        said = terminal.until("(Pdb) ")
        assert 'raise ValueError(f"no good: {x}")' in said
        terminal.type("p x * 1000")
        assert "17000" in terminal.until("(Pdb) ")
        terminal.type("q")
        assert terminal.end() == 1
        assert "ValueError: no good: 17" in terminal.said
    finally:
        terminal.kill()


def test_the_debugger_stops_where_a_function_is_entered_that_did_not_fail(shardwise: Run, place: Path) -> None:
    shardwise("run", "jobs.py:job", *LOCAL)
    terminal = Terminal("replay", run_id(place), "partial-2-3", "--pdb")
    try:
        said = terminal.until("(Pdb) ")
        assert "double" in said
        assert "values = [2 * x for x" in said
        terminal.type('p table["x"].to_pylist()[0] + 1000')
        assert "1020" in terminal.until("(Pdb) ")
        terminal.type("n")
        assert 'return table.append_column("y"' in terminal.until("(Pdb) ")
        terminal.type("values[0] = 0")
        terminal.until("(Pdb) ")
        terminal.type("c")
        assert terminal.end() == 1
        assert "column 'total': 490, then 450" in terminal.said
    finally:
        terminal.kill()


def test_there_is_nothing_to_debug_without_a_function(shardwise: Run, place: Path) -> None:
    shardwise("aggregate", "d.parquet", "--agg", "m=mean(x)", *LOCAL)
    status, _, err = shardwise("replay", run_id(place), "partial-0-1", "--pdb")
    assert status == 2
    assert "nothing to debug" in err


# --- check and redundancy ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_check_and_redundancy_at_a_terminal(shardwise: Run, place: Path) -> None:
    options = (*LOCAL[:-1], "--batch-rows", "10")
    status, _, err = shardwise("map", "d.parquet", "jobs.py:double", "-o", "out", "--check", *options)
    assert status == 0
    assert "checked double on 2 of 4 tasks of one batch, in 4 processes: the same everywhere" in err
    status, _, err = shardwise("map", "d.parquet", "jobs.py:words", "-o", "words", "--check", *options)
    assert status == 1
    assert "error[E310]: words is not deterministic" in err
    assert "d.parquet, batch 0): row 0, column 'y': '" in err
    assert not (place / "words").exists()
    status, out, err = shardwise("map", "d.parquet", "jobs.py:words", "-o", "words", "--check", "--plan", *options)
    assert status == 1 and out == "" and "error[E310]: words is not deterministic" in err
    status, out, err = shardwise("map", "d.parquet", "jobs.py:double", "-o", "new", "--check", "--plan", *options)
    assert status == 0 and "engine   local:1" in out and "checked double on 2 of" in err
    (place / "cut.py").write_text("def cut(table):\n    return table.slice(1)\n")
    status, _, err = shardwise("map", "d.parquet", "cut.py:cut", "-o", "cut", "--check", *options)
    assert status == 0
    assert "warning: cut depends on how the data is cut" in err
    assert (place / "cut" / "_SUCCESS").exists()
    status, _, err = shardwise("map", "d.parquet", "jobs.py:words", "-o", "words", "--redundancy", "2", *options)
    assert status == 1
    assert "error[E310]: words is not deterministic: two attempts at the same task" in err
    assert not (place / "words" / "_SUCCESS").exists()
