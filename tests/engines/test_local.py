"""What only local processes do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import psutil
import pytest

from processes import PATIENCE, Begun
from shardwise import records
from shardwise.compute.connection import spill_directory
from shardwise.compute.program import Attempt
from shardwise.compute.task import Outcome, TaskSpec
from shardwise.engines import children, process
from shardwise.engines.local import LocalEngine
from shardwise.engines.process import WorkerProcess
from shardwise.engines.protocol import EngineEvent, Finished, Progress, SlotDown, SlotUp, Want
from shardwise.errors import EngineError

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine()
    yield engine
    engine.close()


def first_up(engine: LocalEngine) -> SlotUp:
    (up,) = engine.wait(PATIENCE)
    assert isinstance(up, SlotUp)
    return up


def all_up(engine: LocalEngine, slots: int) -> list[SlotUp]:
    up: list[SlotUp] = []
    while len(up) < slots:
        events = engine.wait(PATIENCE)
        assert events, f"only {len(up)} of {slots} slots are up"
        up += [event for event in events if isinstance(event, SlotUp)]
    return up


def test_the_url_decides_over_what_is_wanted() -> None:
    engine, begun = LocalEngine(2), Begun()
    try:
        engine.open(Want(1))
        assert len(begun.all()) == 2 + children.can_fork()  # and the fork server
    finally:
        engine.close()


def test_memory_is_what_was_asked_or_a_share(engine: LocalEngine) -> None:
    engine.open(Want(1, memory=123))
    assert first_up(engine).memory == 123


def test_opening_imports_nothing_heavy() -> None:
    heavy = (
        "numpy",
        "duckdb",
        "pyarrow",
        "pandas",
        "polars",
        "fsspec",
        "cloudpickle",
        "rich",
        "psutil",
        "shardwise.run",
    )
    script = f"import sys, shardwise.engines.local; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_workers_that_never_begin_are_not_started_for_ever(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Begun()
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    engine.open(Want(1))
    with pytest.raises(EngineError, match=r"127.*\n.*no such library"):
        engine.wait(PATIENCE)
    engine.close()
    assert begun.children() == []


def test_an_interpreter_that_cannot_be_started(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    before = psutil.Process().num_fds()
    with pytest.raises(EngineError, match="/no/such/python"):
        engine.open(Want(1))
    engine.close()
    assert psutil.Process().num_fds() <= before


def test_the_kernels_hand_is_told_from_others(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter([5, 6, 6, 6, 6])
    monkeypatch.setattr(process, "oom_kills", lambda: next(kills))
    engine.open(Want(1))
    os.kill(first_up(engine).pid, signal.SIGKILL)
    down = next(event for event in engine.wait(PATIENCE) if isinstance(event, SlotDown))
    assert down.kind == "memory"
    assert "memory ran out" in down.reason
    os.kill(first_up(engine).pid, signal.SIGKILL)
    down = next(event for event in engine.wait(PATIENCE) if isinstance(event, SlotDown))
    assert down.kind == "crash"
    assert "from outside" in down.reason


def test_deaths_are_found_where_the_kernel_does_not_announce_them(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "can_fork", lambda: False)
    monkeypatch.setattr(children, "_open_pidfd", lambda pid: None)
    engine.open(Want(1))
    up = first_up(engine)
    os.kill(up.pid, signal.SIGKILL)
    events = engine.wait(PATIENCE)
    assert [type(event) for event in events] == [SlotDown]
    assert first_up(engine).slot == up.slot + 1


@pytest.mark.skipif(not children.can_fork(), reason="workers are not forked here")
def test_the_end_of_the_fork_server_costs_its_workers_and_no_more(engine: LocalEngine) -> None:
    begun = Begun()
    engine.open(Want(2))
    up = {slot.pid for slot in all_up(engine, 2)}
    (server,) = begun.children()
    server.kill()
    events: list[object] = []
    while sum(isinstance(event, SlotUp) for event in events) < 2:
        events += engine.wait(PATIENCE)
    down = [event for event in events if isinstance(event, SlotDown)]
    assert [event.kind for event in down] == ["crash", "crash"]
    assert not {event.pid for event in events if isinstance(event, SlotUp)} & up
    engine.close()
    assert begun.all() == []


@pytest.mark.skipif(not children.can_fork(), reason="workers are not forked here")
def test_workers_that_go_with_the_fork_server_are_not_stillborn(engine: LocalEngine) -> None:
    begun = Begun()
    engine.open(Want(6))
    up: set[int] = set()
    for _ in range(5):  # most workers have said nothing yet
        for server in begun.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "shardwise.compute.fork_server" in server.cmdline():  # no fresh interpreter that stood in for one
                    server.kill()
                    server.wait(PATIENCE)
        _follow(up, engine.wait(0))
    while len(up) < 6:
        events = engine.wait(PATIENCE)
        assert events, f"only {len(up)} slots are up"
        _follow(up, events)


def _follow(up: set[int], events: list[EngineEvent]) -> None:
    """Keep account of the slots that are up."""
    for event in events:
        if isinstance(event, SlotUp):
            up.add(event.slot)
        elif isinstance(event, SlotDown):
            up.remove(event.slot)


@pytest.mark.skipif(not children.can_fork(), reason="workers are not forked here")
@pytest.mark.parametrize("thread", [False, True])
def test_nothing_is_forked_where_a_module_started_a_thread(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thread: bool
) -> None:
    start = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (tmp_path / "starts_a_thread.py").write_text(start if thread else "")
    monkeypatch.syspath_prepend(str(tmp_path))
    with children.beginning(1, ("numpy", "pyarrow", "starts_a_thread")):
        engine.open(Want(1))
        (up,) = all_up(engine, 1)
        parent = psutil.Process(up.pid).ppid()
    assert (parent == os.getpid()) == thread


@pytest.mark.skipif(not children.can_fork(), reason="workers are not forked here")
def test_forks_are_not_twins(engine: LocalEngine, tmp_path: Path) -> None:
    """What draws random numbers without a seed draws others in each, as fresh interpreters would."""

    class Draw:
        def execute(self, attempt: Attempt) -> None:
            import random

            import numpy.random

            attempt.give("n", f"{numpy.random.random()} {random.random()}".encode())

    found: list[bytes] = []
    with children.beginning(1, ("numpy", "numpy.random")):
        engine.open(Want(2))
        ref = engine.put(cloudpickle.dumps(Draw()))
        for up in all_up(engine, 2):
            spec = TaskSpec("run", "stage", 0, up.slot, ref, 0, 1, str(tmp_path / str(up.slot)), (), str(tmp_path))
            engine.send(up.slot, records.to_json(spec).encode())
        while len(found) < 2:
            ended = [event.outcome for event in engine.wait(PATIENCE) if isinstance(event, Finished)]
            found += [records.from_json(Outcome, outcome).outputs[0].data or b"" for outcome in ended]
    assert len({number for line in found for number in line.split()}) == 4


def test_what_a_worker_said_before_it_died_is_heard(engine: LocalEngine, tmp_path: Path) -> None:
    class Speech:
        def execute(self, attempt: Attempt) -> None:
            for n in range(3):
                attempt.give(str(n), b"x" * 40_000)

    class Death:
        def execute(self, attempt: Attempt) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    engine.open(Want(1))
    up = first_up(engine)
    for program in (Speech(), Death()):  # the second is read from the socket when the first has been answered
        ref = engine.put(cloudpickle.dumps(program))
        engine.send(up.slot, records.to_json(TaskSpec("r", "s", 0, 0, ref, 0, 1, str(tmp_path))).encode())
    while not engine._slots[up.slot].is_dead():  # so that its end is known when its words are read
        pass
    events = engine.wait(PATIENCE)
    while not any(isinstance(event, SlotDown) for event in events):
        events += engine.wait(PATIENCE)
    ends = [type(event) for event in events if not isinstance(event, Progress)]
    assert ends[:2] == [Finished, SlotDown]


def test_what_a_dead_worker_spilled_is_removed() -> None:
    worker = WorkerProcess(threads=1)
    spilled = Path(spill_directory(worker.pid))
    spilled.mkdir()
    (spilled / "block").write_bytes(b"x")
    worker.kill()
    assert worker.bury()[0] == "killed"
    assert not spilled.exists()


def test_a_worker_that_stops_listening_blocks_nobody() -> None:
    worker = WorkerProcess(threads=1)
    try:
        os.kill(worker.pid, signal.SIGSTOP)
        worker.post(1, b"x" * (8 << 20))
        assert worker.has_post
    finally:
        worker.kill()
        worker.bury()
