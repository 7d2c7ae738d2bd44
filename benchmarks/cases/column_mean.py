"""Column means of an array in memory."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Clock, Ratio
from benchmarks.cores import usable

ROWS, COLUMNS = 10_000_000, 10
PEERS = ("numpy", "dask.array", "joblib", "Pool")


def generate(directory: Path, scale: float) -> None:
    """One array."""
    rng = np.random.default_rng(1)
    np.save(directory / "array.npy", rng.normal(100, 15, (max(1000, int(ROWS * scale)), COLUMNS)))


CASE = Case(
    "(a) Column mean of an array in memory, 10 000 000 x 10 float64",
    "The array is in memory before the clock starts. The unit is one pass over its bytes in one thread; a mean cannot "
    "be computed in less than about half of that on two cores.",
    generate,
    targets=(
        Ratio("shardwise", "one-thread read", 1.5),
        *(Ratio("shardwise", peer, 1 / 3) for peer in PEERS),
    ),
)


def _array(data: Path) -> Any:
    return np.load(data / "array.npy")


@CASE.peer("shardwise", "`from_array(a).aggregate(mean('*')).run()`; no run directory", "shardwise")
def shardwise(data: Path, clock: Clock) -> Any:
    import shardwise as sw

    array = _array(data)
    _means(sw, array[:10])
    with clock:
        return _means(sw, array)


def _means(sw: Any, array: Any) -> Any:
    table = sw.from_array(array).aggregate(m=sw.mean("*")).run().to_arrow()
    return table.column("m")[0].as_py()


@CASE.peer("one-thread read", "the 64-bit words of the array added up as integers by NumPy, in one thread", "numpy")
def one_thread_read(data: Path, clock: Clock) -> Any:
    array = _array(data)
    with clock:
        int(array.reshape(-1).view(np.int64).sum())


@CASE.peer("numpy", "`a.mean(axis=0)`", "numpy")
def numpy(data: Path, clock: Clock) -> Any:
    array = _array(data)
    with clock:
        return array.mean(axis=0).tolist()


@CASE.peer(
    "dask.array",
    "`from_array(a, name=False)` with automatic chunks, on threads, as its documentation advises for NumPy arrays; "
    "`name=False` spares it hashing the array",
    "dask",
    "numpy",
)
def dask_array(data: Path, clock: Clock) -> Any:
    import dask.array as da

    array = _array(data)
    da.from_array(array[:10], name=False).mean(axis=0).compute()
    with clock:
        return da.from_array(array, chunks="auto", name=False).mean(axis=0).compute().tolist()


def _sum_of(rows: Any) -> Any:
    return rows.sum(axis=0)


@CASE.peer(
    "joblib",
    "sums of four pieces a core on threads (`prefer='threads'`), as its documentation advises for functions that "
    "release the interpreter",
    "joblib",
    "numpy",
)
def joblib(data: Path, clock: Clock) -> Any:
    from joblib import Parallel, delayed

    array = _array(data)
    with clock:
        pieces = np.array_split(array, 4 * usable())
        sums = Parallel(n_jobs=usable(), prefer="threads")(delayed(_sum_of)(piece) for piece in pieces)
        return (sum(sums) / len(array)).tolist()


_SHARED: Any = None


def _sum_between(span: tuple[int, int]) -> Any:
    return _SHARED[span[0] : span[1]].sum(axis=0)


@CASE.peer("Pool", "forked when the array is there, so that nothing is copied; its start-up counts", "numpy")
def pool(data: Path, clock: Clock) -> Any:
    import multiprocessing

    global _SHARED
    _SHARED = array = _array(data)
    pieces = 4 * usable()
    edges = [len(array) * i // pieces for i in range(pieces + 1)]
    with clock:
        with multiprocessing.get_context("fork").Pool(usable()) as workers:
            sums = workers.map(_sum_between, list(pairwise(edges)))
        return (sum(sums) / len(array)).tolist()
