"""Damaged and mixed input files, from the command line: what is said, the status, and that what is committed stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.cli.main import main
from shardwise.run.directory import RunDirectory


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "f.py").write_text("def same(table):\n    return table\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parquet(path: Path, rows: int = 4000, **columns: pa.Array) -> Path:
    table = pa.table(columns or {"x": np.random.default_rng(rows).random(rows)})
    pq.write_table(table, path, row_group_size=1000, use_dictionary=False, compression="none")
    return path


def carry_out(place: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Map all of ``data``; the status and what was said."""
    status = main(
        ["map", "data", "f.py:same", "-o", "out", "--run-dir", "run", "--engine", "inline", "--batch-rows", "1000"]
        + ["--shard-size", "1", *more]
    )
    return status, capsys.readouterr().err


def check_told(status: int, said: str, *words: str) -> None:
    assert status == 2, said
    assert said.startswith("error[E") or "\nerror[E" in said
    assert "\n  fix: " in said
    assert "Traceback" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize("how", ["truncated", "empty", "no footer", "text"])
def test_a_broken_parquet_file_is_found_before_work(how: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet(place / "data" / "0.parquet")
    whole = parquet(place / "data" / "1.parquet").read_bytes()
    broken = {"truncated": whole[:-500], "empty": b"", "no footer": whole[:-8] + bytes(8), "text": b"x,y\n1,2\n" * 99}
    (place / "data" / "1.parquet").write_bytes(broken[how])
    check_told(*carry_out(place, capsys), "1.parquet", f"{len(broken[how])} bytes")
    assert not (place / "out").exists()


def test_mixed_schemas_are_found_before_work(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet(place / "data" / "0.parquet", x=pa.array([1, 2]))
    parquet(place / "data" / "1.parquet", x=pa.array(["a"]))
    check_told(*carry_out(place, capsys), "1.parquet", "'x'")
    parquet(place / "data" / "1.parquet", y=pa.array([1]))
    check_told(*carry_out(place, capsys), "1.parquet", "'x'")
    assert not (place / "out").exists()


def test_damage_within_a_parquet_file_keeps_what_was_committed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shardwise.run.round.GATHER_MOST", 1)
    for number in range(3):
        parquet(place / "data" / f"{number}.parquet", 8000 + number)
    path = place / "data" / "2.parquet"
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xff" * 196
    path.write_bytes(data)
    check_told(*carry_out(place, capsys), "2.parquet")
    view = RunDirectory.read(str(place / "run"))
    assert view.status == "failed"
    assert [(c.first, c.last) for c in view.committed("write")] == [(0, 8), (8, 16)]
    for name in ("part-00000.parquet", "part-00001.parquet"):
        assert pq.read_table(place / "out" / name).num_rows in (8000, 8001)
    assert not (place / "out" / "_SUCCESS").exists()
    check_told(*carry_out(place, capsys), "2.parquet")  # again: it goes on, and fails at the same place
    assert len(RunDirectory.read(str(place / "run")).committed("write")) == 2


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"7,\xff\xfe\n", ("record 20001", "line 20002", "UTF-8")),
        (b"seven,x\n", ("record 20001", "'a'", "'seven'")),
        (b"7,x,y\n", ("record 20001", "3 fields")),
    ],
    ids=["not UTF-8", "no number", "a field too many"],
)
def test_a_bad_record_of_a_csv_file_is_named(
    bad: bytes, words: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "data" / "0.csv").write_bytes(b"a,b\n" + b"1,x\n" * 20_000 + bad + b"1,x\n" * 10)
    check_told(*carry_out(place, capsys), "0.csv", *words)
    view = RunDirectory.read(str(place / "run"))
    assert view.status == "failed"
    assert not (place / "out" / "_SUCCESS").exists()


def test_nul_bytes_in_text_pass_or_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A NUL is a character; whoever cannot read it says where."""
    (place / "data" / "0.csv").write_bytes(b"a,b\n" + b"1,x\n" * 100 + b"2,p\0q\n" + b"1,x\n" * 100)
    status, said = carry_out(place, capsys)
    if status:
        check_told(status, said, "0.csv", "record 101")
        return
    texts = pa.concat_tables([pq.read_table(path) for path in sorted((place / "out").glob("part-*"))]).column("b")
    assert texts.to_pylist() == ["x"] * 100 + ["p\0q"] + ["x"] * 100


def test_a_bad_line_of_an_ndjson_file_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "data" / "0.ndjson").write_bytes(b'{"a": 1}\n' * 30_000 + b'{"a": \xff}\n')
    check_told(*carry_out(place, capsys), "0.ndjson", "30001")
