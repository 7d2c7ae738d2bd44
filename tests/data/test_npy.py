from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from shardwise.data.npy import NpySource, read_npy
from shardwise.errors import InputError, UsageError


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def whole(source: NpySource, columns: list[str] | None = None) -> np.ndarray:
    return np.concatenate([batch.data for batch in source.read(0, sum(f.batches for f in source.fragments), columns)])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "<i4", ">i4", "u8", "f2", "<f4", ">f8"])
@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 4)])
@pytest.mark.parametrize("remote", [False, True])
def test_any_number_and_order(tmp_path: Path, order: Any, dtype: str, shape: tuple[int, ...], remote: bool) -> None:
    array = np.array(np.arange(np.prod(shape)).reshape(shape), dtype, order=order)
    place: Any = save(tmp_path / "a.npy", array)
    if remote:
        fsspec.filesystem("memory").pipe("/shardwise/a.npy", place.read_bytes())
        place = "memory://shardwise/a.npy"
    source = read_npy(place, batch_rows=16)
    assert source.schema.names == [f"c{k}" for k in range(len(array.reshape(50, -1)[0]))]
    assert source.schema.field(0).type == pa.from_numpy_dtype(array.dtype.newbyteorder("="))
    found = whole(source)
    assert found.dtype == array.dtype.newbyteorder("=") and found.shape == shape
    np.testing.assert_array_equal(found, array)
    if len(shape) == 2:
        np.testing.assert_array_equal(whole(source, ["c0"]), array[:, :1])


def test_local_batches_are_not_copied(tmp_path: Path) -> None:
    source = read_npy(save(tmp_path / "a.npy", np.arange(100.0)), batch_rows=30)
    [batch] = source.read(1, 2)
    assert batch.data.base is not None and not batch.data.flags.writeable and type(batch.data) is np.ndarray


def test_files_must_agree(tmp_path: Path) -> None:
    first = save(tmp_path / "0.npy", np.zeros((3, 2)))
    for other, words in (
        (np.zeros((3, 3)), r"shape \(3, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((3, 2), "f4"), "dtype float32"),
    ):
        with pytest.raises(InputError, match=rf"1\.npy: {words}, but .* in .*0\.npy"):
            read_npy([first, save(tmp_path / "1.npy", other)])
    assert len(whole(read_npy([first, save(tmp_path / "1.npy", np.zeros((0, 2)))]))) == 3


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(3, [("a", "i4")]), "no numeric columns"),
        (np.array(["a"]), "no numeric columns"),
        (np.zeros(3, complex), "no numeric columns"),
        (np.array([None]), "no numeric columns"),
        (np.zeros((2, 2, 2)), "3 dimensions"),
        (np.array(1.0), "0 dimensions"),
        (np.zeros((3, 0)), "no columns"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_npy(save(tmp_path / "a.npy", array))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array", b"\x93NUMPY\x01\x00\x10\x00garbage"])
def test_no_npy_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.npy: cannot be read as \.npy \({len(content)} bytes\)"):
        read_npy(tmp_path / "bad.npy")


def test_truncated_and_changed_files_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", np.zeros(100))
    source = read_npy(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="changed while it was in use"):
        list(source.read(0, 1))
    with pytest.raises(InputError, match=r"920 bytes, but shape \(100,\) of float64 needs 928"):
        read_npy(path)


def test_batches_fit_a_cache_unless_one_says_otherwise(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 1_000_000), np.float32))
    source = read_npy(tmp_path / "a.npy")
    assert (source.batch_rows, source.fragments[0].batches) == (1, 10)
    assert read_npy(tmp_path / "a.npy", batch_rows=4).fragments[0].batches == 3
