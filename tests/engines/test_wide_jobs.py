"""Every built-in aggregate, with and without groups, a map and a write, on every engine, while workers are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shardwise as sw
from clusters import Clusters
from shardwise.compute.aggregates.registry import known_aggregates

ENGINES = ["local", "dask-cluster", "ray-cluster", "spark-cluster"]


def aggregates() -> dict[str, Any]:
    """One of each that is built in."""
    made = {
        "approx_n_unique": sw.approx_n_unique("fare"),
        "approx_quantile": sw.approx_quantile("speed", 0.9),
        "argmax": sw.argmax("fare", by="speed"),
        "argmin": sw.argmin("fare", by="speed"),
        "corr": sw.corr("fare", "speed"),
        "count": sw.count(),
        "count_null": sw.count_null("fare"),
        "cov": sw.cov("fare", "speed"),
        "histogram": sw.histogram("hours", bins=8, range=(0.0, 2.0)),
        "max": sw.max("speed"),
        "mean": sw.mean("speed"),
        "min": sw.min("speed"),
        "std": sw.std("speed"),
        "sum": sw.sum("speed"),
        "top_k": sw.top_k("speed", 3),
        "var": sw.var("hours"),
    }
    assert sorted(made) == sorted(known_aggregates())
    return made


def dying(marks: str) -> Callable[[pa.Table, sw.Context], pa.Table]:
    """A function whose worker is killed when it first sees every third batch; with no ``marks``, never."""

    def speed(table: pa.Table, ctx: sw.Context) -> pa.Table:
        fragment, index = ctx.batch.fragment, ctx.batch.index
        if marks and (fragment + index) % 3 == 0:
            try:
                os.close(os.open(f"{marks}/{fragment}-{index}", os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        distance, hours = table.column("distance").to_numpy(), table.column("hours").to_numpy()
        return table.append_column("speed", pa.array(distance / hours))

    return speed


def answers(trips: str, out: Path, marks: str, **options: Any) -> tuple[pa.Table, pa.Table, dict[str, bytes]]:
    """Of a group-by and an aggregate of everything, and the files of a write."""
    mapped = sw.read_parquet(f"{trips}/*.parquet", batch_rows=250).map(dying(marks))

    def run(job: Any, name: str) -> Any:
        return job.run(run_dir=str(out / name), shard_size="16kB", retries=8, progress="none", **options)

    by_zone = run(mapped.group_by("zone").aggregate(**aggregates()), "grouped").to_arrow()
    of_all = run(mapped.aggregate(**aggregates()), "ungrouped").to_arrow()
    run(mapped.write_parquet(str(out / "parts"), file_batches=2), "written")
    return by_zone, of_all, {path.name: path.read_bytes() for path in (out / "parts").glob("*.parquet")}


@pytest.mark.parametrize("name", ENGINES)
def test_all_built_in_operations_give_the_same_bytes_though_workers_die(
    name: str, clusters: Clusters, trips: str, tmp_path: Path
) -> None:
    url = clusters.url(name)
    marks = tmp_path / "marks"
    marks.mkdir()
    here = answers(trips, tmp_path / "here", "", engine="inline")
    there = answers(trips, tmp_path / "there", str(marks), engine=url, workers=2)
    assert list(marks.iterdir()), "no worker was killed"
    assert there[0].equals(here[0])
    assert there[1].equals(here[1])
    assert there[2] == here[2]
