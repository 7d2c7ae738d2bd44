"""The same bytes on every engine as in this process: all aggregates, groups, descriptions, functions of every kind, and
writes of every format, of awkward data, in native kernels and behind functions whose workers are killed."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import shardwise as sw
from clusters import Clusters
from wide import BATCH, aggregates, as_bytes, everything, write_awkward_arrays, write_awkward_data

cloudpickle.register_pickle_by_value(sys.modules[__name__])

ENGINES = ["local", "dask-cluster", "ray-cluster", "spark-cluster"]
Jobs = Callable[["Wide"], Iterator[tuple[str, sw.Job]]]
FORMATS = ["parquet", "csv", "ndjson", "ipc"]


@dataclass
class Wide:
    """Where the jobs read, and write; ``marks`` is a directory where functions note which workers they killed."""

    directory: Path
    out: Path
    marks: str = ""
    outputs: dict[str, Path] = field(default_factory=dict)

    @property
    def rows(self) -> sw.Dataset:
        return sw.read_parquet(f"{self.directory}/*.parquet", batch_rows=BATCH)

    @property
    def arrays(self) -> sw.Dataset:
        return sw.read_npy(f"{self.directory}/*.npy", batch_rows=BATCH)

    def written(self, ds: sw.Dataset, form: str, name: str) -> sw.Job:
        path = self.outputs[name] = self.out / "written" / name
        job: sw.Job = getattr(ds, f"write_{form}")(str(path), file_batches=3)
        return job


def native(wide: Wide) -> Iterator[tuple[str, sw.Job]]:
    """No function: fused SQL, the pass over columns, kernels of arrays."""
    chosen = wide.rows.filter("y < 0.8").with_columns(w="z * 3 - x").select("k", "w", "x", "y", "z", "n").sample(0.7)
    for name, ds in (("all", wide.rows), ("chosen", chosen)):
        yield f"{name} grouped", everything(ds)
        yield f"{name} together", ds.aggregate(*aggregates())
        yield f"{name} described", ds.describe()
    for form in FORMATS:
        yield form, wide.written(chosen, form, form)
    yield "rows", chosen.collect()
    each = [sw.sum("*"), sw.mean("*"), sw.var("*"), sw.min("*"), sw.max("*"), sw.approx_n_unique("*")]
    yield "arrays", wide.arrays.aggregate(*each, sw.approx_quantile("*", 0.1), one=sw.std("c1"))
    yield "arrays as rows", wide.arrays.aggregate(sw.cov("c0", "c1"), sw.argmin("c0", "c2"), sw.top_k("c2", 3))
    yield "arrays described", wide.arrays.describe()
    yield "npy", wide.written(wide.arrays, "npy", "npy")
    yield "partitioned", in_partitions(wide).group_by("s").aggregate(sw.count(), sw.sum("x"), sw.var("x"))


def in_partitions(wide: Wide) -> sw.Dataset:
    """Of a database, in ranges of its key, and the rows without one."""
    path = wide.directory / "rows.db"
    if not path.exists():
        rows = [(n if n % 9 else None, -0.0 if n % 7 == 0 else n / 3, n % 4 and f"s{n % 4}") for n in range(900)]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE t (id INTEGER, x REAL, s TEXT)")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    return sw.read_database("SELECT * FROM t", url=f"sqlite://{path}", partition_on="id", partitions=5, batch_rows=50)


def deadly(marks: str, name: str) -> Callable[[sw.Context], None]:
    """Kills its worker when it is first called with every third batch; with no ``marks``, never."""

    def perhaps(ctx: sw.Context) -> None:
        fragment, index = ctx.batch.fragment, ctx.batch.index
        if not marks or (fragment + index) % 3:
            return
        try:
            os.close(os.open(f"{marks}/{name}-{fragment}-{index}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return perhaps


def mapped(wide: Wide) -> Iterator[tuple[str, sw.Job]]:
    """Behind functions of every kind, each of which kills workers of its own."""
    perhaps = {name: deadly(wide.marks, name) for name in ("arrow", "pandas", "polars", "numpy", "items")}

    def of_arrow(table: pa.Table, ctx: sw.Context) -> pa.Table:
        perhaps["arrow"](ctx)
        return table.append_column("w", pa.array(ctx.rng.random(table.num_rows)))

    def of_pandas(df: pd.DataFrame, ctx: sw.Context) -> pd.DataFrame:
        perhaps["pandas"](ctx)
        return df.assign(w=df["x"] * 3 - df["z"])[df["y"] < 0.9]

    def of_polars(df: pl.DataFrame, ctx: sw.Context) -> pl.DataFrame:
        perhaps["polars"](ctx)
        return df.with_columns(w=pl.col("x") * 3 - pl.col("z"))

    def of_numpy(array: np.ndarray, ctx: sw.Context) -> np.ndarray:
        perhaps["numpy"](ctx)
        return array[::2] * -1.0

    def of_items(row: dict[str, Any], ctx: sw.Context) -> dict[str, Any]:
        perhaps["items"](ctx)
        return {"k": row["k"], "z": row["z"]}

    arrow, pandas = wide.rows.map(of_arrow), wide.rows.map(of_pandas)
    yield "arrow grouped", everything(arrow)
    yield "arrow together", arrow.aggregate(*aggregates(), sw.mean("w"))
    yield "pandas described", pandas.describe()
    yield "pandas", wide.written(pandas, "csv", "pandas")
    yield "polars", wide.written(wide.rows.map(of_polars), "ndjson", "polars")
    yield "numpy", wide.written(wide.arrays.map(of_numpy), "npy", "numpy")
    yield "items", wide.written(wide.rows.filter("n > 0").map_items(of_items), "ipc", "items")
    yield "parquet", wide.written(arrow.filter("w < 0.5"), "parquet", "parquet")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wide")
    write_awkward_data(made)
    write_awkward_arrays(made)
    return made


def answers(jobs: Jobs, wide: Wide, **options: Any) -> dict[str, Any]:
    """Bytes of every job's result, or of the files that it wrote."""
    found: dict[str, Any] = {}
    for name, job in jobs(wide):
        result = job.run(run_dir=str(wide.out / name.replace(" ", "-")), retries=8, progress="none", **options)
        if name in wide.outputs:
            parts = sorted(wide.outputs[name].glob("part-*"))
            found[name] = {path.name: path.read_bytes() for path in parts}
            assert len(parts) > 1
        else:
            found[name] = as_bytes(result)
    return found


@pytest.fixture(scope="module")
def here(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Jobs], dict[str, Any]]:
    """What this process answers, in one piece."""

    @functools.cache
    def answered(jobs: Jobs) -> dict[str, Any]:
        return answers(jobs, Wide(directory, tmp_path_factory.mktemp("here")), engine="inline", shard_size="1GB")

    return answered


@pytest.mark.parametrize("jobs", [native, mapped])
@pytest.mark.parametrize("name", ENGINES)
def test_the_same_bytes_as_here_though_workers_die(
    name: str, jobs: Jobs, here: Callable[[Jobs], Any], clusters: Clusters, directory: Path, tmp_path: Path
) -> None:
    url = clusters.url(name)
    marks = tmp_path / "marks"
    marks.mkdir()
    there = answers(jobs, Wide(directory, tmp_path, str(marks)), engine=url, workers=2, shard_size="1B")
    assert [job for job, answer in here(jobs).items() if there[job] != answer] == []
    killed = {mark.name.partition("-")[0] for mark in marks.iterdir()}
    assert killed == (set() if jobs is native else {"arrow", "pandas", "polars", "numpy", "items"})
