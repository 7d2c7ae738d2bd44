"""Real jobs, each bound by something else, and what their plans say of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

import shardwise as sw


def wait(item: int) -> int:
    time.sleep(0.005)
    return item


def wait_a_little(item: int) -> dict[str, int]:
    """Less than a task of a sample takes for its aggregate."""
    time.sleep(0.002)
    return {"v": item}


def digest(item: int) -> str:
    """One step of the interpreter in many milliseconds."""
    return hashlib.sha256(bytes(4_000_000)).hexdigest()


def loop(table: Any) -> list[dict[str, float]]:
    found = []
    for value in table.column("v").to_pylist():
        for _ in range(10):
            value = value * 0.5 + 1
        found.append({"v": value})
    return found


def first(table: Any) -> list[dict[str, float]]:
    return [{"v": table.column("v")[0].as_py()}]


class Model:
    """Large before it has seen a row."""

    def __init__(self) -> None:
        self.weights = np.ones(400_000_000 // 8)

    def __call__(self, item: int) -> float:
        return float(self.weights[item])


class Late(sw.Aggregate[Any]):
    """Counts only where states are merged, value by value: states are as large as the data."""

    def zero(self) -> Any:
        return Counter()

    def step(self, state: Any, batch: Any) -> Any:
        return np.asarray(batch["v"])

    def merge(self, a: Any, b: Any) -> Any:
        return self._counted(a) + self._counted(b)

    def finish(self, state: Any) -> int:
        return len(state)

    def _counted(self, state: Any) -> Any:
        if isinstance(state, Counter):
            return state
        found: Counter[int] = Counter()
        for value in state.tolist():
            found[value] += 1
        return found


def parse_again(table: pa.Table) -> pa.Table:
    """About what reading it took; there is more to write than was read, as writing is quicker."""
    text = io.BytesIO()
    csv.write_csv(pa.concat_tables([table] * 2), text)
    text.seek(0)
    return pa.concat_tables([csv.read_csv(text, read_options=csv.ReadOptions(use_threads=False))] * 2)


def bytes_of_few_values(place: Path) -> Any:
    values = np.resize(np.arange(100, dtype=np.int8), 60_000_000)
    pq.write_table(pa.table({"v": values}), place / "t.parquet", row_group_size=1_000_000)
    return sw.read_parquet(str(place / "t.parquet"), batch_rows=1_000_000)


def numbers(place: Path) -> Any:
    place.joinpath("numbers").mkdir()
    chance = np.random.default_rng(0)
    for number in range(60):
        csv.write_csv(pa.table({f"c{n}": chance.random(2_000) for n in range(30)}), place / f"numbers/{number:02d}.csv")
    return sw.read_csv(str(place / "numbers" / "*.csv"))


def parquet(place: Path, rows: int = 200_000) -> Any:
    pq.write_table(pa.table({"v": np.arange(rows) * 0.37}), place / "t.parquet", row_group_size=2_000)
    return sw.read_parquet(str(place / "t.parquet"), batch_rows=2_000)


def text(place: Path) -> Any:
    """Compressed text of many columns, of which one is looked at."""
    place.joinpath("text").mkdir()
    row = ",".join(str(n * 0.123) for n in range(60))
    head = ",".join(f"c{n}" for n in range(59))
    for number in range(40):
        with gzip.open(place / "text" / f"{number:02d}.csv.gz", "wt", compresslevel=1) as file:
            file.write(f"v,{head}\n" + f"{row}\n" * 2_000)
    return sw.read_csv(str(place / "text" / "*.csv.gz"))


Job = Callable[[Path], Any]
JOBS: dict[str, tuple[Job, str, str]] = {
    "waits": (lambda p: sw.from_items(range(200)).map_items(wait).collect(), "latency", "more workers than cores"),
    "digests": (lambda p: sw.from_items(range(200)).map_items(digest).collect(), "computation", "data parallelism"),
    "loops": (lambda p: parquet(p).map(loop).aggregate(sw.mean("v")), "interpreter", "vectorise"),
    "reads": (lambda p: text(p).map(first).aggregate(sw.mean("v")), "I/O", "columnar"),
    "waits beside an aggregate": (
        lambda p: sw.from_items(range(120)).map_items(wait_a_little).aggregate(sw.mean("v")),
        "latency",
        "more workers than cores",
    ),
    "states": (lambda p: bytes_of_few_values(p).aggregate(n=Late()), "communication", "aggregates that shrink earlier"),
    "turns": (
        lambda p: numbers(p).map(parse_again).write_csv(str(p / "out"), file_batches=1),
        "stages",
        "pipeline parallelism",
    ),
    "models": (lambda p: sw.from_items(range(200)).map_items(Model).collect(), "model size", "model parallelism"),
}


OPTIONS: dict[str, dict[str, Any]] = {
    "models": {"memory": "1.3GB"},
    "states": {"shard_size": 1},
    "turns": {"sample": 0.2},
}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_bound_by_what_it_was_made_to_be_bound_by(name: str, tmp_path: Path) -> None:
    """At least one of five plans says so: what other tests do meanwhile may bound it, too, and is measured."""
    make, bound, strategy = JOBS[name]
    options = OPTIONS.get(name, {})
    told = []
    for number in map(str, range(5)):
        (place := tmp_path / number).mkdir()
        plan = make(place).plan(engine="inline", run_dir=str(place / "run"), **options)
        assert plan.bottleneck is not None
        told.append((plan.bottleneck.name, plan.bottleneck.strategy))
        if plan.bottleneck.name == bound and strategy in plan.bottleneck.strategy:
            return
    pytest.fail(f"no plan says {bound}, {strategy}: {told}")


def test_one_slow_read_of_a_sample_does_not_keep_a_loop_from_being_counted(tmp_path: Path) -> None:
    """Functions are called step by step where they take the time, by the tasks in the middle."""
    from types import SimpleNamespace

    from shardwise.api.interpreted import sampled_steps
    from shardwise.api.options import Options
    from shardwise.plan.sample import Phase, Sample, Tried

    work = parquet(tmp_path).map(loop).aggregate(sw.mean("v")).work(Options())
    ledger: Any = SimpleNamespace(committed=lambda stage: [SimpleNamespace(first=0)])

    def sample(*reads: float) -> Sample:
        tried = tuple(Tried(1.0, read + 0.01, read, 0.01, rows=2_000) for read in reads)
        return Sample("inline", 1, (Phase(1, 1.0, tried),))

    assert sampled_steps(work, ledger, sample(0.001, 5.0, 0.001)) > 10
    assert sampled_steps(work, ledger, sample(5.0, 5.0, 0.001)) == 0.0
