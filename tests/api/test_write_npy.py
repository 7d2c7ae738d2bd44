"""``write_npy``: what functions make of arrays is written as it is, and what is no array is refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import shardwise as sw
from shardwise.errors import UsageError

ARRAY = np.arange(4000.0).reshape(-1, 2)


def one(x: np.ndarray) -> np.ndarray:
    return x[:, 0]


def column(x: np.ndarray) -> np.ndarray:
    return x[:, :1]


def both(x: np.ndarray) -> np.ndarray:
    return x * 2


def flags(x: np.ndarray) -> np.ndarray:
    return x[:, 0] > 100


def big_endian(x: np.ndarray) -> np.ndarray:
    return x[:, 0].astype(">f8")


def none(x: np.ndarray) -> np.ndarray:
    return x[:0, 0]


def dataset(array: np.ndarray = ARRAY) -> Any:
    return sw.from_array(array, batch_rows=100)


def written(job: Any, directory: Path, **options: Any) -> np.ndarray:
    job.write_npy(str(directory), file_batches=4).run(progress="none", **options)
    return np.concatenate([np.load(file) for file in sorted(directory.glob("part-*.npy"))])


@pytest.mark.parametrize("function", [one, column, both, flags, big_endian, none], ids=lambda f: f.__name__)
def test_what_a_function_returns_is_written(function: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    expected = function(ARRAY)
    got = written(dataset().map(function), tmp_path / "out", engine="inline")
    assert got.shape == expected.shape and got.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("options", [{}, {"on_error": "quarantine"}], ids=["local", "quarantine"])
def test_workers_write_the_same(options: dict[str, Any], tmp_path: Path) -> None:
    got = written(dataset().map(one), tmp_path / "out", engine="local:2", **options)
    np.testing.assert_array_equal(got, ARRAY[:, 0])


def test_arrays_of_one_dimension_stay_so_from_file_to_file(tmp_path: Path) -> None:
    line = ARRAY[:, 0].copy()
    np.testing.assert_array_equal(written(dataset(line), tmp_path / "a", engine="inline"), line)
    twice = sw.read_npy(str(tmp_path / "a" / "*.npy")).map(both).map(np.sqrt)
    np.testing.assert_array_equal(written(twice, tmp_path / "b", engine="inline"), np.sqrt(2 * line))


def test_one_dimension_beside_two_is_refused(tmp_path: Path) -> None:
    def now_and_then(x: np.ndarray) -> np.ndarray:
        return x[:, 0] if x[0, 0] < 1000 else x[:, :1]

    with pytest.raises(sw.errors.FunctionError, match=r"a batch has shape \(100, 1\)"):
        written(dataset().map(now_and_then), tmp_path / "out", engine="inline", retries=0)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (dataset().filter("c0 > 10"), "hold arrays, but this job ends with a table"),
        (dataset().map(one).filter("c0 > 10"), "hold arrays, but this job ends with a table"),
        (dataset().map(lambda x: pa.table({"a": x[:, 0]})), "hold arrays, but this job ends with a table"),
        (dataset().map(lambda x: x.sum()), "hold arrays, but this job ends with a table"),
        (sw.from_items([1, 2, 3]).map_items(abs), "hold arrays, but this job ends with a table"),
        (dataset().map(lambda x: x[:, 0].astype("U5")), "column 'c0' is string, which .npy cannot hold"),
    ],
)
def test_what_is_no_array_is_refused_before_any_work(job: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        job.write_npy(str(tmp_path / "out")).run(engine="inline", progress="none")
    assert not list((tmp_path / "out").glob("part-*"))
