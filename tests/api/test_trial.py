"""``auto`` begins in this process and hands over what workers would do sooner."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shardwise as sw
from shardwise.api import runner, trial
from shardwise.compute import machine

ITEMS = 300


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardwise.plan.choose.usable_cores", lambda: 2)
    assert machine.usable_cores() >= 1


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does now, nothing takes too long to be tried here."""
    monkeypatch.setattr(trial, "FIRST_SECONDS", 60.0)
    monkeypatch.setattr(trial, "START_SECONDS", 600.0)


def _pid(item: Any) -> int:
    return os.getpid()


def _slow(item: int) -> tuple[int, int]:
    time.sleep(0.01)
    return item, os.getpid()


def _stuck_then_pid(item: int) -> int:
    try:
        if os.environ.get("SHARDWISE_WORKER_ENVIRONMENT") is None and threading.current_thread().name == "MainThread":
            time.sleep(0.3)
    except Exception:  # a function's own handler does not keep it here
        return -1
    return os.getpid()


@pytest.mark.usefixtures("patient")
def test_cheap_functions_stay_in_this_process() -> None:
    result = sw.from_items(range(ITEMS)).map_items(_pid).collect().run()
    assert set(result.to_list()) == {os.getpid()}
    assert result.run.engine == "inline"
    assert result.run.rows == ITEMS and result.run.resumed_tasks == 0


def test_what_takes_long_is_handed_over_and_what_was_tried_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "FIRST_SECONDS", 30.0)  # whatever else this machine does now
    monkeypatch.setattr(runner, "LEAST_TO_PLAN", 60.0)  # and however long it takes to start workers
    result = sw.from_items(range(ITEMS)).map_items(_slow).collect().run(progress="none")
    items, pids = zip(*result.to_list())
    assert items == tuple(range(ITEMS))
    assert pids[0] == os.getpid() and pids[-1] != os.getpid()
    assert result.run.engine.startswith("local:")  # it sleeps: how many more workers than cores, the sample decides
    assert result.run.resumed_tasks == 0 and result.run.rows == ITEMS


def test_the_first_task_alone_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """It also imports: here it takes a second of a clock that only tasks move, and the others a thousandth."""
    now, asked = [0.0], []

    def tried(self: trial.Trial, stage: Any, program: Any, first: int, last: int, limit: float) -> bool:
        now[0] += (last - first) * (0.001 if asked else 1.0)
        asked.append((first, last))
        return attempt(self, stage, program, first, last, 60.0)

    attempt = trial.Trial._try
    monkeypatch.setattr(trial.Trial, "_try", tried)
    monkeypatch.setattr(trial.time, "monotonic", lambda: now[0])
    result = sw.from_items(range(ITEMS)).map_items(_pid).collect().run(progress="none")
    assert set(result.to_list()) == {os.getpid()}
    assert asked[0] == (0, 1) and asked[-1][1] == ITEMS


def test_a_first_task_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "FIRST_SECONDS", 0.05)
    result = sw.from_items(range(4)).map_items(_stuck_then_pid).collect().run()
    assert os.getpid() not in result.to_list() and -1 not in result.to_list()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def _strikes_in_a_query(parent: int) -> Callable[[int], int]:
    """The signal meets code that takes it for an error of its own, as DuckDB does."""

    def function(item: int) -> int:
        if os.getpid() == parent:
            try:
                signal.raise_signal(signal.SIGALRM)
            except BaseException as error:
                raise ValueError("an expression fails") from error
        return os.getpid()

    return function


def _answers_the_signal(parent: int) -> Callable[[int], int]:
    def function(item: int) -> int:
        try:
            if os.getpid() == parent:
                signal.raise_signal(signal.SIGALRM)
        except:  # noqa: E722
            return -1
        return os.getpid()

    return function


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("make", [_strikes_in_a_query, _answers_the_signal])
def test_what_was_struck_counts_as_given_up_whatever_became_of_it(
    make: Callable[[int], Callable[[int], int]], tmp_path: Path
) -> None:
    result = (
        sw.from_items(range(4))
        .map_items(make(os.getpid()))
        .collect()
        .run(run_dir=str(tmp_path / "run"), progress="none")
    )
    assert os.getpid() not in result.to_list() and -1 not in result.to_list()
    here = [span for span in result.report.to_dict()["spans"] if "too long for this process" in span["failure"]]
    assert [span["how"] for span in here] == ["cancelled"]
    assert result.report.to_dict()["run"]["ends"].get("failed", 0) == 0


@pytest.mark.parametrize("options", [{"workers": 2}, {"timeout": "1m"}, {"memory": "8GB"}, {"engine": "local:2"}])
def test_who_asks_for_processes_gets_them(options: dict[str, Any]) -> None:
    result = sw.from_items(range(8)).map_items(_pid).collect().run(**options)
    assert os.getpid() not in result.to_list()


def test_a_class_is_built_in_workers_only() -> None:
    class Where:
        def __init__(self) -> None:
            self.pid = os.getpid()

        def __call__(self, item: int) -> int:
            return self.pid

    assert os.getpid() not in sw.from_items(range(8)).map_items(Where).collect().run().to_list()


def test_outside_the_main_thread_nothing_is_tried() -> None:
    found: list[Any] = []

    def work() -> None:
        found.extend(sw.from_items(range(4)).map_items(_pid).collect().run(progress="none").to_list())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 4 and os.getpid() not in found


def test_a_failure_is_told_as_ever() -> None:
    def fail(item: int) -> int:
        raise ValueError(f"item {item}")

    with pytest.raises(sw.errors.FunctionError, match=r"item \d"):
        sw.from_items([0, 1, 2]).map_items(fail).collect().run(retries=0, progress="none")


@pytest.mark.usefixtures("patient")
def test_writing_and_aggregating_are_tried_too(tmp_path: Path) -> None:
    def double(batch: np.ndarray) -> np.ndarray:
        assert os.getpid() == parent
        batch *= 2
        return batch

    parent, array = os.getpid(), np.arange(4000.0).reshape(-1, 2)
    doubled = sw.from_array(array, batch_rows=100).map(double)
    done = doubled.aggregate(s=sw.sum("c0")).run()
    assert done.run.engine == "inline" and done.to_pylist() == [{"s": float(2 * array[:, 0].sum())}]
    written = doubled.write_npy(str(tmp_path / "out")).run()
    assert written.run.engine == "inline"
    assert (np.concatenate([np.load(f) for f in sorted((tmp_path / "out").glob("*.npy"))]) == 2 * array).all()
    assert array[1, 1] == 3.0, "the person's own array is not touched"


def test_the_answer_is_the_same_wherever_it_was_made(tmp_path: Path) -> None:
    def noisy(item: int, ctx: sw.Context) -> float:
        return float(ctx.rng.random()) + item

    job = sw.from_items(range(100)).map_items(noisy).collect()
    assert job.run().to_list() == job.run(engine="local:2").to_list() == job.run(engine="inline").to_list()


@pytest.mark.usefixtures("patient")
def test_what_was_tried_is_committed(tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    job = sw.from_items(list(range(50))).map_items(_pid).collect()
    first = job.run(run_dir=path)
    again = job.run(run_dir=path)
    assert first.run.engine == "inline" and again.run.resumed_tasks == again.run.tasks
    assert again.to_list() == first.to_list()
