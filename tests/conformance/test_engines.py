"""What every engine must do. An engine joins the suite by a line in ``ENGINES``.

``dask-cluster`` is a cluster of separate processes on this machine; ``SHARDWISE_ENGINES="dask ray spark"`` chooses the
embedded ones instead, which take longer to start for each test.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest

from clusters import Clusters
from pools import processes
from processes import PATIENCE, gone
from shardwise import records
from shardwise.compute.attempt import SIGN_SECONDS
from shardwise.compute.calls import LostCall
from shardwise.compute.program import Attempt
from shardwise.compute.task import Outcome, Output, TaskSpec
from shardwise.engines import children
from shardwise.engines.pool import PoolEngine
from shardwise.engines.protocol import Engine, EngineEvent, Finished, Progress, Returned, SlotDown, SlotUp, Want
from shardwise.engines.registry import make_engine
from shardwise.errors import InputError, StorageError
from shardwise.storage import digest
from shardwise.storage.naming import attempt_name

cloudpickle.register_pickle_by_value(sys.modules[__name__])

FRESH = "local, fresh interpreters"  # where the system cannot fork safely
POOLS = {"thread_pool": ThreadPoolExecutor, "process_pool": processes}
CHOSEN = os.environ.get("SHARDWISE_ENGINES", "").split()
ENGINES = CHOSEN or [
    *("inline", "local", FRESH, "thread_pool"),
    *("process_pool", "joblib", "dask-cluster", "ray-cluster", "spark-cluster"),
]
WITH_PROCESSES = [engine for engine in ENGINES if engine != "inline"]  # whose slots can be killed, and crash alone
BIG = 50 << 20


class Driver:
    """A driver that only remembers."""

    def __init__(self, engine: Engine, directory: Path, url: str = "") -> None:
        self.engine = engine
        self.url = url
        self.directory = directory
        self.up: dict[int, SlotUp] = {}
        self.down: list[SlotDown] = []
        self.progress: list[Progress] = []
        self.finished: list[Finished] = []
        self.returned: list[Returned] = []
        self.attempts = 0

    def open(self, slots: int) -> Driver:
        self.engine.open(Want(slots))
        self.until(lambda: self.up)
        return self

    def wait(self, timeout: float = PATIENCE) -> list[EngineEvent]:
        events = self.engine.wait(timeout)
        for event in events:
            match event:
                case SlotUp(slot):
                    assert slot not in self.up, "a slot's number was used twice"
                    assert all(slot != gone.slot for gone in self.down), "a slot's number was used twice"
                    self.up[slot] = event
                case SlotDown(slot):
                    del self.up[slot]
                    self.down.append(event)
                case Progress():
                    self.progress.append(event)
                case Finished():
                    self.finished.append(event)
                case Returned():
                    self.returned.append(event)
        return events

    def until(self, happened: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, f"nothing happened for {PATIENCE} s"
            self.wait(1.0)

    def put(self, execute: Callable[[Attempt], None]) -> str:
        return self.engine.put(cloudpickle.dumps(Calls(execute)))

    def send(self, ref: str, slot: int | None = None, inputs: tuple[Output, ...] = (), task: int = 0) -> int:
        self.attempts += 1
        slot = min(self.up) if slot is None else slot
        directory = str(self.directory / str(self.attempts))
        spec = TaskSpec("run", "stage", task, self.attempts, ref, 0, 1, directory, inputs, str(self.directory))
        self.engine.send(slot, records.to_json(spec).encode())
        return slot

    def told(self) -> int:
        """The number that the function under way told as its rows. (Signs of life before that say 0.)"""
        self.until(lambda: any(sign.rows for sign in self.progress))
        return next(sign.rows for sign in self.progress if sign.rows)

    def outcome(self) -> Outcome:
        self.until(lambda: self.finished)
        return records.from_json(Outcome, self.finished.pop().outcome)

    def run(self, execute: Callable[[Attempt], None], **options: Any) -> Outcome:
        self.send(self.put(execute), **options)
        return self.outcome()


class Calls:
    """A program made of a function."""

    def __init__(self, function: Callable[[Attempt], None]) -> None:
        self.function = function

    def execute(self, attempt: Attempt) -> None:
        self.function(attempt)


@pytest.fixture(params=ENGINES)
def driver(
    request: pytest.FixtureRequest, clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Driver]:
    yield from _driver(clusters.url(request.param), tmp_path, monkeypatch)


@pytest.fixture(params=WITH_PROCESSES)
def killer(
    request: pytest.FixtureRequest, clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Driver]:
    """A driver of an engine whose slots can be killed."""
    yield from _driver(clusters.url(request.param), tmp_path, monkeypatch)


def _driver(name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    if name == FRESH:
        monkeypatch.setattr(children, "can_fork", lambda: False)
    url = name.partition(",")[0]
    engine = engine_at(url)
    try:
        yield Driver(engine, directory, url).open(1)
    finally:
        engine.close()


def engine_at(url: str) -> Engine:
    return PoolEngine(POOLS[url]) if url in POOLS else make_engine(url)


def another(driver: Driver) -> Engine:
    """An engine of the same kind. The first is closed: an embedded cluster has only as many slots as were wanted."""
    driver.engine.close()
    return engine_at(driver.url)


# --- programs ------------------------------------------------------------------------------------------------------


def nothing(attempt: Attempt) -> None:
    """Do nothing."""


def say_where(attempt: Attempt) -> None:
    attempt.give("pid", str(os.getpid()).encode(), rows=1)


def tell(attempt: Attempt, rows: int) -> None:
    """Count rows, and have that told: an attempt tells at most so often how far it is."""
    attempt.count(rows_in=rows)
    time.sleep(1.1 * SIGN_SECONDS)
    attempt.count()


def run_for_ever(attempt: Attempt) -> None:
    tell(attempt, 1)
    while True:
        signal.pause()


def fill_memory(attempt: Attempt) -> None:
    """Hold four gigabytes, piece by piece: where nobody watches, it gets so far."""
    held = []
    while len(held) < 512:
        held.append(b"x" * (8 << 20))


def hold_the_lock(attempt: Attempt) -> None:
    """Sleep in C without giving the interpreter's lock to other threads."""
    tell(attempt, 1)
    ctypes.PyDLL(None).sleep(600)


# --- tasks ---------------------------------------------------------------------------------------------------------


def test_slots_say_where_they_are(driver: Driver) -> None:
    (up,) = driver.up.values()
    assert up.host
    assert psutil.pid_exists(up.pid)
    assert up.memory is None or up.memory > 1 << 20
    (output,) = driver.run(say_where).outputs
    assert output.data == str(up.pid).encode()


def test_several_slots_work_side_by_side(killer: Driver) -> None:
    engine = another(killer)
    several = Driver(engine, killer.directory)
    try:
        engine.open(Want(3))
        several.until(lambda: len(several.up) == 3)
        ref = several.put(say_where)
        for slot in several.up:
            several.send(ref, slot)
        several.until(lambda: len(several.finished) == 3)
        said = {f.slot: records.from_json(Outcome, f.outcome).outputs[0].data for f in several.finished}
        assert said == {slot: str(up.pid).encode() for slot, up in several.up.items()}
    finally:
        engine.close()


def test_an_outcome_names_its_task_and_what_it_cost(driver: Driver) -> None:
    def work(attempt: Attempt) -> None:
        with attempt.phase("read"):
            attempt.count(rows_in=10, bytes_in=80, batches=2)
        with attempt.write("a.bin", publish="part-0.bin") as file:
            file.write(b"x" * 100)
        attempt.wrote_rows("a.bin", 7)

    outcome = driver.run(work, task=5)
    assert (outcome.task, outcome.attempt, outcome.failure) == (5, driver.attempts, None)
    assert outcome.outputs == (Output("a.bin", 7, 100, digest(b"x" * 100), publish="part-0.bin"),)
    assert (driver.directory / "1" / attempt_name("a.bin", "part-0.bin")).read_bytes() == b"x" * 100
    metrics = outcome.metrics
    assert (metrics.rows_in, metrics.bytes_in, metrics.batches, metrics.bytes_out) == (10, 80, 2, 100)
    assert metrics.seconds >= metrics.read_seconds > 0
    assert metrics.peak_memory > 1 << 20


def test_a_program_is_unpickled_once_per_worker(driver: Driver) -> None:
    class Marked:
        def __setstate__(self, state: object) -> None:
            self.mark = os.urandom(8)

        def __getstate__(self) -> dict[str, int]:
            return {"state": 1}

        def execute(self, attempt: Attempt) -> None:
            attempt.give("mark", self.mark)

    ref = driver.engine.put(cloudpickle.dumps(Marked()))
    marks = set()
    for _ in range(5):
        driver.send(ref)
        marks.add(driver.outcome().outputs[0].data)
    assert len(marks) == 1


def test_programs_put_between_tasks_do_not_disturb_each_other(driver: Driver) -> None:
    def giving(text: bytes) -> Callable[[Attempt], None]:
        return lambda attempt: attempt.give("text", text)

    refs = {text: driver.put(giving(text)) for text in (b"one", b"two")}
    assert len(set(refs.values())) == 2
    for text in (b"two", b"one", b"two"):
        driver.send(refs[text])
        assert driver.outcome().outputs[0].data == text


def test_progress_is_told(driver: Driver, tmp_path: Path) -> None:
    """While it works: what ends at once need not say how far it was."""
    heard = tmp_path / "heard"
    heard.touch(exist_ok=True) if driver.engine.reach == "process" else None

    def work(attempt: Attempt) -> None:
        attempt.count(rows_in=3, bytes_in=24)
        until = time.monotonic() + PATIENCE
        while not heard.exists() and time.monotonic() < until:
            select.select([], [], [], 0.01)

    driver.send(driver.put(work))
    driver.until(lambda: any(sign.rows for sign in driver.progress))  # the first may come while the program is loaded
    heard.touch()
    driver.outcome()
    sign = driver.progress[-1]
    assert (sign.attempt, sign.rows, sign.size) == (1, 3, 24)
    assert sign.memory > 1 << 20


def test_a_silent_function_shows_that_it_lives(killer: Driver) -> None:
    killer.send(killer.put(lambda attempt: signal.pause()))
    killer.until(lambda: killer.progress)
    assert killer.progress[0].attempt == 1


def test_big_programs_tasks_and_outcomes_travel(driver: Driver) -> None:
    blob, piece = os.urandom(BIG), os.urandom(60_000)

    def echo(attempt: Attempt) -> None:
        assert len(blob) == BIG
        for output, data in attempt.inputs():
            attempt.give(output.name, bytes(data))

    inputs = tuple(Output(str(n), 0, len(piece), digest(piece), piece) for n in range(BIG // len(piece)))
    outcome = driver.run(echo, inputs=inputs)
    assert outcome.failure is None
    assert outcome.outputs == inputs


def test_what_is_printed_becomes_the_log_and_nothing_else(driver: Driver, capfd: pytest.CaptureFixture[str]) -> None:
    def chat(attempt: Attempt) -> None:
        print("to standard output")
        print("to standard error", file=sys.stderr)
        attempt.log("to the log")
        sys.stdout.buffer.write(b"bytes without an end")

    outcome = driver.run(chat)
    assert sorted(outcome.logs) == [
        "bytes without an end",
        "to standard error",
        "to standard output",
        "to the log",
    ]
    assert driver.run(nothing).logs == ()
    assert capfd.readouterr() == ("", "")


def test_logs_are_bounded(driver: Driver) -> None:
    def chatter(attempt: Attempt) -> None:
        for n in range(100_000):
            print(n)
        print("x" * 1_000_000)

    logs = driver.run(chatter).logs
    assert len(logs) == 201
    assert logs[0] == "0"
    assert "99801 lines dropped" in logs[100]
    assert logs[-1].endswith("bytes cut")
    assert len(logs[-1].encode()) <= 2048


# --- failures ------------------------------------------------------------------------------------------------------


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__


class Unpicklable(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("holds a lambda")
        self.trap = lambda: a + b


def recurse(n: int = 0) -> int:
    return recurse(n + 1) + 1


def raising(error: BaseException) -> Callable[[Attempt], None]:
    def work(attempt: Attempt) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("work", "kind", "name", "words"),
    [
        (raising(ValueError("bad value 7")), "exception", "ValueError", "bad value 7"),
        (raising(InputError("a.csv, row 3: not a number", "mend it")), "input", "InputError", "row 3"),
        (raising(StorageError("cannot write b", "free space")), "storage", "StorageError", "cannot write b"),
        (raising(OSError(errno.ENOSPC, "No space left on device")), "storage", "OSError", "No space"),
        (
            raising(FileNotFoundError(errno.ENOENT, "No such file", "x")),
            "exception",
            "FileNotFoundError",
            "No such file",
        ),
        (raising(MemoryError("8 GB wanted")), "memory", "MemoryError", "8 GB"),
        (lambda attempt: sys.exit(3), "exception", "SystemExit", "sys.exit(3)"),
        (raising(ExceptionGroup("two", [ValueError("one"), OSError("other")])), "exception", "ExceptionGroup", "two"),
        (lambda attempt: recurse(), "exception", "RecursionError", "recursion"),
        (lambda attempt: (_ for _ in ()).throw(Unspeakable()), "exception", "Unspeakable", "raised ValueError"),
        (lambda attempt: (_ for _ in ()).throw(Unpicklable(1, 2)), "exception", "Unpicklable", "holds a lambda"),
        (raising(ValueError("half a pair: \ud800")), "exception", "ValueError", "half a pair"),
    ],
)
def test_a_failure_is_data_and_the_worker_goes_on(
    driver: Driver, work: Callable[[Attempt], None], kind: str, name: str, words: str
) -> None:
    def leave_a_result_open(attempt: Attempt) -> None:
        attempt.connection().execute("FROM range(100000)").fetchone()
        work(attempt)

    failure = driver.run(leave_a_result_open).failure
    assert failure is not None
    assert (failure.kind, failure.type.rpartition(".")[2]) == (kind, name)
    assert words in failure.message
    assert "shardwise/compute" not in failure.traceback
    after = driver.run(
        lambda attempt: attempt.give("n", str(attempt.connection().execute("SELECT 42").fetchall()).encode())
    )
    assert after.outputs[0].data == b"[(42,)]"
    assert not driver.down


def test_a_program_that_cannot_be_unpickled_is_a_failure(driver: Driver) -> None:
    driver.send(driver.engine.put(b"cno_such_module\nf\n."))
    failure = driver.outcome().failure
    assert failure is not None
    assert (failure.kind, failure.code) == ("exception", "E300")
    assert "no_such_module" in failure.message


# --- deaths --------------------------------------------------------------------------------------------------------


def replaced(driver: Driver) -> SlotDown:
    """Wait until a slot is down and another up that works; how the first went down."""
    driver.until(lambda: driver.down and driver.up)
    assert driver.run(say_where).failure is None
    (down,) = driver.down
    assert down.slot not in driver.up
    return down


def test_a_killed_worker_is_replaced(killer: Driver) -> None:
    slot = killer.send(killer.put(run_for_ever))
    pid = killer.up[slot].pid
    killer.until(lambda: killer.progress)
    killer.engine.kill(slot)
    down = replaced(killer)
    assert (down.slot, down.kind) == (slot, "killed")
    assert gone(pid)
    killer.engine.send(slot, b"{}")
    killer.engine.kill(slot)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda attempt: os._exit(3), "exit status 3"),
        (lambda attempt: ctypes.string_at(0), "SIGSEGV"),
        (lambda attempt: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (lambda attempt: os.abort(), "SIGABRT"),
        (lambda attempt: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
    ],
    ids=["exit", "segfault", "sigkill", "abort", "sigterm"],
)
def test_a_crash_is_told_in_words(killer: Driver, work: Callable[[Attempt], None], words: str) -> None:
    slot = killer.send(killer.put(work))
    down = replaced(killer)
    assert (down.slot, down.kind) == (slot, "crash")
    assert words in down.reason


def test_what_a_dying_worker_said_is_kept(killer: Driver) -> None:
    def die(attempt: Attempt) -> None:
        print("my last words")
        ctypes.string_at(0)

    killer.send(killer.put(die))
    reason = replaced(killer).reason
    assert "my last words" in reason
    assert "Segmentation fault" in reason


def test_a_death_tells_which_call_it_was(killer: Driver) -> None:
    def die(attempt: Attempt) -> None:
        calls = attempt.quarantine.calls
        assert calls is not None
        calls.begin(attempt.spec.attempt, 1, 2, 30, 40, False)
        os._exit(3)

    killer.send(killer.put(die))
    assert records.from_json(LostCall, replaced(killer).call) == LostCall(1, 1, 2, 30, 40, False, 3)


def test_a_death_outside_of_a_call_tells_none(killer: Driver) -> None:
    killer.send(killer.put(lambda attempt: os._exit(3)))
    assert replaced(killer).call == b""


def test_a_call_that_takes_too_long_is_ended(killer: Driver) -> None:
    def hang(attempt: Attempt) -> None:
        calls = attempt.quarantine.calls
        assert calls is not None
        calls.begin(attempt.spec.attempt, 0, 0, 0, 1, False)
        hold_the_lock(attempt)

    ref = killer.put(hang)
    slot = min(killer.up)
    spec = TaskSpec("run", "stage", 0, 1, ref, 0, 1, str(killer.directory / "1"), call_seconds=0.2)
    killer.engine.send(slot, records.to_json(spec).encode())
    down = replaced(killer)
    assert (down.slot, down.kind) == (slot, "timeout")
    assert "in hold_the_lock" in down.reason


def test_an_idle_worker_killed_from_outside_is_replaced(killer: Driver) -> None:
    (up,) = killer.up.values()
    os.kill(up.pid, signal.SIGKILL)
    assert replaced(killer).kind == "crash"


def test_processes_that_a_function_started_die_with_its_worker(killer: Driver) -> None:
    def start_another(attempt: Attempt) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        tell(attempt, child.pid)
        signal.pause()

    slot = killer.send(killer.put(start_another))
    child = killer.told()
    killer.engine.kill(slot)
    assert replaced(killer).kind == "killed"
    assert gone(child)


def test_processes_that_a_function_started_die_though_their_worker_crashed(killer: Driver) -> None:
    def start_another_and_die(attempt: Attempt) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        tell(attempt, child.pid)
        os._exit(1)

    killer.send(killer.put(start_another_and_die))
    assert replaced(killer).kind == "crash"
    assert gone(killer.told())


def test_a_forked_child_that_survives_does_not_hide_a_death(killer: Driver) -> None:
    """It holds a copy of the worker's end of the socket."""

    def fork_and_die(attempt: Attempt) -> None:
        there, left = os.pipe()
        child = os.fork()
        if child == 0:
            os.setsid()
            os.close(left)
            time.sleep(600)
        os.close(left)
        os.read(there, 1)  # until it has left the group, which is killed when this process has ended
        tell(attempt, child)
        os._exit(1)

    killer.send(killer.put(fork_and_die))
    try:
        assert "exit status 1" in replaced(killer).reason
        assert psutil.Process(killer.told()).status() != psutil.STATUS_ZOMBIE, "the child did not survive"
    finally:
        os.kill(killer.told(), signal.SIGKILL)


def test_a_forked_child_that_returns_does_not_answer_too(killer: Driver) -> None:
    def fork(attempt: Attempt) -> None:
        child = os.fork()
        if child:
            os.waitpid(child, 0)

    assert killer.run(fork).failure is None
    assert killer.run(say_where).outputs[0].data == str(killer.up[min(killer.up)].pid).encode()
    assert not killer.finished


def test_an_interrupt_that_a_function_raises_is_its_own_fault(killer: Driver) -> None:
    failure = killer.run(raising(KeyboardInterrupt())).failure
    assert failure is not None
    assert (failure.kind, failure.type) == ("exception", "KeyboardInterrupt")


def test_interrupts_from_the_keyboard_do_not_reach_workers(killer: Driver) -> None:
    assert killer.run(lambda attempt: os.killpg(0, signal.SIGINT)).failure is None


def test_two_hundred_tasks_survive_random_kills(killer: Driver) -> None:
    engine = another(killer)
    driver = Driver(engine, killer.directory)
    dice = random.Random(7)
    todo, done, running = list(range(200)), set(), {}
    try:
        engine.open(Want(3))
        ref = driver.put(say_where)
        deaths = 0
        while len(done) < 200:
            driver.wait()
            for finished in driver.finished:
                outcome = records.from_json(Outcome, finished.outcome)
                assert outcome.task == running.pop(finished.slot)
                assert outcome.task not in done
                done.add(outcome.task)
            driver.finished.clear()
            for slot in [s for s in running if s not in driver.up]:
                todo.append(running.pop(slot))
            for slot in [s for s in driver.up if s not in running][: len(todo)]:
                running[slot] = todo.pop()
                driver.send(ref, slot, task=running[slot])
            if dice.random() < 0.15 and deaths < 20 and driver.up:
                deaths += 1
                with contextlib.suppress(ProcessLookupError):  # it has died, and the news of that is on its way
                    os.kill(dice.choice(list(driver.up.values())).pid, signal.SIGKILL)
        assert done == set(range(200))
        assert driver.down
    finally:
        engine.close()


# --- a task ahead ----------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(killer: Driver) -> Driver:
    """A driver of an engine that takes a task for a slot that is busy."""
    if not getattr(killer.engine, "reads_ahead", False):
        pytest.skip("it takes none")
    return killer


def waits_for(file: Path, note: Path) -> Callable[[Attempt], None]:
    def execute(attempt: Attempt) -> None:
        with note.open("a") as notes:
            notes.write(f"{attempt.spec.task} ")
        attempt.count(rows_in=1)
        while not file.exists():
            time.sleep(0.005)

    return execute


def test_a_task_that_is_sent_ahead_begins_when_the_one_before_has_ended(reader: Driver, tmp_path: Path) -> None:
    """Each of ten is sent while the one before is under way; and then one to a slot that has nothing to do."""
    reader.send(reader.put(waits_for(tmp_path / "go", tmp_path / "notes")))
    reader.told()
    ref = reader.put(waits_for(tmp_path, tmp_path / "notes"))  # another program, which waits for nothing
    reader.send(ref, task=1)
    assert (tmp_path / "notes").read_text() == "0 "
    (tmp_path / "go").touch()
    for task in range(2, 10):
        reader.until(lambda: reader.finished)
        assert records.from_json(Outcome, reader.finished.pop(0).outcome).task == task - 2
        reader.send(ref, task=task)
    reader.until(lambda: len(reader.finished) == 2)
    reader.send(ref, task=10)
    reader.until(lambda: len(reader.finished) == 3)
    assert (tmp_path / "notes").read_text().split() == [str(task) for task in range(11)]


def test_a_task_that_has_not_begun_can_be_had_back(reader: Driver, tmp_path: Path) -> None:
    slot = reader.send(reader.put(waits_for(tmp_path / "go", tmp_path / "notes")))
    reader.told()
    reader.send(reader.put(waits_for(tmp_path, tmp_path / "notes")), task=1)
    reader.engine.recall(slot, 1)  # type: ignore[attr-defined]  # it is under way
    reader.engine.recall(slot, 2)  # type: ignore[attr-defined]
    reader.until(lambda: reader.returned)
    assert reader.returned == [Returned(slot, 2)]
    (tmp_path / "go").touch()
    assert reader.outcome().attempt == 1
    reader.engine.recall(slot, 1)  # type: ignore[attr-defined]  # it has ended
    assert reader.run(waits_for(tmp_path, tmp_path / "notes"), task=2).attempt == 3
    assert (tmp_path / "notes").read_text() == "0 2 "
    assert len(reader.returned) == 1


@pytest.mark.parametrize("how", ["killed", "crash"])
def test_what_was_ahead_is_gone_with_its_slot(reader: Driver, tmp_path: Path, how: str) -> None:
    slot = reader.send(reader.put(waits_for(tmp_path / "go", tmp_path / "notes")))
    reader.told()
    reader.send(reader.put(waits_for(tmp_path, tmp_path / "notes")), task=1)
    if how == "killed":
        reader.engine.kill(slot)
    else:
        os.kill(reader.up[slot].pid, signal.SIGKILL)
    assert replaced(reader).kind == how
    assert not reader.finished and not reader.returned
    assert (tmp_path / "notes").read_text() == "0 "


# --- waiting -------------------------------------------------------------------------------------------------------


def test_another_thread_ends_the_waiting(driver: Driver) -> None:
    engine = driver.engine
    engine.wake()  # counts for the next wait
    assert engine.wait(PATIENCE) == []
    threading.Timer(0.1, engine.wake).start()
    assert engine.wait(PATIENCE) == []
    assert driver.run(say_where).failure is None


# --- closing -------------------------------------------------------------------------------------------------------


def descriptors(driver: Driver) -> int:
    """How many are open; not counted where the library of a cluster keeps connections for the next time."""
    return psutil.Process().num_fds() if driver.url == "local" else 0


@pytest.mark.parametrize("work", [nothing, run_for_ever, hold_the_lock])
def test_close_leaves_nothing(killer: Driver, work: Callable[[Attempt], None]) -> None:
    engine = another(killer)
    gc.collect()  # what earlier tests left open is closed whenever it is collected
    before = descriptors(killer)
    driver = Driver(engine, killer.directory)
    engine.open(Want(2))
    driver.until(lambda: len(driver.up) == 2)
    driver.send(driver.put(work))
    driver.until(lambda: driver.progress or driver.finished)
    pids = [up.pid for up in driver.up.values()]
    engine.close()
    engine.close()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert engine.wait(0) == []
    assert descriptors(killer) <= before


def test_close_before_the_workers_are_ready(killer: Driver) -> None:
    engine = another(killer)
    before = {child.pid for child in psutil.Process().children()}
    engine.open(Want(2))
    engine.close()
    assert {child.pid for child in psutil.Process().children()} <= before


def test_an_engine_that_was_closed_can_be_opened_again(driver: Driver) -> None:
    for _ in range(2):
        driver.engine.close()
        driver.up.clear()
        driver.open(1)
        assert driver.run(say_where).failure is None


def test_ceilings_hold_after_an_engine_was_opened_again(killer: Driver) -> None:
    killer.engine.close()
    killer.up.clear()
    killer.open(1)
    ref, slot = killer.put(fill_memory), min(killer.up)
    spec = TaskSpec("run", "stage", 0, 1, ref, 0, 1, str(killer.directory / "1"), (), str(killer.directory))
    killer.engine.send(slot, records.to_json(spec).encode(), 300 << 20)
    killer.until(lambda: killer.down or killer.finished)
    assert [(down.kind, down.used < 2 << 30) for down in killer.down] == [("memory", True)]


def test_close_without_open(driver: Driver) -> None:
    engine_at(driver.url).close()


ORPHAN = """
import sys, cloudpickle
sys.path.insert(0, {tests!r})
from conformance import test_engines as suite
from pathlib import Path
if {engine!r} == suite.FRESH:
    suite.children.can_fork = lambda: False
engine = suite.engine_at({engine!r}.partition(",")[0])
driver = suite.Driver(engine, Path({directory!r}))
engine.open(suite.Want(2))
driver.until(lambda: len(driver.up) == 2)
driver.send(driver.put(suite.{work}))
driver.until(lambda: driver.progress)
print(*[up.pid for up in driver.up.values()], flush=True)
driver.until(lambda: False)
"""


@pytest.mark.parametrize("engine", WITH_PROCESSES)
@pytest.mark.parametrize("work", ["run_for_ever", "hold_the_lock"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_driver(
    engine: str, work: str, how: signal.Signals, clusters: Clusters, tmp_path: Path
) -> None:
    tests = str(Path(__file__).parents[1])
    script = ORPHAN.format(tests=tests, engine=clusters.url(engine), directory=str(tmp_path), work=work)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.send_signal(how)
    assert all(gone(pid) for pid in pids)
