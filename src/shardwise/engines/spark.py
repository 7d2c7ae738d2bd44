"""Slots of a Spark cluster: jobs of one partition that run as long as the engine is open, and hold a core each.

Spark places them, lets them wait where it has no core, and runs a partition anew when its executor is gone. An agent in
it dials the driver (`channel`), because a Spark job for each task would take a tenth of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shardwise.engines.agent import Terms
from shardwise.engines.channel import Door, lend
from shardwise.engines.dialled import LOOPBACK, DialledEngine
from shardwise.engines.lending import GOES_ON, PATIENCE_SECONDS, STILLBORN
from shardwise.engines.needs import Need, java, setting
from shardwise.engines.room import Room, active_context, executors_of, of_context
from shardwise.engines.shipping import SHIP_OURS, packed
from shardwise.engines.spark_context import connected, has_stopped, reason
from shardwise.errors import EngineError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession


class SparkEngine(DialledEngine):
    """Lends slots of a Spark cluster.

    Parameters
    ----------
    cluster : str or pyspark.sql.SparkSession
        A master (``local``, ``spark://host:7077``, ``yarn``), or a session of yours, which stays. Where this process
        has a Spark context already, that one is used, and stays.
    patience : float
        Seconds until a cluster that lends no slot is given up.
    """

    name = "spark"
    library = "pyspark"
    oldest = "4.0"

    def __init__(self, cluster: str | SparkSession = "local", patience: float = PATIENCE_SECONDS) -> None:
        super().__init__(patience=patience)
        context = active_context()
        elsewhere = context is not None and not context.master.startswith("local")
        self.reach = "host" if cluster == "local" and not elsewhere else "network"
        self._cluster = cluster
        self._context: SparkContext | None = None

    def needs(self) -> list[Need]:
        """PySpark, and what starts a Spark here, where this process has none yet."""
        needs = super().needs()
        if isinstance(self._cluster, str) and active_context() is None:
            needs.append(java(17))
            if self._cluster == "yarn":
                fix = "let one of them name the directory with the cluster's core-site.xml and yarn-site.xml"
                needs.append(setting("YARN's addresses", "HADOOP_CONF_DIR", "YARN_CONF_DIR", fix=fix))
        return needs

    def room(self) -> Room | None:
        """Known while this process has a context; executors that come later count from then on."""
        context = active_context()
        return None if context is None else of_context(context)

    def _lend(self) -> None:
        self._context = None
        with connected(self._cluster, self._want.slots) as context:
            self._context = context
            if self._shipped:  # for as long as the context: executors that come later fetch it, too
                context.addPyFile(str(packed(self._shipped, context._temp_dir)))
            settings = context.getConf()
            host = settings.get("spark.driver.host") or LOOPBACK
            asyncio.run(self._serve(settings.get("spark.driver.bindAddress") or host, host))

    async def _occupy(self, door: Door) -> None:
        context = self._context
        assert context is not None
        group = f"shardwise-{uuid.uuid4().hex}"
        seats = [
            threading.Thread(target=self._sit, args=(context, group, door), name="shardwise-seat", daemon=True)
            for _ in range(self._slots)
        ]
        try:
            for seat in seats:
                seat.start()
            self._asked()
            while not await asyncio.to_thread(self._closing.wait, 1.0):
                pass
        finally:
            self._board.close()  # who has only just begun ends as well
            with contextlib.suppress(Exception):
                context.cancelJobGroup(group)
            for seat in seats:
                await asyncio.to_thread(seat.join, 5.0)

    def _sit(self, context: SparkContext, group: str, door: Door) -> None:
        """Keep one slot: begin its job anew whenever it ends."""
        in_vain, leaving = 0, self._leaving
        while not leaving.is_set():
            began, lent = time.monotonic(), self._lent.ever
            try:
                context.setJobGroup(group, "slots of Shardwise", interruptOnCancel=True)
                slot = context.parallelize([0], 1)
                slot.foreachPartition(functools.partial(serve, door, self._terms))
            except Exception as error:
                in_vain = 0 if self._lent.ever > lent or time.monotonic() - began > self.patience else in_vain + 1
                if leaving.is_set():
                    return
                if hopeless := self._hopeless(context, error, in_vain):
                    self._fail(hopeless)
                    return

    @staticmethod
    def _hopeless(context: SparkContext, error: Exception, in_vain: int) -> EngineError | None:
        """Why no slot will come any more, after a job has ended with an error. None: one may."""
        if has_stopped(context):
            gone = f"no Spark is left at {context.master}: its context was stopped"
            return EngineError(gone, f"see that its master runs; {GOES_ON}")
        lacks = "ModuleNotFoundError" in str(error)
        if in_vain < STILLBORN and not lacks:
            return None
        fix = "install the same Shardwise for Spark's executors, " + SHIP_OURS if lacks else "mend that"
        return EngineError(f"Spark cannot lend slots: {reason(error)}", f"{fix}; {GOES_ON}")

    def _offer(self) -> str:
        if self._context is None:
            return f"no Spark has answered at {self._cluster}"
        memory = self._context.getConf().get("spark.executor.memory", "1g")
        return f"its master {self._context.master} gave {executors_of(self._context)} executors of {memory}"


def serve(door: Door, terms: Terms, _: Iterable[Any]) -> None:
    """The partition that is a slot."""
    lend(door, terms)
