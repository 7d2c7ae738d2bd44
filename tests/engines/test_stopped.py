"""Workers that somebody stopped are replaced; workers that are only silent are not."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import pytest

from shardwise import records
from shardwise.compute.program import Attempt
from shardwise.compute.task import Outcome, TaskSpec
from shardwise.engines import stopped
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import EngineEvent, Finished, SlotDown, SlotUp, Want
from shardwise.engines.stopped import GAP_SECONDS, PATIENCE_SECONDS, StoppedWatch, is_stopped

cloudpickle.register_pickle_by_value(sys.modules[__name__])

PATIENCE = float(os.environ.get("SHARDWISE_PATIENCE", "60"))


class Calls:
    def __init__(self, function: Callable[[Attempt], None]) -> None:
        self.execute = function


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    """An engine that is quick to lose patience."""
    monkeypatch.setattr(stopped, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(stopped, "LOOK_SECONDS", 0.05)
    engine = LocalEngine()
    engine.open(Want(1))
    yield engine
    engine.close()


def until(engine: LocalEngine, kind: type[EngineEvent]) -> list[EngineEvent]:
    """All that happens up to and including the first event of a kind."""
    events: list[EngineEvent] = []
    while not any(isinstance(event, kind) for event in events):
        heard = engine.wait(PATIENCE)
        assert heard, f"no {kind.__name__} within a minute"
        events += heard
    return events


def send(engine: LocalEngine, slot: int, directory: Path, function: Callable[[Attempt], None]) -> None:
    ref = engine.put(cloudpickle.dumps(Calls(function)))
    engine.send(slot, records.to_json(TaskSpec("r", "s", 1, 1, ref, 0, 1, str(directory))).encode())


def up(engine: LocalEngine) -> SlotUp:
    return next(event for event in until(engine, SlotUp) if isinstance(event, SlotUp))


def down(engine: LocalEngine) -> SlotDown:
    return next(event for event in until(engine, SlotDown) if isinstance(event, SlotDown))


def test_a_busy_worker_that_is_stopped_is_replaced(engine: LocalEngine, tmp_path: Path) -> None:
    def stop(attempt: Attempt) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    first = up(engine)
    send(engine, first.slot, tmp_path, stop)
    lost = down(engine)
    assert (lost.slot, lost.kind) == (first.slot, "crash")
    assert "stopped answering" in lost.reason
    assert up(engine).slot != first.slot


def test_an_idle_worker_that_is_stopped_is_replaced(engine: LocalEngine) -> None:
    first = up(engine)
    os.kill(first.pid, signal.SIGSTOP)
    assert down(engine).slot == first.slot
    assert up(engine).pid != first.pid


def test_a_call_that_holds_the_interpreters_lock_is_not_a_stop(engine: LocalEngine, tmp_path: Path) -> None:
    """It is as silent as a stopped worker for four times as long as patience lasts."""
    first = up(engine)
    send(engine, first.slot, tmp_path, lambda attempt: ctypes.PyDLL(None).usleep(2_000_000) and None)
    events = until(engine, Finished)
    assert not [event for event in events if isinstance(event, SlotDown)]
    (finished,) = (event for event in events if isinstance(event, Finished))
    assert records.from_json(Outcome, finished.outcome).failure is None


def test_a_worker_that_goes_on_in_time_is_left_alone() -> None:
    halted = {1}
    watch = StoppedWatch(halted.__contains__)
    assert [watch.look(now, [1]) for now in (0.0, 2.0, 4.0)] == [[], [], []]
    halted.clear()
    assert watch.look(4.5, [1]) == []
    halted.add(1)
    assert [watch.look(now, [1]) for now in (6.0, 8.0, 10.0)] == [[], [], []]
    assert watch.look(6.0 + PATIENCE_SECONDS, [1]) == [1]


def test_a_driver_that_was_stopped_too_begins_to_count_anew() -> None:
    """Somebody stops all processes and lets them go on: the driver may be the first to do so."""
    watch = StoppedWatch(lambda pid: True)
    watch.look(0.0, [1])
    assert watch.look(100.0, [1]) == []
    assert watch.look(100.0 + GAP_SECONDS - 0.1, [1]) == []


def test_states_of_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert is_stopped(process.pid)
        process.kill()
    assert not is_stopped(process.pid)
