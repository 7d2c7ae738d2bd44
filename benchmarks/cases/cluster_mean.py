"""Mean by category over Parquet, on clusters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Clock, Ratio
from benchmarks.cases.group_mean import dask_mean, generate, ray_mean, sorted_pairs, spark_mean
from benchmarks.clusters import dask_client, ray_started, shardwise_on, spark_session
from benchmarks.cores import usable

WARM_SCALE = 1e-4

CASE = Case(
    "(h) Mean by category over 40 000 000 rows of Parquet in 16 files, on clusters of this machine",
    "The data of (d). Each library's own embedded cluster has a worker a core, and such a cluster lends Shardwise's "
    "slots. Starting the cluster, and on it the slots, is left out for everybody, and so is a first job of 16 000 "
    "rows, which brings imports. Shardwise's sums are exact and its run is kept in a run directory.",
    generate,
    targets=(
        Ratio("shardwise on Dask", "dask.dataframe", 0.5),
        Ratio("shardwise on Ray", "Ray Data", 0.5),
        Ratio("shardwise on Spark", "Spark DataFrame", 0.5),
    ),
    data="group_mean",
)


@contextmanager
def _small() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shardwise-warm-") as directory:
        generate(Path(directory), WARM_SCALE)
        yield Path(directory)


def _measured(mean: Callable[[Path], Any], data: Path, clock: Clock) -> Any:
    with _small() as small:
        mean(small)
    with clock:
        return mean(data)


def _ours(engine_name: str, data: Path, clock: Clock) -> Any:
    import shardwise as sw

    with shardwise_on(engine_name) as engine, tempfile.TemporaryDirectory() as runs:

        def mean(where: Path) -> Any:
            job = sw.read_parquet(f"{where}/*.parquet").group_by("category").aggregate(mean=sw.mean("value"))
            run_dir = str(Path(runs, where.name))
            rows = job.run(engine=engine, workers=usable(), run_dir=run_dir).to_pylist()
            return sorted_pairs((row["category"], row["mean"]) for row in rows)

        return _measured(mean, data, clock)


@CASE.peer("shardwise on Dask", "`job.run(engine=DaskEngine(client))`", "shardwise", "distributed")
def shardwise_dask(data: Path, clock: Clock) -> Any:
    return _ours("dask", data, clock)


@CASE.peer(
    "dask.dataframe",
    "`dd.read_parquet(columns=..., filesystem='arrow')`, the reader that its documentation calls fastest",
    "dask",
    "distributed",
    "pandas",
    "pyarrow",
)
def dask_dataframe(data: Path, clock: Clock) -> Any:
    with dask_client():
        return _measured(dask_mean, data, clock)


@CASE.peer("shardwise on Ray", "`job.run(engine=RayEngine('auto'))`", "shardwise", "ray")
def shardwise_ray(data: Path, clock: Clock) -> Any:
    return _ours("ray", data, clock)


@CASE.peer("Ray Data", "`read_parquet(columns=...).groupby(...).mean(...)`", "ray", rounds=2)
def ray_data(data: Path, clock: Clock) -> Any:
    with ray_started() as ray:
        return _measured(lambda where: ray_mean(ray, where), data, clock)


@CASE.peer("shardwise on Spark", "`job.run(engine=SparkEngine(session))`", "shardwise", "pyspark")
def shardwise_spark(data: Path, clock: Clock) -> Any:
    return _ours("spark", data, clock)


@CASE.peer("Spark DataFrame", "`read.parquet(glob).groupBy('category').avg('value')`", "pyspark")
def spark_dataframe(data: Path, clock: Clock) -> Any:
    with spark_session() as session:
        return _measured(lambda where: spark_mean(session, where), data, clock)
