"""What every source must do. To put another one to the test, add a line to CASES."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.data.database import read_database
from shardwise.data.generate import generate
from shardwise.data.ipc import read_ipc
from shardwise.data.items import from_items
from shardwise.data.memory import from_array, from_frame
from shardwise.data.npy import read_npy
from shardwise.data.parquet import read_parquet
from shardwise.data.sinks import sink
from shardwise.data.source import POSITION, Batch, Source
from shardwise.data.text import read_csv

BATCH_ROWS = 64
ROWS = 700
CUTS = (0, 130, 130, 131, 500, ROWS)  # rows of the files: uneven, one empty, one of one row

TABLE = pa.table(
    {
        "id": pa.array(range(ROWS)),
        "x": pa.array([None if k % 11 == 0 else float("nan") if k % 13 == 0 else k * 0.1 for k in range(ROWS)]),
        "s": pa.array([None if k % 7 == 0 else f"text {k % 5}" for k in range(ROWS)]),
    }
)
STORED = pa.Table.from_pylist(  # SQLite stores NaN as null
    [{**row, "x": None if row["x"] != row["x"] else row["x"]} for row in TABLE.to_pylist()], schema=TABLE.schema
)
ARRAY = np.arange(ROWS * 3, dtype="f8").reshape(ROWS, 3)


def files(directory: Path, suffix: str, write: Callable[[pa.Table, Path], Any]) -> list[str]:
    """Write TABLE as several files, once."""
    paths = [directory / f"{number}{suffix}" for number in range(len(CUTS) - 1)]
    for path, start, stop in zip(paths, CUTS, CUTS[1:], strict=False):
        if not path.exists():
            write(TABLE.slice(start, stop - start), path)
    return [str(path) for path in paths]


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=150 if len(table) > 200 else 25)


def write_ipc(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=150 if len(table) > 200 else 25)


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as file:
        file.write_table(table, max_chunksize=50)


def write_csv(table: pa.Table, path: Path) -> None:
    with sink("csv").open(path, table.schema) as writer:
        writer.write(table)


def arrays(directory: Path, order: Any, array: np.ndarray) -> list[str]:
    paths = [directory / "0.npy", directory / "1.npy"]
    for path, rows in zip(paths, (slice(0, 500), slice(500, ROWS)), strict=True):
        if not path.exists():
            np.save(path, np.array(array[rows], order=order))
    return [str(path) for path in paths]


def database(directory: Path) -> str:
    path = directory / "rows.db"
    if not path.exists():
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (id INTEGER, x REAL, s TEXT)")
            connection.executemany("INSERT INTO t VALUES (:id, :x, :s)", STORED.to_pylist())
        connection.close()
    return f"sqlite://{path}"


def made(rng: np.random.Generator, n: int, start: int) -> dict[str, Any]:
    return {"id": np.arange(start, start + n), "x": rng.normal(size=n)}


@dataclass(frozen=True)
class Case:
    make: Callable[[Path], Source]
    whole: Any = None  # all rows, where they are known
    by_bytes: bool = False  # batches are cut by bytes, so that batch_rows is their mean, not their limit


CASES = {
    "parquet": Case(lambda d: read_parquet(files(d, ".parquet", write_parquet), batch_rows=BATCH_ROWS), TABLE),
    "ipc": Case(lambda d: read_ipc(files(d, ".arrow", write_ipc), batch_rows=BATCH_ROWS), TABLE),
    "ipc stream": Case(lambda d: read_ipc(files(d, ".arrows", write_stream), batch_rows=BATCH_ROWS), TABLE),
    "csv": Case(lambda d: read_csv(files(d, ".csv", write_csv), batch_rows=BATCH_ROWS), TABLE, by_bytes=True),
    "npy C": Case(lambda d: read_npy(arrays(d, "C", ARRAY), batch_rows=BATCH_ROWS), ARRAY),
    "npy Fortran": Case(lambda d: read_npy(arrays(d, "F", ARRAY), batch_rows=BATCH_ROWS), ARRAY),
    "npy 1-D": Case(lambda d: read_npy(arrays(d, "C", ARRAY[:, 0]), batch_rows=BATCH_ROWS), ARRAY[:, 0]),
    "frame": Case(lambda d: from_frame(TABLE, batch_rows=BATCH_ROWS), TABLE),
    "array": Case(lambda d: from_array(ARRAY, batch_rows=BATCH_ROWS), ARRAY),
    "items": Case(lambda d: from_items([{"n": k} for k in range(200)]), [{"n": k} for k in range(200)]),
    "no items": Case(lambda d: from_items([]), []),
    "generated": Case(lambda d: generate(ROWS, made, seed=3, batch_rows=BATCH_ROWS)),
    "database": Case(
        lambda d: read_database(
            "SELECT * FROM t ORDER BY id", url=database(d), partition_on="id", partitions=5, batch_rows=BATCH_ROWS
        ),
        STORED,
    ),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(name: str, directory: Path) -> Source:
    return open_case(name, directory)


@cache
def open_case(name: str, directory: Path) -> Source:
    place = directory / name.replace(" ", "_")
    place.mkdir(exist_ok=True)
    return CASES[name].make(place)


def ordinals(source: Source) -> int:
    return sum(fragment.batches for fragment in source.fragments)


def plain(data: Any) -> list[Any]:
    """Rows as text, so that NaN equals NaN and -0.0 differs from 0.0."""
    if isinstance(data, pa.Table):
        return [repr(row) for row in data.to_pylist()]
    return [repr(row.tolist() if isinstance(row, np.generic | np.ndarray) else row) for row in data]


def rows(batches: Any) -> list[tuple[int, str]]:
    return [(batch.position(k), row) for batch in batches for k, row in enumerate(plain(batch.data))]


def by_ordinal(source: Source) -> list[list[tuple[int, str]]]:
    return [rows(source.read(k, k + 1)) for k in range(ordinals(source))]


def test_it_is_a_source(source: Source) -> None:
    assert isinstance(source, Source)


def test_all_rows_come_in_order(name: str, source: Source) -> None:
    expected = CASES[name].whole
    if expected is not None:
        assert [row for _, row in rows(source.read(0, ordinals(source)))] == plain(expected)


def test_any_range_is_its_ordinals_one_by_one(source: Source) -> None:
    single = by_ordinal(source)

    @settings(deadline=None, max_examples=30)
    @given(st.tuples(*[st.integers(0, len(single))] * 2).map(sorted))
    def check(ends: list[int]) -> None:
        first, last = ends
        assert rows(source.read(first, last)) == [row for ordinal in single[first:last] for row in ordinal]

    check()


def test_positions_are_unique_and_in_order(source: Source) -> None:
    positions = [position for position, _ in rows(source.read(0, ordinals(source)))]
    assert positions == sorted(set(positions))


def test_batches_are_of_the_kind_and_size_and_schema(name: str, source: Source) -> None:
    types = {"table": pa.Table, "array": np.ndarray, "items": list}
    for batch in source.read(0, ordinals(source)):
        assert isinstance(batch, Batch) and isinstance(batch.data, types[source.kind])
        assert CASES[name].by_bytes or 0 < len(batch.data) <= source.batch_rows
        if source.kind == "table":
            assert batch.data.schema.equals(source.schema, check_metadata=True)
        if source.kind == "array":
            assert len(source.schema) == (1 if batch.data.ndim == 1 else batch.data.shape[1])
            assert {field.type for field in source.schema} == {pa.from_numpy_dtype(batch.data.dtype)}


def test_fragments_say_what_they_hold(source: Source) -> None:
    start = 0
    for number, fragment in enumerate(source.fragments):
        batches = list(source.read(start, start + fragment.batches))
        assert {batch.fragment for batch in batches} <= {number}
        assert [batch.index for batch in batches] == list(range(len(batches)))
        assert fragment.in_order or len(batches) == fragment.batches
        assert fragment.rows in (None, sum(len(batch.data) for batch in batches))
        start += fragment.batches


def test_columns_are_read_in_the_order_of_the_schema(source: Source) -> None:
    if source.kind == "items":
        return
    names = source.schema.names
    for columns in (list(reversed(names)), names[-1:], names[:1]):
        for whole, part in zip(
            source.read(0, ordinals(source)), source.read(0, ordinals(source), columns), strict=True
        ):
            numbers = [number for number, name in enumerate(names) if name in columns]
            data = whole.data
            if source.kind == "table":
                assert (
                    plain(part.data) == plain(data.select(numbers)) and part.data.schema == data.select(numbers).schema
                )
            else:
                assert plain(part.data) == plain(data if data.ndim == 1 else data[:, numbers])


def test_no_columns_still_count_rows(source: Source) -> None:
    if source.kind == "table":
        counts = [len(batch.data) for batch in source.read(0, ordinals(source), [])]
        assert counts == [len(batch.data) for batch in source.read(0, ordinals(source))]


def test_it_reads_the_same_after_pickling(source: Source) -> None:
    again = cloudpickle.loads(cloudpickle.dumps(source))
    assert rows(again.read(0, ordinals(again))) == rows(source.read(0, ordinals(source)))
    assert again.fragments == source.fragments and again.identity() == source.identity()


def test_a_part_holds_its_ordinals_only(source: Source) -> None:
    if source.remote_safe:
        return
    count = ordinals(source)
    first, last = count // 3, count // 2
    part = cloudpickle.loads(cloudpickle.dumps(source.part(first, last)))
    assert rows(part.read(first, last)) == rows(source.read(first, last))
    assert ordinals(part) == count
    if count > 3:
        assert len(cloudpickle.dumps(part)) < len(cloudpickle.dumps(source)) / 2


def test_a_scan_gives_what_read_gives(source: Source) -> None:
    if source.kind != "table":
        assert source.scan(duckdb.connect(), 0, ordinals(source), [], False) is None
        return
    count = ordinals(source)
    for first, last in [(0, count), (1, 2), (count // 3, count // 2), (1, count - 1), (2, 2)]:
        for columns in (source.schema.names, ["x"], []):
            check_scan(source, first, last, columns)


def check_scan(source: Source, first: int, last: int, columns: list[str]) -> None:
    con = duckdb.connect()
    expected = [row for _, row in rows(source.read(first, last, columns))]
    for positions in (False, True):
        sql = source.scan(con, first, last, columns, positions)
        if sql is None:
            return
        table = con.sql(f"SELECT * FROM ({sql})").to_arrow_table()
        if positions:
            table = table.sort_by(POSITION)
            found = table[POSITION].to_pylist()
            assert found == sorted(set(found))
        assert sorted(plain(table.select(columns))) == sorted(expected)
        if positions:
            assert plain(table.select(columns)) == expected


def test_identity_is_json_and_steady(name: str, source: Source, directory: Path) -> None:
    identity = source.identity()
    if identity is None:
        assert not source.remote_safe
        return
    text = json.dumps(identity)
    open_case.cache_clear()
    assert json.dumps(open_case(name, directory).identity()) == text


def test_identity_changes_with_a_file(name: str, tmp_path: Path) -> None:
    before = open_case(name, tmp_path)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    if not paths:
        return
    status = paths[-1].stat()
    os.utime(paths[-1], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    open_case.cache_clear()
    assert open_case(name, tmp_path).identity() != before.identity()
