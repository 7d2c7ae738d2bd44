"""Ten thousand tiny tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.case import Case, Clock, Rate, Ratio
from benchmarks.clusters import dask_client, ray_started
from benchmarks.cores import usable

ITEMS = 10_000


def generate(directory: Path, scale: float) -> None:
    """How many items."""
    (directory / "items").write_text(str(max(50, int(ITEMS * scale))))


CASE = Case(
    "(e) 10 000 tiny tasks: x * x over Python integers",
    "What a task costs when it does next to nothing. Before the clock starts Shardwise has done a job of one item in "
    "this process, so that its imports are not in *job alone*; starting its workers is.",
    generate,
    targets=(
        Rate("shardwise, auto", ITEMS, 200_000),
        Rate("shardwise, workers up", ITEMS, 30_000),
        Ratio("shardwise, processes", "Pool, one by one", 1 / 0.9, "whole"),
        Ratio("shardwise, processes", "Pool", 1 / 0.9, "whole"),
    ),
)


def square(x: int) -> int:
    """The task."""
    return x * x


def _items(data: Path) -> list[int]:
    return list(range(int((data / "items").read_text())))


def _digest(results: list[int]) -> list[int]:
    return [len(results), sum(results), *results[::1000]]


def _ours(data: Path, clock: Clock, engine: str) -> Any:
    import shardwise as sw

    items = _items(data)
    sw.from_items(items[:1]).map_items(square).collect().run(engine="inline").to_list()
    with clock:
        results = sw.from_items(items).map_items(square).collect().run(engine=engine).to_list()
    return _digest(results)


@CASE.peer("shardwise, auto", "`from_items(items).map_items(square).collect().run()`: `auto` decides", "shardwise")
def shardwise_auto(data: Path, clock: Clock) -> Any:
    return _ours(data, clock, "auto")


@CASE.peer("shardwise, processes", "`run(engine='local')`; starting the workers counts", "shardwise")
def shardwise_processes(data: Path, clock: Clock) -> Any:
    return _ours(data, clock, "local")


@CASE.peer(
    "shardwise, workers up",
    "the same tasks and driver, on workers that have done a small job when the clock starts",
    "shardwise",
)
def shardwise_workers_up(data: Path, clock: Clock) -> Any:
    import shardwise as sw
    from benchmarks.warm import WarmWorkers

    job = sw.from_items(_items(data)).map_items(square).collect()
    with WarmWorkers(usable()) as workers:
        workers.collect(sw.from_items(range(100)).map_items(square).collect())  # brings their imports
        with clock:
            results = workers.collect(job)
    return _digest(results)


@CASE.peer("list comprehension", "one core, no library")
def list_comprehension(data: Path, clock: Clock) -> Any:
    items = _items(data)
    with clock:
        results = [square(x) for x in items]
    return _digest(results)


def _pool(data: Path, clock: Clock, chunksize: int | None) -> Any:
    import multiprocessing

    items = _items(data)
    with clock, multiprocessing.Pool(usable()) as workers:
        results = workers.map(square, items, chunksize)
    return _digest(results)


@CASE.peer("Pool", "`Pool.map`, its own chunk size; starting it counts")
def pool(data: Path, clock: Clock) -> Any:
    return _pool(data, clock, None)


@CASE.peer("Pool, one by one", "`Pool.map(chunksize=1)`")
def pool_one_by_one(data: Path, clock: Clock) -> Any:
    return _pool(data, clock, 1)


@CASE.peer("joblib", "`Parallel(n_jobs=cores)`, which batches by itself", "joblib")
def joblib(data: Path, clock: Clock) -> Any:
    from joblib import Parallel, delayed

    items = _items(data)
    with clock:
        results = Parallel(n_jobs=usable())(delayed(square)(x) for x in items)
    return _digest(results)


def _squares(xs: list[int]) -> list[int]:
    return [square(x) for x in xs]


@CASE.peer(
    "Dask",
    "`Client.map` and `gather` on a `LocalCluster`, a process a core; start-up left out",
    "distributed",
    rounds=3,
)
def dask(data: Path, clock: Clock) -> Any:
    items = _items(data)
    with dask_client() as client, clock:
        results = client.gather(client.map(square, items))
    return _digest(results)


def _ray(data: Path, clock: Clock, batch: int) -> Any:
    items = _items(data)
    with ray_started() as ray:
        remote = ray.remote(_squares)
        with clock:
            parts = ray.get([remote.remote(items[i : i + batch]) for i in range(0, len(items), batch)])
            results = [x for part in parts for x in part]
    return _digest(results)


@CASE.peer("Ray", "a remote function per item; start-up left out", "ray", rounds=3)
def ray_tasks(data: Path, clock: Clock) -> Any:
    return _ray(data, clock, 1)


@CASE.peer(
    "Ray, batches", "100 items a task, as its documentation advises for tiny tasks; start-up left out", "ray", rounds=3
)
def ray_batches(data: Path, clock: Clock) -> Any:
    return _ray(data, clock, 100)
