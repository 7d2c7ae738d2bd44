"""Ceilings of workers: real processes that take too much."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import psutil
import pytest

from processes import Begun
from shardwise import records
from shardwise.compute import wire
from shardwise.compute.footprint import Footprint, Relatives
from shardwise.compute.machine import oom_kills
from shardwise.compute.program import Attempt
from shardwise.compute.task import Outcome, TaskSpec
from shardwise.engines import children, memory_watch
from shardwise.engines.children import module_path
from shardwise.engines.local import LocalEngine
from shardwise.engines.process import WorkerProcess
from shardwise.engines.protocol import EngineEvent, Finished, SlotDown, SlotUp, Want

cloudpickle.register_pickle_by_value(sys.modules[__name__])

CEILING = 200 << 20
STEP = 4 << 20
ENOUGH = 2 << 30


class Calls:
    """A program made of a function."""

    def __init__(self, function: Callable[[Attempt], None]) -> None:
        self.function = function

    def execute(self, attempt: Attempt) -> None:
        self.function(attempt)


def grow(most: int = ENOUGH) -> None:
    """Allocate in ordinary steps, and touch every page."""
    held = []
    while len(held) * STEP < most:
        held.append(b"x" * STEP)


def hold_the_lock_and_grow(most: int = ENOUGH) -> None:
    """The same in C, never giving the interpreter's lock to other threads."""
    libc = ctypes.PyDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    block = libc.malloc(ctypes.c_size_t(most))
    libc.memset(block, 1, most)


def grow_in_a_child(most: int = ENOUGH) -> None:
    script = f"held = [b'x' * {STEP} for _ in range({most // STEP})]; import time; time.sleep(60)"
    subprocess.run([sys.executable, "-c", script], check=False)


def grow_in_a_forked_child(most: int = ENOUGH) -> None:
    if (child := os.fork()) == 0:
        os.setsid()
        grow(most)
        os._exit(0)
    os.waitpid(child, 0)


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine()
    engine.open(Want(1))
    yield engine
    engine.close()


def play(engine: LocalEngine, directory: Path, *programs: object, memory: int = CEILING) -> list[EngineEvent]:
    """Execute programs, one after the other, each on the slot that is there; the events that ended them."""
    slots, ends = [], []
    for number, program in enumerate(programs):
        while not slots:
            slots = [event.slot for event in engine.wait(60) if isinstance(event, SlotUp)]
        ref = engine.put(cloudpickle.dumps(program))
        spec = TaskSpec("r", "s", number, number, ref, 0, 1, str(directory), memory=memory)
        engine.send(slots[-1], records.to_json(spec).encode(), memory)
        ended: list[EngineEvent] = []
        while not ended:
            events = engine.wait(60)
            ended = [event for event in events if isinstance(event, Finished | SlotDown)]
            slots = [] if any(isinstance(event, SlotDown) for event in ended) else slots
            slots += [event.slot for event in events if isinstance(event, SlotUp)]
        ends += ended
    return ends


@pytest.mark.parametrize("work", [grow, hold_the_lock_and_grow, grow_in_a_child, grow_in_a_forked_child])
def test_a_worker_that_takes_too_much_is_stopped_at_its_ceiling(
    engine: LocalEngine, tmp_path: Path, work: Callable[[], None]
) -> None:
    before, begun = oom_kills(), Begun()
    (down,) = play(engine, tmp_path, Calls(lambda attempt: work()))
    assert isinstance(down, SlotDown)
    assert down.kind == "memory"
    assert "at our ceiling" in down.reason
    assert "210 MB were allowed" in down.reason
    print(f"{work.__name__}: {down.used / CEILING - 1:+.1%}")
    assert CEILING < down.used < ENOUGH, "a few percent where there are cores enough: see what is printed"
    assert oom_kills() == before
    left = begun.all()[1 + children.can_fork() :]  # without the fork server and a worker
    assert left == [], "what it started is gone too"


@pytest.mark.parametrize("work", [grow, grow_in_a_child])
def test_a_worker_stops_itself_where_nobody_beside_it_watches(
    engine: LocalEngine, tmp_path: Path, work: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_watch.MemoryWatch, "begin", lambda *_: None)
    (down,) = play(engine, tmp_path, Calls(lambda attempt: work(ENOUGH)))  # type: ignore[call-arg]
    assert isinstance(down, SlotDown)
    assert (down.kind, "at our ceiling" in down.reason) == ("memory", True)
    assert down.used > CEILING


def test_what_stays_below_the_ceiling_is_left_alone(engine: LocalEngine, tmp_path: Path) -> None:
    (end,) = play(engine, tmp_path, Calls(lambda attempt: grow(CEILING // 3)))
    assert isinstance(end, Finished)
    assert records.from_json(Outcome, end.outcome).failure is None


def test_without_a_ceiling_nobody_is_stopped(engine: LocalEngine, tmp_path: Path) -> None:
    up = next(event for event in engine.wait(60) if isinstance(event, SlotUp))
    ref = engine.put(cloudpickle.dumps(Calls(lambda attempt: grow(2 * CEILING))))
    engine.send(up.slot, records.to_json(TaskSpec("r", "s", 0, 0, ref, 0, 1, str(tmp_path))).encode())
    events: list[EngineEvent] = []
    while not any(isinstance(event, Finished | SlotDown) for event in events):
        events += engine.wait(60)
    assert isinstance(events[-1], Finished)


def test_memory_that_was_freed_does_not_count_for_the_next_attempt(engine: LocalEngine, tmp_path: Path) -> None:
    def crumble(attempt: Attempt) -> None:
        held = [
            bytes(range(256)) * 4 + bytes([n & 255]) for n in range(60_000)
        ]  # many small pieces: the heap keeps them
        attempt.give("n", str(len(held)).encode())

    def measure(attempt: Attempt) -> None:
        attempt.give("held", str(Footprint(os.getpid()).held()).encode())

    ends = play(engine, tmp_path, Calls(measure), *[Calls(crumble)] * 3, Calls(measure))
    held = [records.from_json(Outcome, e.outcome).outputs[0].data for e in ends if isinstance(e, Finished)]
    assert len(held) == 5
    assert int(held[-1] or 0) < int(held[0] or 0) + (64 << 20) + STEP


def test_a_mapped_file_does_not_count(engine: LocalEngine, tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    path.write_bytes(b"x" * (CEILING + CEILING // 2))

    def read(attempt: Attempt) -> None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            attempt.give("n", str(sum(view[at] for at in range(0, len(view), 4096))).encode())

    (end,) = play(engine, tmp_path, Calls(read))
    assert isinstance(end, Finished)


def test_pages_that_a_forked_child_shares_count_once(engine: LocalEngine, tmp_path: Path) -> None:
    def fork(attempt: Attempt) -> None:
        held = b"x" * (CEILING // 3)
        forked = []
        for _ in range(3):
            if (child := os.fork()) == 0:
                os.read(0, 1)
                __import__("time").sleep(1)
                os._exit(0)
            forked.append(child)
        for child in forked:
            os.waitpid(child, 0)
        attempt.give("n", str(len(held)).encode())

    (end,) = play(engine, tmp_path, Calls(fork))
    assert isinstance(end, Finished)


def test_relatives_are_found_though_they_left_the_session() -> None:
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout is not None
        grandchild = int(leader.stdout.readline())
        family = psutil.Process(leader.pid).children(recursive=True)
        try:
            footprint, relatives = Footprint(leader.pid), Relatives()
            for _ in range(2):
                relatives.find([footprint])
                assert set(footprint.others) == {process.pid for process in family}
                assert grandchild in footprint.others
        finally:
            for process in [*family, psutil.Process(leader.pid)]:
                process.kill()


def grow_while_a_search_takes_long() -> None:
    """The machine has a million processes more, gone by the time they are looked at."""
    names = [path.name for path in Path("/proc").iterdir()] + [
        str(number) for number in range(1 << 30, (1 << 30) + 1_000_000)
    ]
    os.listdir = lambda path: names  # type: ignore[assignment, misc]
    time.sleep(0.5)  # let it begin
    grow()


@pytest.mark.parametrize("work", [grow, grow_while_a_search_takes_long])
def test_a_worker_says_how_much_it_held(tmp_path: Path, work: Callable[[], None]) -> None:
    worker = WorkerProcess(threads=1)
    worker.socket.settimeout(60)
    try:
        while not (heard := worker.receive()):
            pass
        assert heard[0][0] == wire.HELLO
        header = records.to_json(wire.Parcel("ref", module_path())).encode() + b"\n"
        worker.post(wire.PROGRAM, header, cloudpickle.dumps(Calls(lambda attempt: work())))
        spec = TaskSpec("r", "s", 0, 0, "ref", 0, 1, str(tmp_path), memory=CEILING)
        worker.post(wire.TASK, records.to_json(spec).encode())
        messages: list[tuple[int, bytes]] = []
        while not worker.hung_up and wire.OUTCOME not in dict(messages):
            messages += worker.receive()
        (said,) = [payload for kind, payload in messages if kind == wire.OUTGREW]
        held, allowed = wire.OUTGREW_PAYLOAD.unpack(said)
        assert held > allowed == CEILING
    finally:
        worker.kill()
        worker.bury()
