from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.cli.tables import check_output, write_table
from shardwise.errors import StorageError, UsageError

TABLE = pa.table(
    {
        "店": ["東京", "", None, 'a "b", c', "x\ny", " s"],
        "値": [0.1, math.nan, None, 1e300, -0.0, 2.5],
        "n": pa.array([1, 2, None, 2**60, 5, 6], pa.int64()),
    }
)


def written(tmp_path: Path, suffix: str, table: pa.Table = TABLE) -> Path:
    path = tmp_path / f"結果{suffix}"
    write_table(table, str(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    return path


def test_parquet_and_arrow_come_back_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = pq.read_table(written(tmp_path, ".parquet"))
    assert again.to_pydict().__repr__() == TABLE.to_pydict().__repr__()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Wrote 6 rows to {tmp_path}")
    (tmp_path / "結果.parquet").unlink()
    assert pa.ipc.open_file(written(tmp_path, ".arrow")).read_all().schema == TABLE.schema


def test_csv_tells_null_from_empty_text(tmp_path: Path) -> None:
    path = written(tmp_path, ".csv")
    assert path.read_text().splitlines()[:4] == ["店,値,n", "東京,0.1,1", '"",NaN,2', ",,"]
    rows = list(csv.reader(path.read_bytes().decode().splitlines(keepends=True)))
    assert rows[4:] == [['a "b", c', "1e+300", str(2**60)], ["x\ny", "-0.0", "5"], [" s", "2.5", "6"]]


def test_ndjson_and_json(tmp_path: Path) -> None:
    path = written(tmp_path, ".ndjson")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"店": "東京", "値": 0.1, "n": 1}
    path.unlink()
    assert json.loads(written(tmp_path, ".json").read_text()) == lines


def test_npy(tmp_path: Path) -> None:
    table = pa.table({"a": [1.5, None], "b": [1, 2]})
    np.testing.assert_array_equal(np.load(written(tmp_path, ".npy", table)), [[1.5, 1], [math.nan, 2]])
    with pytest.raises(UsageError, match="店 is string"):
        write_table(TABLE, str(tmp_path / "x.npy"))


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_text("old")
    with pytest.raises(UsageError):
        write_table(TABLE, str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]
    assert path.read_text() == "old"


def test_a_url_is_written_through_fsspec() -> None:
    import fsspec

    write_table(TABLE, "memory://結果.ndjson", quiet=True)
    with fsspec.open("memory://結果.ndjson") as stream:
        assert len(stream.read().splitlines()) == 6


@pytest.mark.parametrize("path", ["result.xlsx", "result", "no/such/directory/x.csv", "."])
def test_a_wrong_output_is_refused_before_work(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_output(path)
    assert caught.value.fix


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory"):
        write_table(TABLE, str(tmp_path / "gone" / "x.csv"))
