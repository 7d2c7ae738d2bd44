"""Statistics of every row, by a plain Python function and vectorised."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Clock, Ratio
from benchmarks.cores import usable

ROWS, COLUMNS = 1_000_000, 10
NAMES = ("mean", "std", "max", "min")


def generate(directory: Path, scale: float) -> None:
    """One array."""
    rng = np.random.default_rng(2)
    np.save(directory / "array.npy", rng.normal(100, 15, (max(1000, int(ROWS * scale)), COLUMNS)))


CASE = Case(
    "(b) Mean, std, max and min of each row, 1 000 000 x 10, results as columns",
    "Once by a Python function of one row in a loop, once vectorised. The array is in memory before the clock starts; "
    "starting processes counts, for everybody.",
    generate,
    targets=(
        Ratio("shardwise, plain", "plain loop", 1 / 1.85),
        Ratio("shardwise, plain", "Pool, plain", 1.0),
        Ratio("shardwise, plain", "joblib, plain", 1.0),
        Ratio("shardwise, vectorised", "Pool, vectorised", 1.0),
        Ratio("shardwise, vectorised", "joblib, vectorised", 1.0),
    ),
)


def row_statistics(row: list[float]) -> tuple[float, float, float, float]:
    """A plain Python function of one row."""
    mean = sum(row) / len(row)
    spread = math.sqrt(sum((value - mean) ** 2 for value in row) / len(row))
    return mean, spread, max(row), min(row)


def plain(batch: np.ndarray) -> dict[str, list[float]]:
    """The function on each row of a batch, in a loop."""
    return dict(zip(NAMES, map(list, zip(*[row_statistics(row) for row in batch.tolist()]))))


def vectorised(batch: np.ndarray) -> dict[str, Any]:
    """The same by NumPy."""
    return {"mean": batch.mean(axis=1), "std": batch.std(axis=1), "max": batch.max(axis=1), "min": batch.min(axis=1)}


def _array(data: Path) -> Any:
    return np.load(data / "array.npy")


def _digest(columns: dict[str, Any]) -> dict[str, list[float]]:
    """What is compared: the columns' sums, and a few values."""
    return {
        name: [float(np.sum(values)), *(float(values[i]) for i in range(0, len(values), max(1, len(values) // 5)))]
        for name, values in columns.items()
    }


def _ours(data: Path, clock: Clock, function: Any) -> Any:
    import shardwise as sw

    array = _array(data)
    with clock:
        table = sw.from_array(array).map(function).collect().run().to_arrow()
    return _digest({name: table.column(name).to_numpy() for name in NAMES})


@CASE.peer("shardwise, plain", "`from_array(a).map(f).collect().run()`, engine `auto`", "shardwise")
def shardwise_plain(data: Path, clock: Clock) -> Any:
    return _ours(data, clock, plain)


@CASE.peer("plain loop", "one core, the function in a list comprehension, columns as NumPy arrays", "numpy")
def plain_loop(data: Path, clock: Clock) -> Any:
    array = _array(data)
    with clock:
        columns = {name: np.array(values) for name, values in plain(array).items()}
    return _digest(columns)


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def _pool(data: Path, clock: Clock, function: Any) -> Any:
    import multiprocessing

    array = _array(data)
    with clock, multiprocessing.Pool(usable()) as workers:
        columns = _joined(workers.map(function, np.array_split(array, 4 * usable())))
    return _digest(columns)


def _joblib(data: Path, clock: Clock, function: Any) -> Any:
    from joblib import Parallel, delayed

    array = _array(data)
    with clock:
        pieces = np.array_split(array, 4 * usable())
        columns = _joined(Parallel(n_jobs=usable())(delayed(function)(piece) for piece in pieces))
    return _digest(columns)


@CASE.peer("Pool, plain", "`Pool.map` over four pieces a core, default start method", "numpy")
def pool_plain(data: Path, clock: Clock) -> Any:
    return _pool(data, clock, plain)


@CASE.peer(
    "joblib, plain", "`Parallel(n_jobs=cores)` over four pieces a core, its default processes", "joblib", "numpy"
)
def joblib_plain(data: Path, clock: Clock) -> Any:
    return _joblib(data, clock, plain)


@CASE.peer("shardwise, vectorised", "the same with the NumPy function", "shardwise")
def shardwise_vectorised(data: Path, clock: Clock) -> Any:
    return _ours(data, clock, vectorised)


@CASE.peer("numpy, vectorised", "the NumPy function on the whole array, one core", "numpy")
def numpy_vectorised(data: Path, clock: Clock) -> Any:
    array = _array(data)
    with clock:
        columns = vectorised(array)
    return _digest(columns)


@CASE.peer("Pool, vectorised", "as above", "numpy")
def pool_vectorised(data: Path, clock: Clock) -> Any:
    return _pool(data, clock, vectorised)


@CASE.peer("joblib, vectorised", "as above", "joblib", "numpy")
def joblib_vectorised(data: Path, clock: Clock) -> Any:
    return _joblib(data, clock, vectorised)
