from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.feather
import pytest

from shardwise.data.ipc import IpcSource, read_ipc
from shardwise.errors import InputError, UsageError


def write(path: Path, table: pa.Table, rows: int | None = None, compression: str | None = None) -> Path:
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as file:
        file.write_table(table, max_chunksize=rows)
    return path


def sizes(source: IpcSource) -> list[int]:
    return [len(batch.data) for batch in source.read(0, sum(fragment.batches for fragment in source.fragments))]


NUMBERS = pa.table({"n": range(100), "s": [f"text {k}" for k in range(100)]})


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_record_batches_are_joined_and_cut(tmp_path: Path, compression: str | None) -> None:
    source = read_ipc(write(tmp_path / "a.arrow", NUMBERS, 30, compression), batch_rows=70)
    assert sizes(source) == [60, 40]
    assert source.fragments[0].rows == 100
    assert sizes(read_ipc(tmp_path / "a.arrow", batch_rows=20)) == [20, 10, 20, 10, 20, 10, 10]


def test_feather_and_dictionaries(tmp_path: Path) -> None:
    table = pa.table({"c": pa.array(["a", "b", None]).dictionary_encode()})
    pyarrow.feather.write_feather(table, tmp_path / "a.feather")
    [batch] = read_ipc(tmp_path, batch_rows=10).read(0, 1)
    assert batch.data.to_pylist() == table.to_pylist() and batch.data.schema == table.schema


def test_streams_are_read_in_order(tmp_path: Path) -> None:
    with pa.ipc.new_stream(tmp_path / "a.arrows", NUMBERS.schema) as file:
        file.write_table(NUMBERS, max_chunksize=7)
    source = read_ipc(tmp_path / "a.arrows", batch_rows=40)
    assert source.fragments[0].in_order and source.fragments[0].batches == 1
    assert sizes(source) == [40, 40, 20]


def test_columns_and_schema_of_several_files(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "0.arrow", NUMBERS),
        write(tmp_path / "1.arrow", NUMBERS.select(["s", "n"])),
        write(tmp_path / "2.arrow", NUMBERS.set_column(0, "n", pa.array([1.5] * 100))),
    ]
    batches = list(read_ipc(paths[:2]).read(0, 2, ["n"]))
    assert [batch.data.schema.names for batch in batches] == [["n"], ["n"]]
    with pytest.raises(InputError, match=r"2\.arrow: column 'n' is double, but int64 in .*0\.arrow"):
        read_ipc(paths)
    assert read_ipc(paths, columns=["s"]).schema.names == ["s"]
    with pytest.raises(UsageError, match="no column 'z'"):
        read_ipc(paths, columns=["z"])


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"nothing of Arrow", b"ARROW1\0\0" + b"\0" * 100 + b"ARROW1"])
def test_no_arrow_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.arrow").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.arrow") as caught:
        read_ipc(tmp_path / "bad.arrow")
    assert f"{len(content)} bytes" in caught.value.message


def test_truncated_and_changed_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", NUMBERS)
    source = read_ipc(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="changed while it was in use"):
        list(source.read(0, 1))
    with pytest.raises(InputError, match=r"a\.arrow: cannot be read as Arrow IPC"):
        read_ipc(path)


def test_a_truncated_stream_is_named(tmp_path: Path) -> None:
    with pa.ipc.new_stream(tmp_path / "a.arrows", NUMBERS.schema) as file:
        file.write_table(NUMBERS, max_chunksize=7)
    data = (tmp_path / "a.arrows").read_bytes()
    (tmp_path / "a.arrows").write_bytes(data[: len(data) // 2 + 3])
    with pytest.raises(InputError, match=r"a\.arrows: cannot be read as Arrow IPC"):
        sizes(read_ipc(tmp_path / "a.arrows"))


def test_files_behind_fsspec(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", NUMBERS, 30)
    fsspec.filesystem("memory").pipe("/shardwise/a.arrow", path.read_bytes())
    assert sizes(read_ipc("memory://shardwise/a.arrow", batch_rows=70)) == [60, 40]


def test_no_rows(tmp_path: Path) -> None:
    source = read_ipc(write(tmp_path / "a.arrow", NUMBERS.slice(0, 0)))
    assert source.fragments[0].batches == 0 and source.schema == NUMBERS.schema
