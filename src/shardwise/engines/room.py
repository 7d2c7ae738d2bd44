"""What a cluster has, read from what each cluster tells of itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has in all, whoever uses it now.

    Parameters
    ----------
    slots : int
        That it could lend if nobody else used it.
    nodes : int
        Its own processes, or hosts, that lend.
    cpus, gpus : float
        In its own words: a thread that a worker offers, or a core.
    memory : int
        Bytes; 0: it does not say.
    """

    slots: int
    nodes: int
    cpus: float
    memory: int = 0
    gpus: float = 0


def of_workers(workers: Iterable[Mapping[str, Any]], resources: Mapping[str, float]) -> Room:
    """Of what a scheduler of Dask tells of its workers.

    Examples
    --------
    >>> two = [{"nthreads": 4, "memory_limit": 1 << 30, "resources": {"GPU": 1}}, {"nthreads": 2, "resources": {}}]
    >>> of_workers(two, {})
    Room(slots=6, nodes=2, cpus=6, memory=1073741824, gpus=1)
    >>> of_workers(two, {"GPU": 1}).slots
    1
    """
    has = [{"threads": worker["nthreads"], **worker["resources"]} for worker in workers]
    memory = sum(worker.get("memory_limit") or 0 for worker in workers)
    return Room(_fitting(has, {"threads": 1, **resources}), len(has), _sum(has, "threads"), memory, _sum(has, "GPU"))


def of_nodes(nodes: Iterable[Mapping[str, Any]], resources: Mapping[str, float]) -> Room:
    """Of what Ray tells of its nodes.

    Examples
    --------
    >>> nodes = [{"Alive": True, "Resources": {"CPU": 4.0, "memory": 2e9}}, {"Alive": False, "Resources": {"CPU": 8.0}}]
    >>> of_nodes(nodes, {"memory": 1e9})
    Room(slots=2, nodes=1, cpus=4.0, memory=2000000000, gpus=0)
    """
    has = [node["Resources"] for node in nodes if node["Alive"]]
    asked = {"CPU": 1, **resources}
    return Room(_fitting(has, asked), len(has), _sum(has, "CPU"), int(_sum(has, "memory")), _sum(has, "GPU"))


def of_context(context: Any) -> Room:
    """Of a context of Spark: what its executors have, as far as they have come."""
    cores, executors = int(context.defaultParallelism), max(1, executors_of(context))
    return Room(cores, executors, cores, executors * spark_size(context.getConf().get("spark.executor.memory") or "1g"))


def executors_of(context: Any) -> int:
    """How many there are beside the driver itself."""
    return int(context._jsc.sc().getExecutorMemoryStatus().size()) - 1


def active_context() -> Any | None:
    """The context of Spark that this process has, if it has one; nothing is imported for that."""
    pyspark = sys.modules.get("pyspark")
    return None if pyspark is None else pyspark.SparkContext._active_spark_context


def spark_size(text: str) -> int:
    """Bytes of a size as Spark writes it; a bare number is of mebibytes.

    Examples
    --------
    >>> spark_size("512m"), spark_size("1g"), spark_size("2GB"), spark_size("512")
    (536870912, 1073741824, 2147483648, 536870912)
    """
    number = text.strip().lower().removesuffix("b")
    unit = number[-1] if number[-1] in "kmgtp" else "m"
    return int(number.rstrip("kmgtp")) << (10 * ("kmgtp".index(unit) + 1))


def _fitting(has: Iterable[Mapping[str, float]], asked: Mapping[str, float]) -> int:
    return sum(int(min(node.get(name, 0) // n for name, n in asked.items() if n)) for node in has)


def _sum(has: Iterable[Mapping[str, float]], name: str) -> float:
    return sum(node.get(name, 0) for node in has)
