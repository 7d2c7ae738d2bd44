from __future__ import annotations

import datetime as dt
import decimal
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shardwise.data.parquet import ParquetSource, read_parquet
from shardwise.data.parquet_layout import cut
from shardwise.data.source import POSITION
from shardwise.errors import InputError, UsageError

NAN = float("nan")


def write(path: Path, columns: dict[str, Any], **options: Any) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def ordinals(source: ParquetSource) -> int:
    return sum(fragment.batches for fragment in source.fragments)


def whole(source: ParquetSource, columns: list[str] | None = None) -> pa.Table:
    return pa.concat_tables(batch.data for batch in source.read(0, ordinals(source), columns))


def run(sql: str | None, text: str = "SELECT * FROM ({})") -> list[Any]:
    assert sql is not None
    return duckdb.connect().sql(text.format(sql)).fetchall()


# --- where batches are cut


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 40))
@example([1, 1], 2)
@example([1, 2], 2)
def test_cut_joins_small_row_groups_and_divides_large_ones(groups: list[int], batch_rows: int) -> None:
    pieces = cut(tuple(groups), batch_rows)
    start = 0
    for piece in pieces:
        held = sum(groups[piece.first_group : piece.last_group])
        assert 0 < piece.rows <= batch_rows and piece.start == start
        assert piece.rows == held or piece.last_group == piece.first_group + 1
        start += piece.rows
    assert start == sum(groups)
    for one, two in pairwise(pieces):
        if two.first_group != one.first_group and one.rows == sum(groups[one.first_group : one.last_group]):
            assert one.rows + groups[two.first_group] > batch_rows


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 40))
def test_batches_hold_the_rows_that_the_cut_says(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], batch_rows: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.parquet"
    with pq.ParquetWriter(path, pa.schema({"n": pa.int64()})) as file:
        for number, rows in enumerate(groups):
            start = sum(groups[:number])
            file.write_table(pa.table({"n": range(start, start + rows)}), row_group_size=rows)
    source = read_parquet(path, batch_rows=batch_rows)
    found = [batch.data["n"].to_pylist() for batch in source.read(0, ordinals(source))]
    assert found == [list(range(p.start, p.start + p.rows)) for p in cut(tuple(groups), batch_rows)]


def test_a_large_row_group_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = read_parquet(write(tmp_path / "a.parquet", {"n": range(1000)}), batch_rows=100)
    calls = []
    original = pq.ParquetFile.iter_batches

    def spy(self: pq.ParquetFile, *args: Any, **options: Any) -> Any:
        calls.append(options["row_groups"])
        return original(self, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    assert [len(batch.data) for batch in source.read(3, 9)] == [100] * 6
    assert calls == [[0]]


# --- one schema


def test_types_widen_where_no_value_changes(tmp_path: Path) -> None:
    first = {"i": pa.array([1], pa.int32()), "f": pa.array([1], pa.int32()), "n": pa.nulls(1), "s": ["a"]}
    second = {"s": pa.array(["b"], pa.large_string()), "n": [2.5], "i": [2**40], "f": [0.1]}
    paths = [write(tmp_path / "1.parquet", first), write(tmp_path / "2.parquet", second)]
    table = whole(read_parquet(paths))
    assert table.schema == pa.schema({"i": pa.int64(), "f": pa.float64(), "n": pa.float64(), "s": pa.string()})
    assert table.to_pydict() == {"i": [1, 2**40], "f": [1.0, 0.1], "n": [None, 2.5], "s": ["a", "b"]}


def test_converted_columns_are_not_scanned(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{k}.parquet", {"i": pa.array([k], kind), "j": [k]})
        for k, kind in enumerate([pa.int32(), pa.int64()])
    ]
    source = read_parquet(paths)
    con = duckdb.connect()
    assert source.scan(con, 0, 2, ["i"], False) is None
    assert run(source.scan(con, 0, 2, ["j"], False)) == [(0,), (1,)]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pa.int64(), pa.float64()),
        (pa.int64(), pa.string()),
        (pa.uint64(), pa.int64()),
        (pa.timestamp("us"), pa.timestamp("ns")),
        (pa.decimal128(9, 2), pa.decimal128(9, 3)),
    ],
)
def test_other_types_are_refused(tmp_path: Path, one: pa.DataType, two: pa.DataType) -> None:
    paths = [write(tmp_path / f"{k}.parquet", {"v": pa.nulls(1).cast(kind)}) for k, kind in enumerate([one, two])]
    with pytest.raises(InputError) as caught:
        read_parquet(paths)
    for part in ("1.parquet", "0.parquet", "'v'", str(one), str(two)):
        assert part in caught.value.message


def test_missing_and_extra_columns_are_refused_unless_not_wanted(tmp_path: Path) -> None:
    paths = [write(tmp_path / "0.parquet", {"a": [1], "b": [1]}), write(tmp_path / "1.parquet", {"a": [2]})]
    with pytest.raises(InputError, match=r"1\.parquet: column 'b' of .*0\.parquet is missing"):
        read_parquet(paths)
    with pytest.raises(InputError, match=r"0\.parquet: column 'b' is not in .*1\.parquet"):
        read_parquet(paths[::-1])
    assert whole(read_parquet(paths, columns=["a"])).to_pydict() == {"a": [1, 2]}


def test_odd_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column 'z'"):
        read_parquet(write(tmp_path / "a.parquet", {"a": [1]}), columns=["z"])
    with pytest.raises(InputError, match=POSITION):
        read_parquet(write(tmp_path / "p.parquet", {POSITION: [1]}))
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="'a' occurs more than once"):
        read_parquet(tmp_path / "twice.parquet")
    for names in (["a", "A"], ["file_row_number", "b"]):
        source = read_parquet(write(tmp_path / "n.parquet", {name: [k] for k, name in enumerate(names)}))
        assert source.scan(duckdb.connect(), 0, 1, names[:1], True) is None
    dotted = {"a.b": [1], "a": [{"b": 2}], 'quo"te': [3]}
    source = read_parquet(write(tmp_path / "dot.parquet", dotted))
    assert whole(source, ["a.b"]).to_pydict() == {"a.b": [1]}
    assert run(source.scan(duckdb.connect(), 0, 1, list(dotted), False)) == [(1, {"b": 2}, 3)]


# --- damaged files


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"not parquet at all, but long enough", b"PAR1" + b"\0" * 50 + b"PAR1"]
)
def test_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    good = write(tmp_path / "good.parquet", {"a": [1]})
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.parquet") as caught:
        read_parquet([good, tmp_path / "bad.parquet"])
    assert f"{len(content)} bytes" in caught.value.message and caught.value.fix


def test_truncated_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"a": range(10000)})
    Path(path).write_bytes(Path(path).read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.parquet"):
        read_parquet(path)


def test_damaged_data_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", {"a": np.random.default_rng(0).random(10000)}, use_dictionary=False))
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xff" * 196
    path.write_bytes(data)
    source = read_parquet(path)
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read as Parquet"):
        list(source.read(0, 1))


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"a": [1]})
    source = read_parquet(path)
    write(tmp_path / "a.parquet", {"a": [1, 2]})
    for use in (lambda: list(source.read(0, 1)), lambda: source.scan(duckdb.connect(), 0, 1, ["a"], False)):
        with pytest.raises(InputError, match="changed while it was in use"):
            use()
    Path(path).unlink()
    with pytest.raises(InputError, match="no longer there"):
        list(source.read(0, 1))


# --- DuckDB reads the same

TYPES: dict[str, pa.Array] = {
    "bool": pa.array([True, None, False]),
    **{str(t): pa.array([1, None, 3], t) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(t): pa.array([1, None, 2**t.bit_width - 1], t) for t in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    "float16": pa.array([np.float16(1.5), None, np.float16(3)]),
    "float32": pa.array([0.1, None, NAN], pa.float32()),
    "float64": pa.array([-0.0, None, NAN]),
    **{str(t): pa.array(["a", None, ""], t) for t in (pa.string(), pa.large_string(), pa.string_view())},
    **{
        str(t): pa.array([b"ab", None, b"cd"], t)
        for t in (pa.binary(), pa.large_binary(), pa.binary(2), pa.binary_view())
    },
    "date32": pa.array([1, None, -100000], pa.date32()),
    "date64": pa.array([86400000, None, 0], pa.date64()),
    **{
        f"{t}": pa.array([1, None, -1], t)
        for unit in ("s", "ms", "us", "ns")
        for t in (
            pa.timestamp(unit),
            pa.timestamp(unit, "UTC"),
            pa.timestamp(unit, "Europe/Berlin"),
            pa.duration(unit),
        )
    },
    "time32[s]": pa.array([1, None, 2], pa.time32("s")),
    "time32[ms]": pa.array([1, None, 2], pa.time32("ms")),
    "time64[us]": pa.array([1, None, 2], pa.time64("us")),
    "time64[ns]": pa.array([1, None, 2], pa.time64("ns")),
    **{
        str(t): pa.array([decimal.Decimal("1.23"), None, decimal.Decimal("-4.56")], t)
        for t in (
            pa.decimal32(7, 2),
            pa.decimal64(12, 2),
            pa.decimal128(9, 2),
            pa.decimal128(38, 2),
            pa.decimal256(60, 2),
        )
    },
    "list": pa.array([[1.5, NAN], None, []]),
    "large_list": pa.array([[1], None, []], pa.large_list(pa.int32())),
    "fixed_size_list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": 1.5, "b": "x"}, None, {"a": NAN, "b": None}]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int32())),
    "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
    "nested": pa.array([[{"t": dt.datetime(2020, 1, 1)}], None, [None]]),
    "nested duration": pa.array([[dt.timedelta(1)], None, []]),
    "null": pa.nulls(3),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None, b"1" * 16], pa.binary(16))),
}
NEVER_SCANNED = {"float16", "decimal256(60, 2)", "fixed_size_list", "nested duration", "null", "uuid"} | {
    str(pa.duration(unit)) for unit in ("s", "ms", "us", "ns")
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_scanned_as_it_is_read_or_not_at_all(tmp_path: Path, name: str) -> None:
    source = read_parquet(write(tmp_path / "a.parquet", {"x": TYPES[name]}))
    con = duckdb.connect()
    sql = source.scan(con, 0, 1, ["x"], False)
    assert (sql is None) == (name in NEVER_SCANNED)
    if sql is None:
        return
    con.register("taken", whole(source))
    assert con.sql(f"SELECT * FROM ({sql})").types == con.sql("SELECT * FROM taken").types
    assert con.sql(f"SELECT x::VARCHAR FROM ({sql})").fetchall() == con.sql("SELECT x::VARCHAR FROM taken").fetchall()


def test_int96_is_not_scanned(tmp_path: Path) -> None:
    moments = pa.array([1, None], pa.timestamp("ns"))
    path = write(tmp_path / "a.parquet", {"t": moments, "n": [1, 2]}, use_deprecated_int96_timestamps=True)
    source = read_parquet(path)
    assert source.scan(duckdb.connect(), 0, 1, ["t"], False) is None
    assert source.scan(duckdb.connect(), 0, 1, ["n"], False) is not None
    assert whole(source, ["t"])["t"].to_pylist() == moments.to_pylist()


def test_nan_is_not_lost_to_statistics(tmp_path: Path) -> None:
    columns = {"x": [1.0, 2.0, NAN], "s": [{"a": 1.0}, {"a": 2.0}, {"a": NAN}], "l": [[1.0], [2.0], [NAN]]}
    source = read_parquet(write(tmp_path / "a.parquet", columns))
    sql = source.scan(duckdb.connect(), 0, 1, list(columns), False)
    assert math.isnan(run(sql, "SELECT max(x) FROM ({})")[0][0])
    for condition in ("x > 5", "s.a > 5", "l[1] > 5", "isnan(x)", "NOT x <= 2"):
        assert run(sql, f"SELECT count(*) FROM ({{}}) WHERE {condition}") == [(1,)], condition


def test_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    names = [
        "a*b.parquet",
        "aXb.parquet",
        "a[1].parquet",
        "a1.parquet",
        "it's.parquet",
        "n=9/a?.parquet",
        "n=9/a1.parquet",
    ]
    (tmp_path / "n=9").mkdir()
    paths = [write(tmp_path / name, {"n": [number]}) for number, name in enumerate(names)]
    for number, path in enumerate(paths):
        for positions in (False, True):
            sql = read_parquet(path).scan(duckdb.connect(), 0, 1, ["n"], positions)
            assert [row[0] for row in run(sql)] == [number], path


def test_whole_files_are_read_together_and_cut_ones_by_row_number(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{k}.parquet", {"n": range(k * 100, k * 100 + 100)}) for k in range(4)]
    source = read_parquet(paths, batch_rows=40)  # three batches a file
    con = duckdb.connect()
    sql = source.scan(con, 2, 11, ["n"], False)
    assert sql is not None and sql.count("read_parquet") == 3
    assert sorted(row[0] for row in run(sql)) == list(range(80, 380))
    placed = run(source.scan(con, 2, 11, ["n"], True), f"SELECT n, {POSITION} FROM ({{}}) ORDER BY {POSITION}")
    assert [row[0] for row in placed] == list(range(80, 380))
    assert placed[0][1] == 80 and placed[20][1] == 1 << 43


def test_row_groups_that_are_not_needed_are_not_touched(tmp_path: Path) -> None:
    path = Path(
        write(tmp_path / "a.parquet", {"n": np.random.default_rng(0).permutation(50_000)}, row_group_size=10_000)
    )
    source = read_parquet(path, batch_rows=10_000)
    expected = whole(source)["n"].to_pylist()[30_000:40_000]
    metadata, status, data = pq.read_metadata(path), path.stat(), bytearray(path.read_bytes())
    for group in (0, 1, 2, 4):
        chunk = metadata.row_group(group).column(0)
        start, size = chunk.dictionary_page_offset, chunk.total_compressed_size
        data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [row[0] for row in run(source.scan(duckdb.connect(), 3, 4, ["n"], True))] == expected
    assert [batch.data["n"].to_pylist() for batch in source.read(3, 4)] == [expected]


def test_an_empty_range_and_an_empty_file(tmp_path: Path) -> None:
    source = read_parquet(write(tmp_path / "a.parquet", {"n": pa.array([], pa.int64())}))
    assert source.fragments[0].batches == 0 and list(source.read(0, 0)) == []
    assert run(source.scan(duckdb.connect(), 0, 0, ["n"], True)) == []


# --- statistics


def test_float_bounds(tmp_path: Path) -> None:
    columns = {"x": [1.5, NAN, None], "i": [1, 2, 3], "nulls": pa.nulls(3, pa.float64()), "nans": [NAN] * 3}
    more = {"x": [-2.0, 7.0, None], "i": [1, 2, 3], "nulls": [None, 1.0, None], "nans": [1.0] * 3}
    paths = [write(tmp_path / "0.parquet", columns), write(tmp_path / "1.parquet", more)]
    source = read_parquet(paths)
    assert source.float_bounds("x") == (-2.0, 7.0)
    assert source.float_bounds("nulls") == (1.0, 1.0)
    assert source.float_bounds("nans") is None and source.float_bounds("i") is None
    write(tmp_path / "1.parquet", more, write_statistics=False)
    assert read_parquet(paths).float_bounds("x") is None


def test_bytes_in_memory(tmp_path: Path) -> None:
    table = {
        "x": np.arange(10_000.0),
        "i": pa.array(range(10_000), pa.int16()),
        "s": [f"text {k}" for k in range(10_000)],
    }
    source = read_parquet(write(tmp_path / "a.parquet", table))
    assert source.bytes_in_memory(["x", "i"]) == 10_000 * (64 + 16 + 2) // 8
    assert 0.7 < source.bytes_in_memory() / pa.table(table).nbytes < 1.5


# --- elsewhere


def test_files_behind_fsspec(tmp_path: Path) -> None:
    local = write(tmp_path / "a.parquet", {"n": range(100)}, row_group_size=30)
    fsspec.filesystem("memory").pipe("/shardwise/a.parquet", Path(local).read_bytes())
    source = read_parquet("memory://shardwise/a.parquet", batch_rows=40)
    assert whole(source)["n"].to_pylist() == list(range(100))
    assert source.scan(duckdb.connect(), 0, 1, ["n"], False) is None


def test_many_files(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number:02}.parquet", {"n": [number]})
    source = read_parquet(tmp_path)
    assert whole(source)["n"].to_pylist() == list(range(40))
    assert len(source.fragments) == 40


def test_metadata_of_other_libraries_is_left_behind(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet").schema.metadata is None


@pytest.mark.parametrize("batch_rows", [0, -1, (1 << 20) + 1])
def test_batch_rows_has_limits(tmp_path: Path, batch_rows: int) -> None:
    with pytest.raises(UsageError, match="batch_rows"):
        read_parquet(tmp_path, batch_rows=batch_rows)
