"""Jobs on clusters, and what they do when the cluster fails them. One cluster an engine, shared by the session."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import shardwise as sw
from clusters import SLOTS, Clusters, add_dask_node, dask_cluster, skip_where_missing
from processes import PATIENCE, gone, kill_tree
from shardwise.engines import handshake
from shardwise.engines.agent import Agent, Terms
from shardwise.engines.pool import PoolEngine
from shardwise.engines.protocol import Engine, EngineEvent, SlotDown, SlotUp, Want
from shardwise.engines.registry import make_engine
from shardwise.errors import EngineError, MissingExtra, UsageError
from shardwise.plan.probe import probe_cluster
from shardwise.storage import Trusted, entrusted

ENGINES = ["dask", "ray", "spark"]


def slow_speed(row: dict[str, Any]) -> float:
    return float(row["distance"]) / float(row["hours"])


def job(trips: str) -> Any:
    table = sw.read_parquet(f"{trips}/*.parquet").with_columns(speed="distance / hours")
    return table.group_by("zone").aggregate(sw.count(), mean=sw.mean("speed"), p95=sw.approx_quantile("speed", 0.95))


def until(engine: Engine, kind: type[EngineEvent], count: int = 1) -> list[Any]:
    """Events of a kind, as soon as there are so many."""
    found: list[Any] = []
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE, deadline.set)
    timer.start()
    try:
        while len(found) < count:
            assert not deadline.is_set(), f"no {kind.__name__} within {PATIENCE} s"
            found += [event for event in engine.wait(1.0) if isinstance(event, kind)]
    finally:
        timer.cancel()
    return found


@pytest.mark.parametrize("name", ENGINES)
def test_the_same_bits_as_inline(name: str, clusters: Clusters, trips: str, tmp_path: Path) -> None:
    url = clusters.url(f"{name}-cluster")
    here = job(trips).run(engine="inline").to_arrow()
    there = job(trips).run(engine=url, workers=2, run_dir=str(tmp_path / "run"), shard_size="16kB")
    assert there.to_arrow().equals(here)
    assert not list((tmp_path / "run").glob("_attempts/hello-*"))


@pytest.mark.parametrize("name", ENGINES)
def test_functions_give_the_same_items(name: str, clusters: Clusters, tmp_path: Path) -> None:
    def square(x: int) -> int:
        return x * x

    items = sw.from_items(list(range(100))).map_items(square).collect()
    there = items.run(engine=clusters.url(f"{name}-cluster"), workers=2, run_dir=str(tmp_path / "run"))
    assert there.to_list() == [x * x for x in range(100)]


def test_a_run_goes_on_on_other_engines(clusters: Clusters, trips: str, tmp_path: Path) -> None:
    def run(engine: str, **options: Any) -> Any:
        return job(trips).run(engine=engine, workers=2, run_dir=str(tmp_path / "run"), **options)

    run("local:2", first="30%", shard_size="16kB")
    run(clusters.url("dask-cluster"), first="70%", shard_size="40kB")
    whole = run(clusters.url("spark-cluster"), shard_size="24kB")
    assert whole.to_arrow().equals(job(trips).run(engine="inline").to_arrow())
    assert whole.run.resumed_tasks


@pytest.mark.parametrize("name", ENGINES)
def test_a_cluster_tells_what_it_has(name: str, clusters: Clusters, tmp_path: Path) -> None:
    found = probe_cluster(clusters.url(f"{name}-cluster"), 2, str(tmp_path))
    assert found.ready and found.room is not None
    assert found.room.slots >= 4 and found.room.cpus >= 4 and found.room.memory > 0
    assert sum(host.slots for host in found.hosts) == 2
    assert all(host.versions == handshake.about_this_host()["versions"] for host in found.hosts)


def test_a_cluster_that_can_be_asked_lends_all_that_it_has(clusters: Clusters, tmp_path: Path) -> None:
    items = sw.from_items(list(range(100))).map_items(str).collect()
    done = items.run(engine=clusters.url("dask-cluster"), run_dir=str(tmp_path / "run"))
    assert done.run.workers == 4


def test_slots_take_memory_where_workers_declare_it() -> None:
    skip_where_missing("dask")
    with dask_cluster(nodes=0) as cluster:
        address = "tcp:" + cluster.url.removeprefix("dask:")
        add_dask_node(cluster, address, "--resources", "MEMORY=3e9")
        engine = make_engine(cluster.url)
        try:
            engine.open(Want(2, memory=2 * 10**9))
            until(engine, SlotUp)
            room = engine.room()  # type: ignore[attr-defined]
            assert (room.slots, room.cpus) == (1, 2)
        finally:
            engine.close()


def test_slots_say_how_many_gpus_they_hold() -> None:
    skip_where_missing("dask")
    from shardwise.engines.dask import DaskEngine

    with dask_cluster(nodes=0) as cluster:
        address = "tcp:" + cluster.url.removeprefix("dask:")
        add_dask_node(cluster, address, "--resources", "GPU=1")
        engine = DaskEngine(address, resources={"GPU": 1})
        try:
            engine.open(Want(2))
            (up,) = until(engine, SlotUp)
            assert up.gpus == 1
        finally:
            engine.close()


@pytest.mark.parametrize("url", ["dask://10.0.0.1:8786", "ray://auto", "spark://10.0.0.1:7077", "spark+yarn"])
def test_a_cluster_needs_a_place_that_its_workers_reach(url: str, trips: str) -> None:
    with pytest.raises(UsageError, match="--run-dir"):
        job(trips).run(engine=url)


@pytest.mark.parametrize("name", ENGINES)
def test_a_library_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
    with pytest.raises(MissingExtra, match=rf'pip install "shardwise\[{name}\]"'):
        make_engine(name).open(Want(1))


def test_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = handshake.about_this_host()
    handshake.refuse_if_different(theirs)
    with pytest.raises(EngineError, match=r"there has other versions.*numpy 0\.1 .*\n.*pip install"):
        handshake.refuse_if_different({**theirs, "host": "there", "versions": {**theirs["versions"], "numpy": "0.1"}})
    with pytest.raises(EngineError, match="there computes exp with other bits"):
        handshake.refuse_if_different({**theirs, "host": "there", "canary": {**theirs["canary"], "exp": "0"}})
    with pytest.raises(EngineError, match="there cannot use the run directory: no such place"):
        handshake.refuse_if_different({**theirs, "host": "there", "root_error": "no such place"})
    with pytest.raises(EngineError, match="there cannot read the data: no such file"):
        handshake.refuse_if_different({**theirs, "host": "there", "data_error": "no such file"})


def test_a_host_proves_that_it_uses_the_run_directory(tmp_path: Path) -> None:
    about = handshake.about_this_host()
    proof = handshake.Proof(str(tmp_path))
    with pytest.raises(EngineError, match="another directory"):
        proof.refuse_if_unanswered(about)
    assert "not the same directory" in handshake.answer_proof(str(tmp_path / "other"), proof.nonce, about)
    assert handshake.answer_proof(str(tmp_path), proof.nonce, about) == ""
    proof.refuse_if_unanswered(about)
    (answer,) = tmp_path.rglob(f"{about['host']}-*")
    answer.write_bytes(b"of somebody else")
    with pytest.raises(EngineError, match="another directory"):
        proof.refuse_if_unanswered(about)
    (tmp_path / "other" / "_attempts" / f"hello-{proof.nonce}").mkdir(parents=True)
    (tmp_path / "other" / "_attempts" / f"hello-{proof.nonce}" / "question").write_bytes(b"of somebody else")
    assert "not the same directory" in handshake.answer_proof(str(tmp_path / "other"), proof.nonce, about)
    proof.close()
    (tmp_path / "other" / "_attempts" / f"hello-{proof.nonce}" / "question").unlink()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_host_shows_that_it_has_the_data(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    file.write_bytes(b"12345")
    assert handshake.lacks(str(file), 5) == ""
    assert "has 5 bytes there, and 7 here" in handshake.lacks(str(file), 7)
    assert "No such file" in handshake.lacks(str(tmp_path / "b.parquet"), 5)


def broken(threads: int, monkeypatch: pytest.MonkeyPatch, directory: Path, **change: Any) -> EngineError:
    """What is said of a cluster whose hosts say something else of themselves than they should."""
    from shardwise.engines import agent

    theirs = {**handshake.about_this_host(), **change}
    monkeypatch.setattr(agent, "about_this_host", lambda: theirs)
    with ThreadPoolExecutor(threads) as pool, pytest.raises(EngineError) as caught:
        items = sw.from_items([1, 2, 3]).map_items(str).collect()
        items.run(engine=PoolEngine(pool), workers=threads, run_dir=str(directory), progress=False)
    return caught.value


def test_a_host_that_differs_ends_the_run_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    versions = {**handshake.about_this_host()["versions"], "numpy": "0.1"}
    error = broken(2, monkeypatch, tmp_path / "run", host="there", versions=versions)
    assert "there has other versions than this driver: numpy 0.1" in str(error)
    assert not list((tmp_path / "run").rglob("part-*"))


def test_a_host_that_cannot_even_greet_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shardwise.engines import agent

    def without_numpy() -> dict[str, Any]:
        raise ModuleNotFoundError("No module named 'numpy'")

    monkeypatch.setattr(agent, "about_this_host", without_numpy)
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineError, match="No module named 'numpy'"):
        sw.from_items([1, 2]).map_items(str).collect().run(engine=PoolEngine(pool), workers=1, progress=False)


class Failing(ThreadPoolExecutor):
    """Its workers lack what slots need."""

    def submit(self, *_: Any, **__: Any) -> Any:
        def fail() -> None:
            raise ModuleNotFoundError("No module named 'shardwise'")

        return super().submit(fail)


def test_a_pool_whose_seats_all_fail_is_given_up_before_patience_ends() -> None:
    with Failing(1) as pool, contextlib.closing(PoolEngine(pool, patience=20.0)) as engine:
        engine.open(Want(1))
        with pytest.raises(EngineError, match="cannot lend slots: ModuleNotFoundError: No module named 'shardwise'"):
            until(engine, SlotUp)


def test_an_engine_of_ones_own_serves_job_after_job(tmp_path: Path) -> None:
    items = sw.from_items(list(range(20))).map_items(str).collect()
    with ThreadPoolExecutor(2) as pool:
        engine = PoolEngine(pool)
        for number in range(3):
            done = items.run(engine=engine, workers=2, run_dir=str(tmp_path / str(number)), progress=False)
            assert done.to_list() == list(map(str, range(20)))
        again = items.run(engine=engine, workers=2, redundancy=2, run_dir=str(tmp_path / "twice"), progress=False)
        assert again.to_list() == list(map(str, range(20)))


def test_options_of_the_run_directory_reach_the_agents() -> None:
    terms = Terms(root="memory://runs/1", access=Trusted({"memory://runs/1": {"secret": "word"}}))
    assert "word" not in repr(terms) and "word" not in repr(dataclasses.asdict(terms))
    again = pickle.loads(pickle.dumps(dataclasses.asdict(terms)))
    Agent(Terms(**{**again, "root": ""}))._greeting()
    assert entrusted(["memory://runs/1"]) == {"memory://runs/1": {"secret": "word"}}


def test_what_is_asked_of_yarn() -> None:
    pytest.importorskip("pyspark")
    from shardwise.engines.spark_context import settings_for

    assert settings_for("yarn", 7).get("spark.executor.instances") == "7"
    assert settings_for("spark://host:7077", 7).get("spark.executor.instances") is None


def test_an_engine_that_is_elsewhere_is_not_taken_to_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is connected to a Ray, or a Spark, that was not started here: its nodes may be anywhere."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setattr("shardwise.engines.spark.active_context", lambda: None)
    assert make_engine("ray").reach == make_engine("spark").reach == "host"
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    monkeypatch.setattr("shardwise.engines.spark.active_context", lambda: SimpleNamespace(master="spark://host:7077"))
    assert make_engine("ray").reach == make_engine("spark").reach == "network"


def test_a_session_of_spark_connect_is_refused_by_name() -> None:
    pytest.importorskip("pyspark")
    from shardwise.engines.spark_context import connected

    session = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    with pytest.raises(EngineError, match="Spark Connect"), connected(session, 2):
        pass


def test_an_engine_of_a_client_of_ones_own_serves_job_after_job(clusters: Clusters, tmp_path: Path) -> None:
    url = clusters.url("dask-cluster")
    import distributed

    from shardwise.engines.dask import DaskEngine

    items = sw.from_items(list(range(20))).map_items(str).collect()
    with distributed.Client("tcp:" + url.removeprefix("dask:"), set_as_default=False) as client:
        engine = DaskEngine(client)
        for number in range(2):
            done = items.run(engine=engine, workers=2, run_dir=str(tmp_path / str(number)), progress=False)
            assert done.to_list() == list(map(str, range(20)))
        assert client.submit(abs, -3).result() == 3


def test_a_session_of_ones_own_serves_job_after_job(clusters: Clusters, tmp_path: Path) -> None:
    clusters.url("spark-cluster")
    from pyspark.sql import SparkSession

    from shardwise.engines.spark import SparkEngine

    items = sw.from_items(list(range(20))).map_items(str).collect()
    session = SparkSession.builder.getOrCreate()
    engine = SparkEngine(session)
    for number in range(2):
        done = items.run(engine=engine, workers=2, run_dir=str(tmp_path / str(number)), progress=False)
        assert done.to_list() == list(map(str, range(20)))
    assert session.sparkContext.parallelize([1, 2]).sum() == 3


def test_a_worker_of_dask_that_joins_late_is_used_and_one_that_goes_is_mourned() -> None:
    skip_where_missing("dask")
    with dask_cluster(nodes=1) as cluster:
        engine = make_engine(cluster.url)
        try:
            engine.open(Want(4))
            until(engine, SlotUp, 2)
            late = add_dask_node(cluster, "tcp:" + cluster.url.removeprefix("dask:"))
            until(engine, SlotUp, 2)
            cluster.nodes.remove(late)
            kill_tree(late.pid)
            late.wait()
            gone = until(engine, SlotDown, 2)
            assert {down.kind for down in gone} == {"engine"}
            (head,) = cluster.heads
            kill_tree(head.pid)
            with pytest.raises(EngineError, match="same command finishes the run"):
                until(engine, SlotUp)
        finally:
            engine.close()


def test_a_cluster_that_lends_nothing_is_given_up(clusters: Clusters) -> None:
    from shardwise.engines.dask import DaskEngine

    skip_where_missing("dask")
    address = "tcp:" + clusters.url("dask-cluster").removeprefix("dask:")
    engine = DaskEngine(address, resources={"GPU": 1}, patience=1.0)
    try:
        engine.open(Want(3))
        with pytest.raises(
            EngineError, match=r"lent no slot within 1 s; asked for: 3 slots .* 2 workers with 4 threads"
        ):
            until(engine, SlotUp)
    finally:
        engine.close()


def test_a_ray_that_never_gives_a_slot_says_what_was_asked_for(clusters: Clusters) -> None:
    clusters.url("ray-cluster")
    from shardwise.engines.ray import RayEngine

    engine = RayEngine("auto", resources={"mine": 1}, patience=1.0)
    try:
        engine.open(Want(2))
        with pytest.raises(EngineError, match=r"lent no slot within 1 s; asked for: 2 slots .* it has .*CPU"):
            until(engine, SlotUp)
    finally:
        engine.close()


def test_a_spark_that_never_gives_a_slot_says_what_was_asked_for(clusters: Clusters) -> None:
    """All of its cores are lent to another engine."""
    url = clusters.url("spark-cluster")
    first, second = make_engine(url), make_engine(url)
    second.patience = 1.0  # type: ignore[attr-defined]
    try:
        first.open(Want(SLOTS))
        until(first, SlotUp, SLOTS)
        second.open(Want(1))
        with pytest.raises(EngineError, match=r"lent no slot within 1 s; asked for: 1 slot of 1 thread; .* executors"):
            until(second, SlotUp)
    finally:
        second.close()
        first.close()


def test_a_client_of_ray_is_enough(clusters: Clusters, tmp_path: Path) -> None:
    """What a laptop has: one port of the head."""
    clusters.url("ray-cluster")
    script = f"""
import shardwise as sw
done = sw.from_items(list(range(20))).map_items(str).collect().run(
    engine={clusters.started("ray").client!r}, workers=1, run_dir={str(tmp_path / "run")!r}, progress=False)
print(done.to_list() == [str(n) for n in range(20)])
"""
    done = in_a_process(script)
    assert done.stdout.endswith("True\n"), done.stderr


def test_a_context_of_spark_that_is_stopped_is_told() -> None:
    """Its JVM stops it where no master answers any more."""
    skip_where_missing("spark")
    script = """
import contextlib
from pyspark import SparkContext
from shardwise.engines.protocol import Want
from shardwise.engines.registry import make_engine
with contextlib.closing(make_engine("spark")) as engine:
    engine.open(Want(1))
    while not engine.wait(None):
        pass
    SparkContext._active_spark_context._jsc.sc().stop()
    while True:
        engine.wait(None)
"""
    done = in_a_process(script)
    assert "EngineError: no Spark is left at local[1]" in done.stderr, done.stderr
    assert "the same command finishes the run" in done.stderr


def in_a_process(script: str) -> subprocess.CompletedProcess[str]:
    """What a script of its own says."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120 + PATIENCE
    )


@pytest.mark.parametrize("name", ENGINES)
def test_what_hosts_a_slot_may_die(name: str, clusters: Clusters) -> None:
    """The process of the cluster's own in which the agent lives; its worker dies with it."""
    engine = make_engine(clusters.url(f"{name}-cluster"))
    try:
        engine.open(Want(1))
        (up,) = until(engine, SlotUp)
        host = psutil.Process(up.pid)
        while "fork_server" in " ".join(host.cmdline()) or host.pid == up.pid:
            host = host.parent()  # type: ignore[assignment]
        with contextlib.suppress(ProcessLookupError):
            os.kill(host.pid, signal.SIGKILL)
        (down,) = until(engine, SlotDown)
        assert (down.slot, down.kind) == (up.slot, "engine")
        (again,) = until(engine, SlotUp)
        assert again.slot != up.slot
        assert gone(up.pid)
    finally:
        engine.close()
