"""Clusters of separate processes on 127.0.0.1, for tests: started once, killed for sure."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PATIENCE = float(os.environ.get("SHARDWISE_PATIENCE", "60"))
SLOTS = 4


@dataclass
class Cluster:
    """Processes of a cluster. ``heads`` decide, ``nodes`` lend."""

    url: str
    directory: Path
    heads: list[subprocess.Popen[bytes]] = field(default_factory=list)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        log = open(self.directory / f"{len(self.heads) + len(self.nodes)}.log", "wb")  # noqa: SIM115
        with log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
                start_new_session=True,
                preexec_fn=_die_with_us,
                cwd=self.directory,
            )

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.directory.glob("*.log")))

    def until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, f"the cluster did not start:\n{self.log()}"
            for process in (*self.heads, *self.nodes):
                assert process.poll() is None, f"a process of the cluster ended:\n{self.log()}"
            time.sleep(0.05)

    def kill(self) -> None:
        for process in (*self.nodes, *self.heads):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sw-"))  # short: sockets lie in it
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def dask_cluster(nodes: int = 2) -> Iterator[Cluster]:
    """A scheduler and workers of two threads each."""
    with _directory() as directory:
        cluster = Cluster("", directory)
        try:
            found = directory / "scheduler.json"
            options = ["--host", "127.0.0.1", "--no-dashboard"]
            dask = [sys.executable, "-m", "dask"]
            cluster.heads.append(
                cluster.start([*dask, "scheduler", *options, "--port", "0", "--scheduler-file", str(found)])
            )
            cluster.until(lambda: found.exists() and found.read_text().endswith("}"))
            address = json.loads(found.read_text())["address"]
            for _ in range(nodes):
                add_dask_node(cluster, address)
            cluster.url = "dask:" + address.removeprefix("tcp:")
            yield cluster
        finally:
            cluster.kill()


def add_dask_node(cluster: Cluster, address: str, *more: str) -> subprocess.Popen[bytes]:
    options = ["--host", "127.0.0.1", "--no-dashboard", "--local-directory", str(cluster.directory)]
    node = cluster.start(
        [sys.executable, "-m", "dask", "worker", address, *options, "--nworkers", "1", "--nthreads", "2", *more]
    )
    cluster.nodes.append(node)
    return node


CLUSTERS: dict[str, Callable[[], contextlib.AbstractContextManager[Cluster]]] = {"dask": dask_cluster}
LIBRARIES = {"dask": "distributed", "ray": "ray", "spark": "pyspark"}


def skip_where_missing(engine: str) -> None:
    """Skip the test where an engine cannot be had."""
    library = LIBRARIES.get(engine)
    if library and importlib.util.find_spec(library) is None:
        pytest.skip(f'{library} is not installed (pip install "shardwise[{engine}]")')
    if engine == "spark" and shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("there is no Java for Spark")


class Clusters:
    """Those of a test session, each started when it is first asked for."""

    def __init__(self) -> None:
        self._started: dict[str, Cluster] = {}
        self._stack = contextlib.ExitStack()

    def url(self, engine: str) -> str:
        """URL of an engine: ``dask-cluster`` is that of a cluster of processes, ``dask`` is as it stands."""
        name, _, kind = engine.partition("-")
        skip_where_missing(name)
        if not kind:
            return engine
        if name not in self._started:
            self._started[name] = self._stack.enter_context(CLUSTERS[name]())
        return self._started[name].url

    def close(self) -> None:
        self._stack.close()
