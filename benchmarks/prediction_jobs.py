"""Jobs that predictions are scored on: formats, functions that are bound by different things, even and skewed sizes."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import shardwise as sw

ROWS = 12_000_000
FILES = 12
BLOBS = 1800
"""At scale 1.5 each job takes 10 to 60 s on two cores."""


@dataclass(frozen=True, slots=True)
class Case:
    """A job, and where it runs.

    Parameters
    ----------
    make : callable
        The job, from the directory of the data and a directory for outputs.
    engine, workers
        As for ``job.run``; ``free``: whether ``auto`` could carry it out, too.
    others : tuple of str
        Ways to carry it out that are compared with what ``auto`` chooses, beside those of all jobs.
    """

    make: Callable[[Path, Path], Any]
    engine: str = "local"
    workers: int | None = 2
    free: bool = True
    others: tuple[str, ...] = ()


# --- functions -------------------------------------------------------------------------------------------------------


def waves(batch: np.ndarray) -> np.ndarray:
    """Processor: sines and exponentials of every value, several times."""
    x = batch.copy()
    for _ in range(14):
        x = np.sin(x) + np.exp(-x * x)
    return x.sum(axis=1, keepdims=True)


def shuffled(batch: np.ndarray) -> np.ndarray:
    """Memory: copies that go past every cache."""
    x = batch
    for _ in range(300):
        x = np.ascontiguousarray(x[:, ::-1]) + 1.0
    return x[:, :1]


def loops(table: Any, steps: int = 10) -> list[dict[str, float]]:
    """Interpreter: one row after the other."""
    found = []
    for k, v in zip(table.column("k").to_pylist(), table.column("v").to_pylist()):
        x = v
        for _ in range(steps):
            x = math.sqrt(x * x + k) * 0.5
        found.append({"k": k, "x": x})
    return found


def long_loops(table: Any) -> list[dict[str, float]]:
    """The same for fewer rows, and longer."""
    return loops(table, 140)


def frames(df: Any) -> Any:
    """pandas, by the column."""
    out = df[["k"]].copy()
    x = df["v"]
    for _ in range(40):
        x = x.rolling(50, min_periods=1).mean() + df["w"]
    out["x"] = x
    return out


frames.__annotations__["df"] = "pandas.DataFrame"


def spin(n: int) -> float:
    """An item that takes 10 ms of processor time."""
    return _spin(0.010, n)


def uneven(n: int) -> float:
    """An item in ten takes ten times as long."""
    return _spin(0.05 if n % 10 == 0 else 0.005, n)


def _spin(seconds: float, n: int) -> float:
    until, x = time.thread_time() + seconds, float(n)
    while time.thread_time() < until:
        for _ in range(200):
            x = x * 0.999 + 1.0
    return x


def wait(n: int) -> int:
    """An item that waits for something far away."""
    time.sleep(0.02)
    return n


def digest(path: str) -> str:
    """Storage: a file, read and digested."""
    import hashlib

    data = Path(path).read_bytes()
    for _ in range(28):
        found = hashlib.sha256(data).hexdigest()
    return found


def disk(number: int) -> int:
    """Storage, past the page cache: 4 MB are written, flushed, forgotten and read again."""
    data = number.to_bytes(8, "little") * 500_000
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        return len(file.read())


class Mode(sw.Aggregate):
    """A person's own aggregate."""

    def zero(self) -> dict[int, int]:
        return {}

    def step(self, state: dict[int, int], batch: Any) -> dict[int, int]:
        for value in batch.column("k").to_pylist():
            state[value] = state.get(value, 0) + 1
        return state

    def merge(self, a: dict[int, int], b: dict[int, int]) -> dict[int, int]:
        return {key: a.get(key, 0) + b.get(key, 0) for key in a | b}

    def finish(self, state: dict[int, int]) -> int:
        return max(state, key=lambda key: (state[key], -key))


# --- data ------------------------------------------------------------------------------------------------------------


def generate(directory: Path, scale: float) -> None:
    """Tables in every format, an array, and small files."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    rows = int(ROWS * scale)
    chance = np.random.default_rng(7)
    for number, part in enumerate(np.array_split(np.arange(rows), FILES)):
        table = pa.table(
            {
                "k": chance.integers(0, 1000, len(part)),
                "v": chance.gamma(2.0, 10.0, len(part)),
                "w": chance.normal(size=len(part)),
                "s": pa.array([f"name-{n % 977}" for n in part]),
            }
        )
        for name in ("parquet", "csv", "skewed"):
            (directory / name).mkdir(exist_ok=True)
        pq.write_table(table, directory / "parquet" / f"{number:02d}.parquet", row_group_size=16_384)
        csv.write_csv(table, directory / "csv" / f"{number:02d}.csv")
        small = table.slice(0, len(part) // (1 + number * number))
        pq.write_table(small, directory / "skewed" / f"{number:02d}.parquet", row_group_size=8_192)
    with (directory / "lines.ndjson").open("w") as lines:
        for n in range(rows):
            lines.write(f'{{"k": {n % 1000}, "v": {n * 0.37 % 91:.3f}, "s": "name-{n % 977}"}}\n')
    np.save(directory / "array.npy", chance.normal(size=(rows // 2, 16)))
    (directory / "blobs").mkdir(exist_ok=True)
    for n in range(int(BLOBS * scale)):
        (directory / "blobs" / f"{n:05d}").write_bytes(chance.bytes(400_000))


# --- jobs ------------------------------------------------------------------------------------------------------------


def _parquet(data: Path) -> Any:
    return sw.read_parquet(str(data / "parquet" / "*.parquet"), batch_rows=8_192)


def _csv(data: Path) -> Any:
    return sw.read_csv(str(data / "csv" / "*.csv"), batch_rows=8_192)


def _lines(data: Path) -> Any:
    return sw.read_ndjson(str(data / "lines.ndjson"), batch_rows=8_192)


def _array(data: Path) -> Any:
    return sw.read_npy(str(data / "array.npy"), batch_rows=4_096)


def _items(count: int, data: Path) -> Any:
    return sw.from_items(range(int(count * _scale(data))))


def _scale(data: Path) -> float:
    return float((data / "scale").read_text())


def _blobs(data: Path) -> Any:
    return sw.from_items(sorted(str(path) for path in (data / "blobs").iterdir()))


def _terms(count: int) -> str:
    """So many terms of which none is like another: what is alike is computed once."""
    return " + ".join(f"sqrt(abs(sin(v * {n}) * cos(v + {n}) + ln(v + {n})))" for n in range(1, count + 1))


CASES: dict[str, Case] = {
    "csv, describe": Case(lambda d, o: _csv(d).describe(), "inline", None),
    "csv, group by": Case(
        lambda d, o: _csv(d).with_columns(x=_terms(18)).group_by("k").aggregate(sw.mean("x"), sw.std("v")),
        "inline",
        None,
    ),
    "ndjson, group by": Case(
        lambda d, o: (
            _lines(d).with_columns(x=_terms(22)).group_by("s").aggregate(sw.mean("x"), p=sw.approx_quantile("v", 0.9))
        ),
        "inline",
        None,
    ),
    "parquet, expressions": Case(
        lambda d, o: _parquet(d).with_columns(x=_terms(28)).aggregate(sw.mean("x"), sw.max("x")),
        "inline",
        None,
    ),
    "parquet, sketches": Case(
        lambda d, o: (
            _parquet(d)
            .with_columns(x=_terms(14))
            .group_by("k")
            .aggregate(a=sw.approx_quantile("x", 0.5), b=sw.approx_quantile("v", 0.5), n=sw.approx_n_unique("s"))
        ),
        "inline",
        None,
    ),
    "parquet, pandas, 1": Case(lambda d, o: _parquet(d).map(frames).aggregate(sw.mean("x")), workers=1),
    "parquet, pandas, 2": Case(lambda d, o: _parquet(d).map(frames).aggregate(sw.mean("x"))),
    "parquet, loops, 1": Case(lambda d, o: _parquet(d).select("k", "v").map(loops).aggregate(sw.mean("x")), workers=1),
    "parquet, loops, 2": Case(lambda d, o: _parquet(d).select("k", "v").map(loops).aggregate(sw.mean("x"))),
    "parquet, loops, written": Case(
        lambda d, o: _parquet(d).select("k", "v").map(loops).write_parquet(str(o / "loops"))
    ),
    "parquet, skewed": Case(
        lambda d, o: (
            sw.read_parquet(str(d / "skewed" / "*.parquet"), batch_rows=4_096)
            .select("k", "v")
            .map(long_loops)
            .aggregate(sw.mean("x"))
        )
    ),
    "parquet to csv": Case(lambda d, o: _parquet(d).map(frames).write_csv(str(o / "csv"))),
    "csv to parquet": Case(lambda d, o: _csv(d).map(frames).write_parquet(str(o / "parquet"))),
    "csv, loops": Case(lambda d, o: _csv(d).select("k", "v").map(loops).aggregate(sw.sum("x"))),
    "ndjson, loops": Case(lambda d, o: _lines(d).select("k", "v").map(loops).aggregate(sw.sum("x"))),
    "npy, waves, 1": Case(lambda d, o: _array(d).map(waves).aggregate(sw.mean("*")), workers=1),
    "npy, waves, 2": Case(lambda d, o: _array(d).map(waves).aggregate(sw.mean("*"))),
    "npy, copies, 2": Case(lambda d, o: _array(d).map(shuffled).aggregate(sw.mean("*"))),
    "items, even": Case(lambda d, o: _items(3600, d).map_items(spin).collect()),
    "items, uneven": Case(lambda d, o: _items(3600, d).map_items(uneven).collect()),
    "items, waiting": Case(lambda d, o: _items(1800, d).map_items(wait).collect(), others=("local:8", "local:16")),
    "items, disk": Case(lambda d, o: _items(800, d).map_items(disk).collect()),
    "items, files": Case(lambda d, o: _blobs(d).map_items(digest).collect()),
    "parquet, own aggregate": Case(lambda d, o: _parquet(d).map(frames).aggregate(m=Mode())),
    "items, inline": Case(lambda d, o: _items(1800, d).map_items(spin).collect(), "inline", None),
    "items, dask": Case(lambda d, o: _items(3600, d).map_items(spin).collect(), "dask"),
    "parquet, loops, dask": Case(lambda d, o: _parquet(d).select("k", "v").map(loops).aggregate(sw.mean("x")), "dask"),
    "items, ray": Case(lambda d, o: _items(3600, d).map_items(uneven).collect(), "ray"),
    "npy, waves, ray": Case(lambda d, o: _array(d).map(waves).aggregate(sw.mean("*")), "ray"),
}
