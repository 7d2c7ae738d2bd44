"""A cluster's own parts killed or stopped under way, and its drivers: same bytes, or an error that says how to go on.

Each test has a cluster of its own, which it leaves in pieces.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from clusters import CLUSTERS, Cluster, dask_cluster, ray_cluster, skip_where_missing, spark_cluster
from faults.place import BATCH, ROWS, Place, await_that, make_data
from processes import PATIENCE, gone, kill_tree

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
ENGINES = ("dask", "ray", "spark")
HALF_WAY = f"1:{ROWS // BATCH // 2}"
SLOTS = "3"  # more than one node of any of these clusters lends


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return make_data(tmp_path / "data", SEED, files=3)


@pytest.fixture(params=ENGINES)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    skip_where_missing(request.param)
    with CLUSTERS[request.param]() as started:
        yield started


@contextlib.contextmanager
def at_work(place: Place, cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
    """A driver that has committed something, and whose workers wait at a gate for as long as the block lasts."""
    with place.gate(HALF_WAY):
        driver = place.start(engine=cluster.url, workers=SLOTS, shard_size="3kB")
        try:
            await_that(lambda: place.committed() and HALF_WAY in place.seen(), driver)
            yield driver
        except BaseException:
            driver.kill()
            raise


def said(driver: subprocess.Popen[str]) -> tuple[str, str]:
    """What a driver printed until its end, which comes."""
    try:
        return driver.communicate(timeout=3 * PATIENCE)
    except subprocess.TimeoutExpired:
        driver.kill()
        raise AssertionError(f"the driver hangs:\n{driver.communicate()[1]}") from None


def command(process: psutil.Process) -> str:
    """How a process was started; nothing of one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def whole(tmp_path: Path, data: Path, kind: str = "aggregate") -> str:
    return Place(tmp_path / "whole", kind, data, "inline").finish()[0]


def agents(place: Place) -> list[psutil.Process]:
    """Processes of the cluster's own in which the slots of a driver at work are."""
    found = {}
    for pid in place.pids():
        with contextlib.suppress(psutil.NoSuchProcess):
            process: psutil.Process | None = psutil.Process(pid)
            while process is not None and (process.pid in place.pids() or "fork_server" in command(process)):
                process = process.parent()
            if process is not None:
                found[process.pid] = process
    return list(found.values())


def kill_the_hosts(place: Place, cluster: Cluster) -> None:
    """The processes that slots are in: workers of Dask and Ray, Python of Spark's executors."""
    for host in agents(place):
        host.kill()


def kill_a_node(place: Place, cluster: Cluster) -> None:
    """A nanny, a raylet, a worker of Spark, with all that it has started."""
    kill_tree(cluster.nodes[-1].pid)
    cluster.nodes.pop().wait()


def kill_what_decides_on_a_node(place: Place, cluster: Cluster) -> None:
    """The nanny, the raylet, Spark's worker alone: what it has started sees that, or goes on."""
    node = psutil.Process(cluster.nodes[-1].pid)
    raylets = [child for child in node.children(recursive=True) if child.name() == "raylet"]
    (raylets or [node])[0].kill()
    cluster.nodes.pop().wait()


def kill_the_executors(place: Place, cluster: Cluster) -> None:
    """Spark's executors; elsewhere that is what slots are in."""
    executors = [
        child
        for node in cluster.nodes
        for child in psutil.Process(node.pid).children(recursive=True)
        if "CoarseGrainedExecutorBackend" in command(child)
    ]
    for process in executors or agents(place):
        process.kill()


def stop_the_hosts(place: Place, cluster: Cluster) -> None:
    """One of the processes that slots are in stops, and never goes on."""
    agents(place)[0].suspend()


@pytest.mark.parametrize("fault", [kill_the_hosts, kill_a_node, kill_what_decides_on_a_node, kill_the_executors])
def test_parts_that_die_cost_attempts_and_nothing_else(
    fault: Callable[[Place, Cluster], None], cluster: Cluster, data: Path, tmp_path: Path
) -> None:
    place = Place(tmp_path / "run", "aggregate", data)
    with at_work(place, cluster) as driver:
        committed, before = place.committed(), place.seen()
        fault(place, cluster)
    out, err = said(driver)
    assert out, err
    assert out.split()[0] == whole(tmp_path, data)
    assert not committed & set(place.seen() - before), "committed batches ran again"
    assert not place.committed_twice()
    assert all(gone(pid) for pid in place.pids())


def test_a_stopped_host_of_a_slot_is_given_up(cluster: Cluster, data: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "run", "aggregate", data)
    with at_work(place, cluster) as driver:
        stop_the_hosts(place, cluster)
    out, err = said(driver)
    assert out, err
    assert out.split()[0] == whole(tmp_path, data)
    assert not place.committed_twice()


@pytest.mark.parametrize("name, then", [("dask", "dask"), ("dask", "local:2"), ("ray", "local:2")])
def test_a_dead_head_is_told_and_the_run_goes_on(name: str, then: str, data: Path, tmp_path: Path) -> None:
    """On the same engine, once it is back, or on another one."""
    place = Place(tmp_path / "run", "aggregate", data)
    skip_where_missing(name)
    with dask_cluster() if name == "dask" else ray_cluster(joins=False) as cluster:
        with at_work(place, cluster) as driver:
            (head,) = cluster.heads
            kill_tree(head.pid)
            out, err = said(driver)
        assert not out
        assert "EngineError" in err, err
        assert "is gone" in err, err
        assert "the same command finishes the run" in err, err
        assert all(gone(pid) for pid in place.pids()), "a worker outlived its cluster"
    committed, before = place.committed(), place.seen()
    with contextlib.ExitStack() as again:
        engine = again.enter_context(CLUSTERS[then]()).url if then in CLUSTERS else then
        digest, _, resumed = place.finish(engine=engine, shard_size="40kB")
    assert digest == whole(tmp_path, data)
    assert resumed
    assert not committed & set(place.seen() - before), "committed batches ran again"


def test_a_job_outlives_the_master_of_spark_and_a_new_one_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its executors need no master until one of them is lost."""
    skip_where_missing("spark")
    place = Place(tmp_path / "run", "aggregate", data)
    with spark_cluster(joins=False) as cluster:
        with at_work(place, cluster) as driver:
            (head,) = cluster.heads
            kill_tree(head.pid)
        out, err = said(driver)
        assert out, err
        assert out.split()[0] == whole(tmp_path, data)
        assert not place.committed_twice()
        monkeypatch.delenv("SHARDWISE_PATIENCE", raising=False)
        late = Place(tmp_path / "late", "aggregate", data).start(engine=cluster.url, workers="1")
        out, err = said(late)
    assert not out
    assert "EngineError" in err, err
    assert "no Spark " in err, err
    assert "at spark://" in err, err


def test_a_killed_driver_holds_no_slot(cluster: Cluster, data: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "run", "write", data)
    assert cluster.held() == 0
    with at_work(place, cluster) as driver:
        assert cluster.held() > 0
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        committed = place.committed()
        cluster.until(lambda: cluster.held() == 0)
        assert all(gone(pid) for pid in place.pids()), "a worker outlived its driver"
    assert place.committed() == committed, "a commit came after its driver was killed"
    assert place.finish(engine="local:2")[0] == whole(tmp_path, data, "write")
