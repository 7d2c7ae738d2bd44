"""What CPython's own tests do not ask of an executor: by value, deaths, what cannot be pickled, what travels."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil
import pytest

import shardwise as sw
from shardwise.compute.calling import RemoteTraceback
from shardwise.compute.machine import usable_cores
from shardwise.compute.packing import LARGE
from shardwise.engines.inline import InlineEngine
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import EngineEvent, Reach, Want
from shardwise.engines.room import Room
from shardwise.errors import EngineError, FunctionError, LargeClosure, UsageError, WorkerError
from shardwise.run import calls
from shardwise.run.calls import CallLost

cloudpickle.register_pickle_by_value(sys.modules[__name__])

PATIENCE = float(os.environ.get("SHARDWISE_PATIENCE", "60"))


@pytest.fixture(scope="module")
def executor() -> Iterator[sw.Executor]:
    """One for all tests that leave it as it was."""
    with sw.Executor("local", workers=2) as made:
        yield made


def until(happened: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- by value ------------------------------------------------------------------------------------------------------


def test_functions_of_every_kind(executor: sw.Executor) -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            self.n += x
            return self.n

    adder, n = Adder(10), 5
    assert executor.submit(lambda x: x + n, 1).result(PATIENCE) == 6
    assert executor.submit(adder, 1).result(PATIENCE) == 11
    assert executor.submit(adder, 1).result(PATIENCE) == 11, "what a call does to its callable is its own affair"
    assert executor.submit("a,b".split, ",").result(PATIENCE) == ["a", "b"]
    assert executor.submit(dict, [(1, 2)], a=3).result(PATIENCE) == {1: 2, "a": 3}


def test_a_function_is_sent_as_it_is_now(executor: sw.Executor) -> None:
    captured = [1]

    def last() -> int:
        return captured[-1]

    assert executor.submit(last).result(PATIENCE) == 1
    captured.append(2)
    assert executor.submit(last).result(PATIENCE) == 2


def test_arguments_are_those_of_the_moment_of_submission(executor: sw.Executor) -> None:
    given = np.zeros(300_000)
    future = executor.submit(np.sum, given)
    given[:] = 1
    assert future.result(PATIENCE) == 0


@pytest.mark.parametrize("size", [3, 300_000])
def test_arrays_can_be_written_to_there_and_here(executor: sw.Executor, size: int) -> None:
    def double(x: Any) -> Any:
        x *= 2
        return x

    given = np.ones(size)
    back = executor.submit(double, given).result(PATIENCE)
    back += 1
    assert (back == 3).all()
    assert (given == 1).all()


def test_objects_of_a_class_of_this_script_come_back_as_such(executor: sw.Executor) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    back = executor.submit(lambda p: p, Point(3)).result(PATIENCE)
    assert isinstance(back, Point)
    assert back.x == 3


class Distant(LocalEngine):
    """Workers that are said to be elsewhere: no file is the same there."""

    reach: Reach = "network"


def test_much_travels_without_files_where_workers_are_elsewhere() -> None:
    blob = os.urandom(1 << 20)
    with sw.Executor(Distant(1), workers=1) as executor:
        assert executor.submit(lambda x: (blob, x), np.arange(100_000)).result(PATIENCE)[0] == blob
        assert executor.submit(lambda x: x[::-1], np.arange(100_000)).result(PATIENCE)[0] == 99_999


def test_nothing_is_left_of_what_was_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = psutil.Process().num_fds()
    with sw.Executor("local", workers=1) as executor:
        for _ in range(3):
            executor.submit(lambda x: x, b"x" * 1_000_000).result(PATIENCE)
        assert len(list(tmp_path.glob("shardwise-*/*"))) <= 1
    assert list(tmp_path.iterdir()) == []
    until(lambda: psutil.Process().num_fds() <= before)  # other tests' threads look at their workers now and then


class Watched(InlineEngine):
    """Notes how many bytes each task has."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        self.sizes.append(len(task))
        super().send(slot, task, memory)


def test_a_function_travels_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blob, other = b"x" * 100_000, b"y" * 100_000
    engine = Watched()
    monkeypatch.setattr(calls, "KEPT_COUNT", 1)
    with sw.Executor(engine) as executor:
        for n in range(3):
            assert executor.submit(lambda n: len(blob) + n, n).result(PATIENCE) == 100_000 + n
        assert list(executor.map(lambda n: len(other) + n, range(3))) == [100_000, 100_001, 100_002]
        assert executor.submit(lambda n: len(blob) + n, 9).result(PATIENCE) == 100_009, "it was forgotten meanwhile"
        (program,) = engine._programs.values()
        assert len(program._program._kept) == 1  # type: ignore[union-attr]
    assert [size > 100_000 for size in engine.sizes] == [True, False, False, True, False, False, True]


def test_prints_are_seen(executor: sw.Executor, capsys: pytest.CaptureFixture[str]) -> None:
    executor.submit(print, "printed there").result(PATIENCE)
    assert capsys.readouterr().out == "printed there\n"


# --- errors --------------------------------------------------------------------------------------------------------


class TwoArguments(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class Told(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def fail(error: BaseException) -> None:
    raise error


def test_an_exception_comes_as_itself_and_says_where(executor: sw.Executor) -> None:
    error = executor.submit(fail, Told(7)).exception(PATIENCE)
    assert type(error) is Told
    assert error.number == 7
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in fail" in str(error.__cause__)
    assert "shardwise/" not in str(error.__cause__).replace(__file__, "")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError("8 GB"), StopIteration(1)])
def test_exceptions_of_every_kind(executor: sw.Executor, error: BaseException) -> None:
    assert type(executor.submit(fail, error).exception(PATIENCE)) is type(error)


def test_an_exception_that_cannot_be_pickled_is_told(executor: sw.Executor) -> None:
    def trap() -> None:
        raise TwoArguments(1, 2)

    error = executor.submit(trap).exception(PATIENCE)
    assert isinstance(error, FunctionError)
    assert "1 and 2" in str(error)


class Refusing:
    """Cannot be pickled, or not be unpickled."""

    def __init__(self, going: bool) -> None:
        self.going = going

    def __reduce__(self) -> Any:
        if self.going:
            raise pickle.PicklingError("not me")
        return fail, (Told(9),)


@pytest.mark.parametrize("going", [True, False])
def test_what_cannot_be_pickled_is_an_error_of_its_future(executor: sw.Executor, going: bool) -> None:
    kind = pickle.PicklingError if going else Told
    thing = Refusing(going)
    assert isinstance(executor.submit(len, thing).exception(PATIENCE), kind)  # an argument
    assert isinstance(executor.submit(lambda: thing).exception(PATIENCE), kind)  # a function
    assert isinstance(executor.submit(Refusing, going).exception(PATIENCE), kind)  # a result
    with pytest.raises(kind):
        list(executor.map(id, [1, thing]))
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


# --- deaths --------------------------------------------------------------------------------------------------------


def die_once(mark: str, how: int = signal.SIGKILL) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), how)
    return "alive"


def test_a_worker_that_dies_costs_another_try(executor: sw.Executor, tmp_path: Path) -> None:
    futures = [executor.submit(die_once, str(tmp_path / str(n % 2))) for n in range(6)]
    assert [future.result(PATIENCE) for future in futures] == ["alive"] * 6


def test_a_call_that_kills_fails_alone(executor: sw.Executor) -> None:
    killer = executor.submit(os._exit, 3)
    others = [executor.submit(pow, 2, n) for n in range(20)]
    error = killer.exception(PATIENCE)
    assert isinstance(error, CallLost)
    assert isinstance(error, BrokenExecutor)
    assert isinstance(error.__cause__, WorkerError)
    assert "3 times in a row, the worker died" in str(error)
    assert "exit status 3" in str(error)
    assert [future.result(PATIENCE) for future in others] == [2**n for n in range(20)]


class ExitWhenPickled:
    """Ends the worker when it is pickled, or unpickled, there."""

    def __init__(self, pid: int, when_pickled: bool) -> None:
        self.pid, self.when_pickled = pid, when_pickled

    def __reduce__(self) -> Any:
        if self.when_pickled and os.getpid() != self.pid:
            os._exit(4)
        return exit_elsewhere, (self.pid, self.when_pickled)


def exit_elsewhere(pid: int, when_pickled: bool) -> Any:
    if not when_pickled and os.getpid() != pid:
        os._exit(4)
    return ExitWhenPickled(pid, when_pickled)


@pytest.mark.parametrize("when_pickled", [True, False])
def test_deaths_while_pickling(when_pickled: bool) -> None:
    with sw.Executor("local", workers=1, retries=0) as executor:
        error = executor.submit(lambda x: x, ExitWhenPickled(os.getpid(), when_pickled)).exception(PATIENCE)
        assert isinstance(error, CallLost)
        assert "exit status 4" in str(error)
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_a_call_that_takes_too_long_is_ended() -> None:
    with sw.Executor("local", workers=1, timeout=0.3) as executor:
        error = executor.submit(time.sleep, 600).exception(PATIENCE)
        assert isinstance(error, CallLost)
        assert "more than 0.3 s" in str(error)
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_a_call_that_holds_too_much_is_ended() -> None:
    def hold() -> None:
        held = []
        while True:
            held.append(b"x" * (16 << 20))
            time.sleep(0.01)

    with sw.Executor("local", workers=1, retries=0, memory="400MB") as executor:
        error = executor.submit(hold).exception(PATIENCE)
        assert isinstance(error, CallLost)
        assert "memory" in str(error)


class Leaving(InlineEngine):
    """Goes away while it is waited for."""

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        raise EngineError("the cluster is gone", "bring it back")


def test_an_engine_that_goes_away_breaks_the_executor() -> None:
    executor = sw.Executor(Leaving())
    error = executor.submit(pow, 2, 3).exception(PATIENCE)
    assert isinstance(error, BrokenExecutor)
    assert isinstance(error.__cause__, EngineError)
    assert "the cluster is gone" in str(error)
    until(lambda: executor.broken)
    with pytest.raises(BrokenExecutor, match="the cluster is gone"):
        executor.submit(pow, 2, 3)
    executor.shutdown()


class Fickle(InlineEngine):
    """Takes its slot back so many times before it lets a task be done."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        if self.times:
            self.times -= 1
            self._renew("taken back")
            self._events[-2] = type(self._events[-2])(slot, "engine", "taken back")
        else:
            super().send(slot, task, memory)


def test_a_slot_that_is_taken_back_costs_a_call_nothing() -> None:
    with sw.Executor(Fickle(10), retries=0) as executor:
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_an_engine_that_only_takes_slots_back_is_given_up() -> None:
    with sw.Executor(Fickle(100), retries=0) as executor:
        assert "13 slots were lost in a row" in str(executor.submit(pow, 2, 3).exception(PATIENCE))


# --- states --------------------------------------------------------------------------------------------------------


def test_what_waits_can_be_cancelled_and_what_runs_cannot(tmp_path: Path) -> None:
    def wait_for(name: str) -> None:
        while not Path(name).exists():
            time.sleep(0.01)

    with sw.Executor("local", workers=1) as executor:
        first = executor.submit(wait_for, str(tmp_path / "go"))
        second = executor.submit(pow, 2, 3)
        third = executor.submit(pow, 2, 4)
        until(first.running)
        assert not second.running()
        assert second.cancel()
        assert not first.cancel()
        (tmp_path / "go").touch()
        assert third.result(PATIENCE) == 16
        with pytest.raises(CancelledError):
            second.result()


def test_what_finds_an_idle_worker_has_begun(tmp_path: Path) -> None:
    def wait_for(name: str) -> None:
        while not Path(name).exists():
            time.sleep(0.01)

    with sw.Executor("local", workers=1) as executor:
        executor.submit(int).result(PATIENCE)
        until(lambda: executor._dispatcher._idle)
        first, second = executor.submit(wait_for, str(tmp_path / "go")), executor.submit(int)
        assert first.running()
        assert not first.cancel()
        assert second.cancel()
        (tmp_path / "go").touch()


def test_the_end_does_not_wait_for_what_was_cancelled() -> None:
    executor = sw.Executor("local", workers=1)
    executor.submit(int).result(PATIENCE)
    executor.submit(int).cancel()
    executor.shutdown(wait=False)
    executor._dispatcher._thread.join(PATIENCE / 4)
    assert not executor._dispatcher._thread.is_alive()


def test_workers_can_be_killed() -> None:
    executor = sw.Executor("local", workers=1)
    running, waiting = executor.submit(time.sleep, 600), executor.submit(pow, 2, 3)
    until(running.running)
    executor.kill_workers()
    executor.shutdown()
    assert isinstance(running.exception(PATIENCE), BrokenExecutor)
    assert waiting.cancelled()


def test_an_executor_that_is_forgotten_ends_when_its_calls_are_done() -> None:
    executor = sw.Executor("local", workers=1)
    future = executor.submit(pow, 2, 3)
    thread = executor._dispatcher._thread
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None
    assert future.result(PATIENCE) == 8
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_an_executor_that_is_never_used_starts_nothing() -> None:
    before = {child.pid for child in psutil.Process().children()}
    with sw.Executor("local") as executor:
        assert executor.workers >= 1
    assert {child.pid for child in psutil.Process().children()} <= before


SCRIPT = """
import time
import shardwise as sw
executor = sw.Executor({engine}, workers=2)
def f(n):
    time.sleep(0.2)
    print(n)
executor.map(f, range(4))
"""


@pytest.mark.parametrize(
    "engine", ["'local'", "'inline'", "__import__('concurrent.futures').futures.ThreadPoolExecutor(2)"]
)
def test_the_end_of_the_program_waits_for_calls_and_then_ends(engine: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    script = SCRIPT.format(engine=engine)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=PATIENCE)
    assert sorted(done.stdout.split()) == [b"0", b"1", b"2", b"3"]
    assert done.stderr == b""


# --- map -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 3, 100])
@pytest.mark.parametrize("buffersize", [None, 1, 4])
def test_map_is_map(executor: sw.Executor, chunksize: int, buffersize: int | None) -> None:
    found = executor.map(pow, range(10), itertools.count(1), chunksize=chunksize, buffersize=buffersize)
    assert list(found) == list(map(pow, range(10), itertools.count(1)))


def test_map_reads_no_further_than_it_is_told(executor: sw.Executor) -> None:
    read = []

    def numbers() -> Iterator[int]:
        for n in itertools.count():
            read.append(n)
            yield n

    found = executor.map(abs, numbers(), buffersize=3)
    assert len(read) == 3
    assert [next(found), next(found)] == [0, 1]
    assert len(read) == 5
    del found


def test_map_stops_waiting_in_time(executor: sw.Executor) -> None:
    found = executor.map(time.sleep, [0, 2], timeout=0.5)
    with pytest.raises(TimeoutError):
        list(found)


@pytest.mark.parametrize("wrong", [{"chunksize": 0}, {"buffersize": 0}])
def test_map_refuses_at_once(executor: sw.Executor, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        executor.map(abs, [1], **wrong)  # type: ignore[arg-type]


# --- engines -------------------------------------------------------------------------------------------------------


def test_wrong_options_are_refused() -> None:
    for options in ({"engine": "nonsense"}, {"workers": 0}, {"retries": -1}, {"ship": ["no_such_module"]}):
        with pytest.raises(UsageError):
            sw.Executor(**options)  # type: ignore[arg-type]


def test_an_executor_on_an_executor() -> None:
    with ThreadPoolExecutor(2) as pool, sw.Executor(pool, workers=2) as executor:
        assert list(executor.map(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
        assert executor.submit(os.getpid).result(PATIENCE) != os.getpid()


class Counting(LocalEngine):
    """Notes what was wanted."""

    def open(self, want: Want) -> None:
        self.wanted = want
        super().open(want)


class Roomy(Counting):
    """Tells how many slots it has, as a cluster does."""

    def room(self) -> Room:
        return Room(slots=100, nodes=10, cpus=100)


def test_an_engine_that_can_be_asked_decides_how_many_workers_there_are() -> None:
    assert sw.Executor(Roomy()).workers == 100
    assert sw.Executor(Roomy(), workers=3).workers == 3
    assert sw.Executor(Counting()).workers == usable_cores()
    with ThreadPoolExecutor(3) as pool:
        assert sw.Executor(pool).workers == 3


def test_modules_to_ship_reach_the_engine() -> None:
    engine = Counting()
    with sw.Executor(engine, workers=1, ship=["cloudpickle"]) as executor:
        executor.submit(pow, 2, 3).result(PATIENCE)
    assert engine.wanted.ship == ("cloudpickle",)


def test_a_function_that_takes_much_along_is_warned_of_once(executor: sw.Executor) -> None:
    table = b"x" * (LARGE + 1)

    def look_up(n: int) -> int:
        return table[n]

    with pytest.warns(LargeClosure, match="look_up takes 10.0 MB along to each worker, most of it 'table'") as told:
        assert [executor.submit(look_up, n).result(PATIENCE) for n in range(2)] == [ord("x")] * 2
        assert list(executor.map(look_up, range(2))) == [ord("x")] * 2
    assert len(told) == 1


def test_nothing_is_said_of_a_function_that_goes_nowhere(recwarn: pytest.WarningsRecorder) -> None:
    table = b"x" * (LARGE + 1)
    with sw.Executor("inline") as executor:
        assert executor.submit(lambda: len(table)).result(PATIENCE) == LARGE + 1
    assert not [one for one in recwarn if one.category is LargeClosure]


def test_memory_is_shared_among_workers() -> None:
    engine = Counting()
    with sw.Executor(engine, workers=2, memory="2GB") as executor:
        executor.submit(pow, 2, 3).result(PATIENCE)
    assert (engine.wanted.slots, engine.wanted.memory) == (2, 1_000_000_000)


def test_a_job_runs_on_a_pool_that_is_smaller_than_asked_for() -> None:
    job = sw.from_items(list(range(20))).map_items(str).collect()
    with ThreadPoolExecutor(1) as pool:
        assert job.run(engine=pool, workers=2, progress=False).to_list() == [str(n) for n in range(20)]


def test_a_pool_that_was_shut_down_is_refused_by_name() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    job = sw.from_items([1]).map_items(str).collect()
    with pytest.raises(EngineError, match="the pool cannot lend slots"):
        job.run(engine=pool, workers=1, progress=False)
