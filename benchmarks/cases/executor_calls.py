"""Calls of a function through an executor, one by one."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Clock, Rate
from benchmarks.cores import usable

CALLS = 2_000


def generate(directory: Path, scale: float) -> None:
    """How many calls."""
    (directory / "calls").write_text(str(max(50, int(CALLS * scale))))


CASE = Case(
    "(j) 2 000 calls through an executor: x * x over Python integers",
    "What a call costs through `concurrent.futures`, and in chunks of 100. Workers have answered a first call when the "
    "clock starts. `sw.Executor` sends a call when its worker has answered the one before, and tries it again where "
    "that worker dies; the others send ahead, and give up.",
    generate,
    targets=(Rate("shardwise", CALLS, 200), Rate("shardwise, chunks", CALLS, 20_000)),
)


def square(x: int) -> int:
    """What is called."""
    return x * x


def _measure(executor: Executor, data: Path, clock: Clock, chunksize: int) -> Any:
    calls = range(int((data / "calls").read_text()))
    with executor:
        for first in [executor.submit(square, n) for n in range(4 * usable())]:
            first.result()
        with clock:
            results = list(executor.map(square, calls, chunksize=chunksize))
    return [len(results), sum(results), *results[::100]]


def _ours(data: Path, clock: Clock, chunksize: int) -> Any:
    import shardwise as sw

    return _measure(sw.Executor("local", usable()), data, clock, chunksize)


def _theirs(data: Path, clock: Clock, chunksize: int) -> Any:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return _measure(ProcessPoolExecutor(usable(), get_context("forkserver")), data, clock, chunksize)


@CASE.peer("shardwise", "`sw.Executor('local').map(square, calls)`", "shardwise")
def shardwise_calls(data: Path, clock: Clock) -> Any:
    return _ours(data, clock, 1)


@CASE.peer("shardwise, chunks", "`map(square, calls, chunksize=100)`", "shardwise")
def shardwise_chunks(data: Path, clock: Clock) -> Any:
    return _ours(data, clock, 100)


@CASE.peer("ProcessPoolExecutor", "`map(square, calls)`, forked by a server as ours are")
def process_pool(data: Path, clock: Clock) -> Any:
    return _theirs(data, clock, 1)


@CASE.peer("ProcessPoolExecutor, chunks", "`map(square, calls, chunksize=100)`")
def process_pool_chunks(data: Path, clock: Clock) -> Any:
    return _theirs(data, clock, 100)


@CASE.peer("loky", "`get_reusable_executor().map(square, calls)`, joblib's own", "joblib")
def loky(data: Path, clock: Clock) -> Any:
    from joblib.externals.loky import get_reusable_executor

    return _measure(get_reusable_executor(usable()), data, clock, 1)
