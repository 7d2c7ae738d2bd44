"""Jobs whose shards, or batches, do not fit into the memory allowed; real workers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.compute.machine import oom_kills
from shardwise.errors import FunctionError, WorkerError
from shardwise.run.directory import RunDirectory
from shardwise.run.journal import Journal
from shardwise.storage import open_store

BATCHES, ROWS = 40, 200
HELD = 128 << 20
MEMORY = 650_000_000  # two workers of 262 MB each: a shard of all batches holds 20 times as much
OPTIONS: dict[str, Any] = {"engine": "local:2", "shard_size": "1GB", "progress": "none"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(5)
    table = pa.table(
        {
            "k": rng.integers(0, 5, BATCHES * ROWS),
            "x": rng.standard_normal(BATCHES * ROWS) * 10.0 ** rng.integers(-9, 9),
        }
    )
    path = tmp_path_factory.mktemp("data") / "one.parquet"
    pq.write_table(table, path, row_group_size=ROWS)
    return str(path)


class Hoard:
    """Holds so many bytes for every batch of a shard until the shard is done."""

    def __init__(self, each: int, poison: str = "") -> None:
        self.each, self.poison = each, poison
        self.attempt, self.held = -1, []  # type: tuple[int, list[bytes]]

    def __call__(self, table: pa.Table, ctx: sw.Context) -> pa.Table:
        if (attempt := self.number_of_attempt()) != self.attempt:
            self.attempt, self.held = attempt, []
        self.held.append(b"x" * self.each)
        if self.poison and Path(self.poison).exists() and ctx.batch.index == BATCHES - 1:
            raise ValueError("poison")
        return table.append_column("y", pa.array(ctx.rng.random(table.num_rows)))

    @staticmethod
    def number_of_attempt() -> int:
        frame = sys._getframe()
        while frame.f_back is not None and not hasattr(frame.f_locals.get("attempt"), "spec"):
            frame = frame.f_back
        return int(frame.f_locals["attempt"].spec.attempt)


def job(kind: str, data: str, out: Path, each: int, poison: str = "") -> sw.Job:
    mapped = sw.read_parquet(data, batch_rows=ROWS).map(Hoard(each, poison))
    if kind == "aggregate":
        return mapped.group_by("k").aggregate(n=sw.count(), mean=sw.mean("x"), dev=sw.std("y"))
    return mapped.collect() if kind == "collect" else mapped.write_parquet(str(out), file_batches=2)


def answer(kind: str, out: Path, result: sw.Result) -> object:
    if kind == "write":
        return {path.name: path.read_bytes() for path in sorted(out.glob("*.parquet"))}
    return result.to_pylist()


def notes(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in Journal(open_store(str(run_dir))).load() if line.kind == kind]


@pytest.mark.parametrize("kind", ["aggregate", "write"])
def test_a_shard_of_twenty_times_the_ceiling_gives_the_same_bits(kind: str, data: str, tmp_path: Path) -> None:
    before = oom_kills()
    plain = job(kind, data, tmp_path / "plain", 0).run(**OPTIONS)
    tight = job(kind, data, tmp_path / "tight", HELD).run(**OPTIONS, memory=MEMORY, run_dir=str(tmp_path / "run"))
    assert answer(kind, tmp_path / "tight", tight) == answer(kind, tmp_path / "plain", plain)
    splits = notes(tmp_path / "run", "split")
    assert splits
    over = [split["used"] / (split["used"] - excess(split)) - 1 for split in splits]
    print(f"{kind}: {len(splits)} splits, overshoot at most {max(over):.1%}")
    assert all(split["kind"] == "memory" and "at our ceiling" in split["message"] for split in splits)
    assert oom_kills() == before
    stage = {"aggregate": "partial", "write": "write"}[kind]
    commits = RunDirectory.read(str(tmp_path / "run")).committed(stage)
    assert [c.last for c in commits] == [*(c.first for c in commits[1:]), BATCHES]
    assert kind != "write" or all(c.first % 2 == 0 for c in commits)
    assert not list((tmp_path / "run").glob("_attempts/*"))


def excess(split: dict[str, Any]) -> int:
    """Bytes over the ceiling, which the message gives in the words of a person."""
    from shardwise.sizes import parse_size

    allowed = split["message"].partition(" where ")[2].partition(" were allowed")[0]
    return int(split["used"]) - parse_size(allowed)


def test_a_resumed_run_keeps_the_halves_that_were_committed(data: str, tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    expected = job("collect", data, tmp_path, 0).run(**OPTIONS).to_pylist()
    options = {**OPTIONS, "run_dir": str(tmp_path / "run"), "memory": MEMORY, "retries": 0}
    poison.touch()
    with pytest.raises(FunctionError, match="poison"):
        job("collect", data, tmp_path, HELD, str(poison)).run(**options)
    committed = RunDirectory.read(options["run_dir"]).committed("collect")
    assert 0 < sum(c.last - c.first for c in committed) < BATCHES
    poison.unlink()
    result = job("collect", data, tmp_path, HELD, str(poison)).run(**options)
    assert result.to_pylist() == expected
    assert result.run.resumed_tasks == len(committed)


def test_a_single_batch_that_does_not_fit_fails_with_its_name_and_what_would_fit(data: str, tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as caught:
        sw.read_parquet(data, batch_rows=ROWS).map(too_much_in_batch_7).collect().run(**OPTIONS, memory=MEMORY)
    assert f"batch 7 of {data} does not fit in memory" in caught.value.message
    assert "needed at least" in caught.value.message
    assert "at our ceiling" in caught.value.message
    assert "give memory=" in caught.value.fix
    assert "lower batch_rows" in caught.value.fix


def too_much_in_batch_7(table: pa.Table, ctx: sw.Context) -> pa.Table:
    held = [b"x" * (4 << 20) for _ in range(1000 if ctx.batch.index == 7 else 1)]
    return table.slice(0, len(held))


def test_the_command_line_ends_with_status_1(data: str, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(
            """
            def grow(table):
                held = [b"x" * (4 << 20) for _ in range(1000)]
                return table
            """
        )
    )
    command = [sys.executable, "-m", "shardwise.cli.main", "map", data, f"{script}:grow", "-o", str(tmp_path / "out")]
    command += ["--memory", "500MB", "--workers", "1", "--batch-rows", "1000000"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "first batch of" in done.stderr
    assert "needed at least" in done.stderr
    assert "--memory" in done.stderr or "memory=" in done.stderr


def test_a_child_of_the_function_counts(data: str, tmp_path: Path) -> None:
    def in_a_child(table: pa.Table) -> pa.Table:
        subprocess.run([sys.executable, "-c", "held = [b'x' * (4 << 20) for _ in range(500)]"], check=True)
        return table

    with pytest.raises(WorkerError, match="does not fit in memory"):
        sw.read_parquet(data, batch_rows=ROWS).map(in_a_child).collect().run(**OPTIONS, memory=MEMORY, first="1%")
    assert psutil.Process().children(recursive=True) == []


def test_all_processes_together_stay_within_what_is_allowed(data: str, tmp_path: Path) -> None:
    plan = (
        sw.read_parquet(data, batch_rows=ROWS).map(too_much_in_batch_7).collect().plan(engine="local:2", memory=MEMORY)
    )
    assert plan.memory_bytes <= MEMORY
