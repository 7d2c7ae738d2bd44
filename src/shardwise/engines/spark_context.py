"""Which Spark context lends: the person's, that of this process, or one of our own, which is stopped in the end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardwise.engines.children import module_path
from shardwise.errors import EngineError

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession


@contextlib.contextmanager
def connected(cluster: str | SparkSession, slots: int) -> Iterator[SparkContext]:
    """A context on a cluster, for so many slots; 0: for all that it has."""
    from pyspark import SparkContext

    if not isinstance(cluster, str):
        if "connect" in type(cluster).__module__:
            raise EngineError(
                "a session of Spark Connect has no Spark context, and only that can lend slots",
                "give a session of SparkSession.builder.master(...), or the master's URL (spark://host:7077)",
            )
        yield cluster.sparkContext
        return
    if SparkContext._active_spark_context is not None:
        yield SparkContext.getOrCreate()
        return
    context = _start(cluster, slots)
    try:
        yield context
    finally:
        context.stop()


def settings_for(master: str, slots: int) -> SparkConf:
    """How a context of our own is made."""
    from pyspark import SparkConf

    settings = SparkConf().setAppName("shardwise")
    if slots:
        settings.set("spark.cores.max", str(slots))
    if slots and master == "yarn":  # which knows nothing of cores.max, and gives two executors of a core
        settings.setIfMissing("spark.executor.instances", str(slots))
    settings.setIfMissing("spark.ui.enabled", "false").setIfMissing("spark.log.level", "ERROR")
    settings.setIfMissing("spark.ui.showConsoleProgress", "false")
    if master == "local":
        master = f"local[{slots}]"
        settings.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
        settings.set("spark.executorEnv.PYTHONPATH", os.pathsep.join(module_path()))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return settings.setMaster(master)


def _start(master: str, slots: int) -> SparkContext:
    from pyspark import SparkContext

    try:
        return SparkContext(conf=settings_for(master, slots))
    except Exception as error:
        raise EngineError(f"no Spark answers at {master}: {reason(error)}", "see that it runs there") from error


def has_stopped(context: SparkContext) -> bool:
    """Whether a context was stopped: by this process, or by its JVM, as where no master answers any more."""
    try:
        return context._jsc is None or bool(context._jsc.sc().isStopped())
    except Exception:  # the JVM is gone
        return True


def reason(error: BaseException) -> str:
    """What the long text of an exception of Spark's says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "Exception" in line]
    return f"{type(error).__name__}: {(telling or lines or ['no reason given'])[-1][:500]}"
