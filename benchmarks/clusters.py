"""Clusters of this machine, one core a slot, that peers of a library and Shardwise use alike; and slots that are up."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.cores import usable
from shardwise.engines.lending import LendingEngine
from shardwise.engines.protocol import EngineEvent, SlotDown, SlotUp, Want


@contextlib.contextmanager
def dask_client() -> Iterator[Any]:
    """A client of a cluster with a process of one thread for each core."""
    from distributed import Client, LocalCluster

    options = {"n_workers": usable(), "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@contextlib.contextmanager
def ray_started() -> Iterator[Any]:
    """The module ``ray``, connected to a node with a CPU for each core."""
    import ray

    from shardwise.engines.ray_cluster import loopback

    with loopback(True):
        ray.init(
            num_cpus=usable(),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            logging_level="ERROR",
            log_to_driver=False,
        )
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def spark_session() -> Iterator[Any]:
    """A session with a thread for each core, and as many partitions after a shuffle."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(f"local[{usable()}]").config("spark.driver.host", "127.0.0.1")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", str(usable())).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


@contextlib.contextmanager
def shardwise_on(name: str) -> Iterator[SlotsUp]:
    """An engine on such a cluster, whose slots are up."""
    with contextlib.ExitStack() as cluster, SlotsUp(_engine(name, cluster), usable()) as engine:
        yield engine


def _engine(name: str, cluster: contextlib.ExitStack) -> LendingEngine:
    if name == "dask":
        from shardwise.engines.dask import DaskEngine

        return DaskEngine(cluster.enter_context(dask_client()))
    if name == "ray":
        from shardwise.engines.ray import RayEngine

        cluster.enter_context(ray_started())
        return RayEngine("auto")
    from shardwise.engines.spark import SparkEngine

    return SparkEngine(cluster.enter_context(spark_session()))


class SlotsUp:
    """An engine that stays open from job to job, so that a job finds its slots up.

    Parameters
    ----------
    engine : Engine
        Opened here.
    slots : int
        All of them are waited for.
    """

    def __init__(self, engine: LendingEngine, slots: int) -> None:
        self.name, self.reach = engine.name, engine.reach
        self.reads_ahead = getattr(engine, "reads_ahead", False)
        self._engine = engine
        self._slots = slots
        self._up: dict[int, SlotUp] = {}
        self._told: list[EngineEvent] = []

    def __enter__(self) -> SlotsUp:
        self._engine.open(Want(self._slots))
        deadline = time.monotonic() + 120
        while len(self._up) < self._slots and time.monotonic() < deadline:
            self.wait(1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def open(self, want: Want) -> None:
        """Tell of the slots that are up."""
        self._told = list(self._up.values())

    def put(self, blob: bytes) -> str:
        """As the engine does."""
        return self._engine.put(blob)

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """As the engine does."""
        self._engine.send(slot, task, memory)

    def recall(self, slot: int, attempt: int) -> None:
        """As the engine does."""
        self._engine.recall(slot, attempt)

    def kill(self, slot: int) -> None:
        """As the engine does."""
        self._engine.kill(slot)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """As the engine does; first those that are up."""
        if self._told:
            events, self._told = self._told, []
            return events
        events = self._engine.wait(timeout)
        for event in events:
            if isinstance(event, SlotUp):
                self._up[event.slot] = event
            elif isinstance(event, SlotDown):
                self._up.pop(event.slot, None)
        return events

    def close(self) -> None:
        """Not yet."""
