"""Mean by category over Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Clock, Ratio
from benchmarks.clusters import dask_client, ray_started, spark_session

ROWS, FILES, CATEGORIES = 40_000_000, 16, 1000


def generate(directory: Path, scale: float) -> None:
    """Sixteen files of five columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = max(FILES * 1000, int(ROWS * scale))
    for i in range(FILES):
        rng, n = np.random.default_rng([0, i]), rows * (i + 1) // FILES - rows * i // FILES
        columns = {
            "category": rng.integers(0, CATEGORIES, n, dtype=np.int32),
            "value": rng.normal(100, 15, n),
            "when": rng.integers(0, 1 << 40, n),
            "weight": rng.random(n, dtype=np.float32),
            "flag": rng.random(n) < 0.5,
        }
        pq.write_table(pa.table(columns), directory / f"part-{i:02}.parquet", compression="zstd")


CASE = Case(
    "(d) Mean by category over 40 000 000 rows of Parquet in 16 files, 1000 categories",
    "zstd, two columns of five are used. Shardwise's sums are exact and the run is kept in a run directory; the "
    "peers' sums are not exact.",
    generate,
    targets=(
        Ratio("shardwise", "Polars", 1.0, "whole"),
        Ratio("shardwise", "DuckDB", 1.7, "whole"),
        Ratio("shardwise", "Dask, threads", 0.25, "whole"),
        Ratio("shardwise", "Dask, cluster", 0.25, "whole"),
    ),
)


def sorted_pairs(pairs: Any) -> list[list[float]]:
    """As answers are compared."""
    return sorted([int(key), float(mean)] for key, mean in pairs)


@CASE.peer("shardwise", "`read_parquet(glob).group_by('category').aggregate(mean('value')).run()`", "shardwise")
def shardwise(data: Path, clock: Clock) -> Any:
    import shardwise as sw

    with clock:
        job = sw.read_parquet(f"{data}/*.parquet").group_by("category").aggregate(mean=sw.mean("value"))
        rows = job.run(restart=True).to_pylist()
    return sorted_pairs((row["category"], row["mean"]) for row in rows)


@CASE.peer("DuckDB", "`SELECT category, avg(value) FROM read_parquet(glob) GROUP BY category`", "duckdb")
def duckdb(data: Path, clock: Clock) -> Any:
    import duckdb

    with clock:
        query = f"SELECT category, avg(value) FROM read_parquet('{data}/*.parquet') GROUP BY category"
        rows = duckdb.execute(query).fetchall()
    return sorted_pairs(rows)


@CASE.peer("Polars", "`scan_parquet(glob).group_by(...).agg(...).collect(engine='streaming')`, its advice", "polars")
def polars(data: Path, clock: Clock) -> Any:
    import polars as pl

    with clock:
        lazy = pl.scan_parquet(f"{data}/*.parquet").group_by("category").agg(pl.col("value").mean())
        rows = lazy.collect(engine="streaming").rows()
    return sorted_pairs(rows)


def dask_mean(data: Path) -> list[list[float]]:
    """With Dask's default scheduler, or the client there is."""
    import dask.dataframe as dd

    frame = dd.read_parquet(str(data), columns=["category", "value"], filesystem="arrow")
    return sorted_pairs(frame.groupby("category")["value"].mean().compute().items())


def spark_mean(session: Any, data: Path) -> list[list[float]]:
    """With Spark's DataFrame."""
    frame = session.read.parquet(str(data / "*.parquet"))
    return sorted_pairs(tuple(row) for row in frame.groupBy("category").avg("value").collect())


def ray_mean(ray: Any, data: Path) -> list[list[float]]:
    """With Ray Data."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.read_parquet(str(data), columns=["category", "value"], file_extensions=["parquet"])
    rows = dataset.groupby("category").mean("value").take_all()
    return sorted_pairs((row["category"], row["mean(value)"]) for row in rows)


@CASE.peer(
    "Dask, threads",
    "`dd.read_parquet(columns=..., filesystem='arrow')`, the reader that its documentation calls fastest; threads",
    "dask",
    "pandas",
    "pyarrow",
)
def dask_threads(data: Path, clock: Clock) -> Any:
    import dask.dataframe  # noqa: F401

    with clock:
        return dask_mean(data)


@CASE.peer("Dask, cluster", "the same on a `LocalCluster`, a process a core; its start-up is left out", "distributed")
def dask_cluster(data: Path, clock: Clock) -> Any:
    with dask_client(), clock:
        return dask_mean(data)


@CASE.peer("PySpark", "`local[cores]`, DataFrame API, start-up of the session left out", "pyspark", rounds=3)
def pyspark(data: Path, clock: Clock) -> Any:
    with spark_session() as session, clock:
        return spark_mean(session, data)


@CASE.peer("Ray Data", "`read_parquet(columns=...).groupby(...).mean(...)`, start-up of Ray left out", "ray", rounds=1)
def ray_data(data: Path, clock: Clock) -> Any:
    with ray_started() as ray, clock:
        return ray_mean(ray, data)
