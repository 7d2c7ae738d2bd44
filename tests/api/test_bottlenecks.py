"""Real jobs, each bound by something else, and what their plans say of them."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw


def wait(item: int) -> int:
    time.sleep(0.005)
    return item


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
    "models": (lambda p: sw.from_items(range(200)).map_items(Model).collect(), "model size", "model parallelism"),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_bound_by_what_it_was_made_to_be_bound_by(name: str, tmp_path: Path) -> None:
    make, bound, strategy = JOBS[name]
    options: dict[str, Any] = {"memory": "1.3GB"} if name == "models" else {}
    plan = make(tmp_path).plan(engine="inline", run_dir=str(tmp_path / "run"), **options)
    assert plan.bottleneck is not None
    assert plan.bottleneck.name == bound, plan.bottleneck
    assert strategy in plan.bottleneck.strategy
