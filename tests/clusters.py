"""Clusters of separate processes on 127.0.0.1, for tests: started once, killed for sure."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from processes import PATIENCE, kill_tree

SLOTS = 4


@dataclass
class Cluster:
    """Processes of a cluster. ``heads`` decide, ``nodes`` lend."""

    url: str
    directory: Path
    heads: list[subprocess.Popen[bytes]] = field(default_factory=list)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    client: str = ""  # a second way to it
    held: Callable[[], int] = lambda: 0  # asks it how many slots (threads, CPUs, cores) others than this process hold

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
            kill_tree(process.pid)
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
            options = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
            dask = [sys.executable, "-m", "dask"]
            cluster.heads.append(
                cluster.start([*dask, "scheduler", *options, "--port", "0", "--scheduler-file", str(found)])
            )
            cluster.until(lambda: found.exists() and found.read_text().endswith("}"))
            address = json.loads(found.read_text())["address"]
            for _ in range(nodes):
                add_dask_node(cluster, address)
            _await_dask_nodes(address, nodes)
            cluster.url = "dask:" + address.removeprefix("tcp:")
            cluster.held = lambda: _held_by_dask(address)
            yield cluster
        finally:
            cluster.kill()


def _await_dask_nodes(address: str, nodes: int) -> None:
    """Slots that are asked for while only one node is known are all placed there."""
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(nodes, timeout=PATIENCE) if nodes else None


def _held_by_dask(address: str) -> int:
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        return sum(map(len, client.processing().values()))


def add_dask_node(cluster: Cluster, address: str, *more: str) -> subprocess.Popen[bytes]:
    options = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--local-directory", str(cluster.directory)]
    node = cluster.start(
        [sys.executable, "-m", "dask", "worker", address, *options, "--nworkers", "1", "--nthreads", "2", *more]
    )
    cluster.nodes.append(node)
    return node


RAY = """
import sys
import ray._private.services as services
services.resolve_ip_for_localhost = services.get_node_ip_address = lambda *_: "127.0.0.1"
sys.argv = ["ray", *sys.argv[1:]]
from ray.scripts.scripts import main
main()
"""
"""Ray's command line takes every address for this machine's own on the network; here it is loopback."""


@contextlib.contextmanager
def ray_cluster(nodes: int = 1, joins: bool = True) -> Iterator[Cluster]:
    """A head and nodes of two CPUs each. This process ``joins`` it as long as it lives: Ray ends it with its head."""
    with _directory() as directory, pytest.MonkeyPatch.context() as patch:
        # Without "clusters" Ray binds to loopback only.
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        cluster = Cluster("ray://auto", directory)
        port = free_port()
        try:
            client = ["--ray-client-server-port", str(free_port())]
            head = [*client, "--head", "--port", str(port), "--include-dashboard", "false"]
            cluster.heads.append(_ray_node(cluster, [*head, "--temp-dir", str(directory / "r")]))
            cluster.until(lambda: _listens(port))
            for _ in range(nodes):
                add_ray_node(cluster, port)
            cluster.until(lambda: cluster.log().count("Ray runtime started") > nodes)
            patch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
            cluster.client = f"ray://127.0.0.1:{client[1]}"
            if not joins:
                yield cluster
                return
            import ray

            ray.init("auto", log_to_driver=False)
            cluster.held = lambda: int(ray.cluster_resources()["CPU"] - ray.available_resources().get("CPU", 0))
            yield cluster
        finally:
            if joins and "ray" in sys.modules:
                sys.modules["ray"].shutdown()
            cluster.kill()


def add_ray_node(cluster: Cluster, port: int) -> subprocess.Popen[bytes]:
    cluster.nodes.append(_ray_node(cluster, ["--address", f"127.0.0.1:{port}"], clusters="1"))
    return cluster.nodes[-1]


def _ray_node(cluster: Cluster, options: list[str], clusters: str = "0") -> subprocess.Popen[bytes]:
    sizes = ["--num-cpus", "2", "--object-store-memory", "80000000"]
    command = [sys.executable, "-c", RAY, "start", "--block", "--node-ip-address", "127.0.0.1", *sizes, *options]
    return cluster.start(command, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=clusters)


@contextlib.contextmanager
def spark_cluster(nodes: int = 2, joins: bool = True) -> Iterator[Cluster]:
    """A standalone master and workers of four cores. This process ``joins`` it, by a context as long as it lives."""
    from pyspark import SparkConf, SparkContext

    with _directory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        port, page = free_port(), free_port()
        cluster = Cluster(f"spark://127.0.0.1:{port}", directory)
        try:
            master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--webui-port", str(page)]
            cluster.heads.append(_spark(cluster, *master, "--port", str(port)))
            cluster.until(lambda: _listens(port))
            for _ in range(nodes):
                add_spark_node(cluster, port)
            cluster.until(lambda: cluster.log().count("Registering worker") >= nodes)
            cluster.held = lambda: _held_by_spark(page)
            if not joins:
                yield cluster
                return
            settings = SparkConf().setMaster(cluster.url).setAppName("tests").set("spark.cores.max", str(SLOTS))
            for name in ("spark.driver.host", "spark.driver.bindAddress"):
                settings.set(name, "127.0.0.1")
            for name in ("spark.ui.enabled", "spark.ui.showConsoleProgress"):
                settings.set(name, "false")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                context = SparkContext(conf=settings.set("spark.log.level", "OFF").set("spark.executor.memory", "512m"))
            try:
                yield cluster
            finally:
                context.stop()
        finally:
            cluster.kill()


def _held_by_spark(page: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=PATIENCE) as answer:
        apps = json.load(answer)["activeapps"]
    return sum(app["cores"] for app in apps if app["name"] != "tests")


def add_spark_node(cluster: Cluster, port: int) -> subprocess.Popen[bytes]:
    sizes = ["--cores", "4", "--memory", "4g", "--webui-port", "0", "--work-dir", str(cluster.directory / "work")]
    worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", *sizes, f"spark://127.0.0.1:{port}"]
    cluster.nodes.append(_spark(cluster, *worker))
    return cluster.nodes[-1]


def _spark(cluster: Cluster, *command: str) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    return cluster.start([str(home / "bin" / "spark-class"), *command], SPARK_HOME=str(home))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1.0).close()
        return True
    return False


CLUSTERS: dict[str, Callable[[], contextlib.AbstractContextManager[Cluster]]] = {
    "dask": dask_cluster,
    "ray": ray_cluster,
    "spark": spark_cluster,
}
LIBRARIES = {
    "dask": "distributed",
    "ray": "ray",
    "spark": "pyspark",
    "joblib": "joblib",
    "process_pool": "multiprocessing",
}


def skip_where_missing(engine: str) -> None:
    """Skip the test where an engine cannot be had."""
    library = LIBRARIES.get(engine)
    if library and "SHARDWISE_CLUSTERS" not in os.environ:
        pytest.skip("clusters and pools take minutes, and the whole machine: `make clusters` starts them")
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

    def started(self, name: str) -> Cluster:
        return self._started[name]

    def close(self) -> None:
        self._stack.close()
