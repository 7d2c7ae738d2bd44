"""A thousand tasks of 50 milliseconds, on clusters."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Clock, Overhead, Target
from benchmarks.clusters import dask_client, ray_started, shardwise_on, spark_session
from benchmarks.cores import usable

TASKS, SECONDS, WARM = 1000, 0.05, 20

IDEAL = TASKS * SECONDS / usable()

PAIRS = {
    "dask": ("shardwise on Dask", "Dask"),
    "ray": ("shardwise on Ray", "Ray"),
    "spark": ("shardwise on Spark", "Spark"),
}


def generate(directory: Path, scale: float) -> None:
    """How many tasks."""
    (directory / "tasks").write_text(str(max(WARM, int(TASKS * scale))))


def asleep(x: int) -> int:
    """A task that only waits: the cores are the cluster's own."""
    time.sleep(SECONDS)
    return x


def computing(x: int) -> int:
    """A task of so much processor time of its own, whoever else wants the core."""
    until = time.thread_time() + SECONDS
    while time.thread_time() < until:
        pass
    return x


def _targets() -> tuple[Target, ...]:
    found: list[Target] = []
    for how in (", asleep", ", computing"):
        for ours, theirs in PAIRS.values():
            found += [
                Overhead(ours + how, TASKS, IDEAL, at_most=5.0),
                Overhead(ours + how, TASKS, IDEAL, peer=theirs + how),
            ]
    return tuple(found)


CASE = Case(
    f"(i) 1 000 tasks of 50 ms of Python on clusters of this machine: {IDEAL:g} s if they cost nothing",
    "A worker a core. Overhead is what the job takes beyond that, divided by the tasks. *Asleep*: a task only waits, "
    "so the cores are left to drivers and schedulers, and the overhead is what passes between two tasks of a slot. "
    "*Computing*: a task takes 50 ms of processor time, so all that driver and scheduler take from the cores counts "
    "too, and so does whatever else the machine does. Clusters, slots and a first job of 20 tasks are left out. "
    "Shardwise gets one item a task, and commits each to a run directory; the others keep results in memory.",
    generate,
    targets=_targets(),
)


def _items(data: Path) -> list[int]:
    return list(range(int((data / "tasks").read_text())))


def _measured(work: Callable[[list[int]], Any], data: Path, clock: Clock) -> Any:
    items = _items(data)
    work(items[:WARM])
    with clock:
        results = list(work(items))
    return [len(results), sum(results), *results[::100]]


Task = Callable[[int], int]


def _ours(engine_name: str) -> Callable[[Task, Path, Clock], Any]:
    def work(task: Task, data: Path, clock: Clock) -> Any:
        import shardwise as sw

        with shardwise_on(engine_name) as engine, tempfile.TemporaryDirectory() as runs:

            def collect(items: list[int]) -> list[int]:
                job = sw.from_items(items).map_items(task).collect()
                run_dir = str(Path(runs, str(len(items))))
                done = job.run(engine=engine, workers=usable(), shard_size=1, run_dir=run_dir, speculate=False)
                assert done.run.tasks == len(items)
                return list(done.to_list())

            return _measured(collect, data, clock)

    return work


def _dask(task: Task, data: Path, clock: Clock) -> Any:
    with dask_client() as client:
        return _measured(lambda items: client.gather(client.map(task, items, pure=False)), data, clock)


def _ray(task: Task, data: Path, clock: Clock) -> Any:
    with ray_started() as ray:
        remote = ray.remote(task)
        return _measured(lambda items: ray.get([remote.remote(x) for x in items]), data, clock)


def _spark(task: Task, data: Path, clock: Clock) -> Any:
    with spark_session() as session:
        context = session.sparkContext
        return _measured(lambda items: context.parallelize(items, len(items)).map(task).collect(), data, clock)


def _register() -> None:
    theirs = {
        "dask": (_dask, "`client.gather(client.map(f, items))`", "distributed"),
        "ray": (_ray, "`ray.get([f.remote(x) for x in items])`", "ray"),
        "spark": (_spark, "an RDD of as many partitions as items, `map(f).collect()`", "pyspark"),
    }
    for how, task in ((", asleep", asleep), (", computing", computing)):
        for engine, (ours, peer) in PAIRS.items():
            work, said, library = theirs[engine]
            one_item = "`from_items(items).map_items(f).collect().run(shard_size=1)`"
            CASE.peer(ours + how, one_item, "shardwise", library, rounds=3)(_bound(_ours(engine), task))
            CASE.peer(peer + how, said, library, rounds=3)(_bound(work, task))


def _bound(work: Callable[[Task, Path, Clock], Any], task: Task) -> Callable[[Path, Clock], Any]:
    return lambda data, clock: work(task, data, clock)


_register()
