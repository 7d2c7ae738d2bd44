"""Slots of Python's own pools, and of joblib's backends: how they are found, and what becomes of a pool that breaks.
What every engine does stands in ``conformance/test_engines.py``."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import psutil
import pytest

import shardwise as sw
from conformance.test_engines import gone
from engines.test_clusters import until
from pools import processes
from shardwise.engines.pool import PoolEngine
from shardwise.engines.protocol import SlotDown, SlotUp, Want
from shardwise.engines.registry import engine_label, engine_reach, engine_room, make_engine
from shardwise.errors import EngineError, MissingExtra, UsageError


class Strange(Executor):
    """Of which nobody knows where its workers are."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(target=lambda: future.set_result(fn(*args, **kwargs))).start()
        return future


def host_of(up: SlotUp) -> psutil.Process:
    """The pool's process that a worker's agent is in."""
    host = psutil.Process(up.pid)
    while "fork_server" in " ".join(host.cmdline()) or host.pid == up.pid:
        host = host.parent()  # type: ignore[assignment]
    return host


def test_executors_are_taken_for_what_they_are() -> None:
    with ThreadPoolExecutor(1) as threads:
        assert isinstance(make_engine(threads), PoolEngine)
        assert (engine_label(threads), engine_reach(threads)) == ("pool", "host")
        assert make_engine(PoolEngine(threads, host="10.0.0.7")).reach == "network"
    assert engine_reach(Strange()) == "network"
    assert PoolEngine(processes).reach == "host"
    with ThreadPoolExecutor(3) as threads:
        assert engine_room(threads) == 3
    assert engine_room(Strange()) is None


def test_an_executor_of_unknown_kind_needs_a_place_that_its_workers_reach(tmp_path: Any) -> None:
    job = sw.from_items([1, 2]).map_items(str).collect()
    with pytest.raises(UsageError, match="--run-dir"):
        job.run(engine=Strange(), progress=False)
    done = job.run(engine=Strange(), workers=1, run_dir=str(tmp_path / "run"), progress=False)
    assert done.to_list() == ["1", "2"]


def test_backends_of_joblib_are_found_by_name_and_by_object() -> None:
    parallel = pytest.importorskip("joblib.parallel")
    from shardwise.engines.joblib_pool import JoblibEngine

    for place in ("joblib", "joblib:loky", "joblib:threading", parallel.LokyBackend()):
        engine = make_engine(place)
        assert isinstance(engine, JoblibEngine)
        assert (engine.name, engine.reach) == ("joblib", "host")
    with parallel.parallel_config("threading"):
        assert type(make_engine("joblib")._backend).__name__ == "ThreadingBackend"  # type: ignore[attr-defined]

    class Elsewhere(parallel.LokyBackend):  # type: ignore[misc, name-defined]
        pass

    assert engine_reach(Elsewhere()) == "network"
    with pytest.raises(UsageError, match="nonsense"):
        make_engine("joblib:nonsense")


def test_joblib_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
    with pytest.raises(MissingExtra, match=r'pip install "shardwise\[joblib\]"'):
        make_engine("joblib:loky")
    with pytest.raises(MissingExtra, match="joblib is not installed"):
        make_engine("joblib").open(Want(1))


def test_a_job_on_a_backend_of_joblib() -> None:
    pytest.importorskip("joblib")
    done = sw.from_items(list(range(9))).map_items(str).collect().run(engine="joblib:threading", workers=2)
    assert done.to_list() == [str(n) for n in range(9)]


def test_a_pool_that_is_busy_is_waited_for_and_then_given_up() -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go.wait)
        engine = PoolEngine(pool, patience=1.0)
        try:
            engine.open(Want(3))
            with pytest.raises(EngineError, match=r"lent no slot within 1 s; .*; of 3 tasks .* 0 were begun"):
                until(engine, SlotUp)
        finally:
            engine.close()
            go.set()


def test_a_pool_of_the_person_that_breaks_ends_the_engine() -> None:
    with processes(1) as pool:
        engine = PoolEngine(pool)
        try:
            engine.open(Want(1))
            (up,) = until(engine, SlotUp)
            os.kill(host_of(up).pid, signal.SIGKILL)
            with pytest.raises(EngineError, match=r"cannot lend slots: BrokenProcessPool.*\n.*make another pool"):
                until(engine, SlotUp)
            assert gone(up.pid)
        finally:
            engine.close()


def test_a_pool_of_ours_that_breaks_is_replaced() -> None:
    engine = PoolEngine(processes)
    try:
        engine.open(Want(1))
        (up,) = until(engine, SlotUp)
        os.kill(host_of(up).pid, signal.SIGKILL)
        (down,) = until(engine, SlotDown)
        assert (down.slot, down.kind) == (up.slot, "engine")
        (again,) = until(engine, SlotUp)
        assert again.slot != up.slot
        assert gone(up.pid)
    finally:
        engine.close()


def test_a_backend_of_joblib_that_breaks_begins_anew() -> None:
    pytest.importorskip("joblib")
    engine = make_engine("joblib:loky")
    try:
        engine.open(Want(2))
        up, _ = until(engine, SlotUp, 2)
        os.kill(host_of(up).pid, signal.SIGKILL)
        kinds = {down.kind for down in until(engine, SlotDown, 2)}
        assert "engine" in kinds
        assert kinds <= {"engine", "crash"}, "loky kills the other host's worker first, which its host may tell"
        assert len(until(engine, SlotUp, 2)) == 2
    finally:
        engine.close()
