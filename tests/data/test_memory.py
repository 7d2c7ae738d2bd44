from __future__ import annotations

from typing import Any

import cloudpickle
import duckdb
import numpy as np
import pyarrow as pa
import pytest

from shardwise.data.memory import from_array, from_frame
from shardwise.data.source import POSITION
from shardwise.errors import InputError, InternalError, UsageError

TABLE = pa.table({"a": [1, 2, None], "s": ["x", None, "z"]})


def frames() -> dict[str, Any]:
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    con = duckdb.connect()
    con.register("t", TABLE)
    return {
        "table": TABLE,
        "record batch": TABLE.to_batches()[0],
        "reader": TABLE.to_reader(),
        "pandas": pd.DataFrame({"a": [1, 2, None], "s": ["x", None, "z"]}, index=[7, 8, 9]),
        "polars": pl.from_arrow(TABLE),
        "duckdb": con.sql("SELECT * FROM t"),
    }


@pytest.mark.parametrize("name", ["table", "record batch", "reader", "pandas", "polars", "duckdb"])
def test_anything_with_an_arrow_stream(name: str) -> None:
    source = from_frame(frames()[name], batch_rows=2)
    batches = [batch.data for batch in source.read(0, 2)]
    assert [len(batch) for batch in batches] == [2, 1]
    assert pa.concat_tables(batches).to_pylist() == TABLE.to_pylist()
    assert source.schema.names == ["a", "s"] and source.schema.metadata is None
    assert cloudpickle.loads(cloudpickle.dumps(source)).table.to_pylist() == TABLE.to_pylist()


def test_batches_of_a_frame_are_not_copied() -> None:
    table = pa.table({"n": np.arange(1000)})
    [batch] = from_frame(table, batch_rows=100).read(3, 4)
    address = table["n"].chunk(0).buffers()[1].address
    assert batch.data["n"].chunk(0).buffers()[1].address == address


def test_a_scan_sees_its_rows_and_their_positions() -> None:
    source = from_frame(pa.table({"n": range(10)}), batch_rows=3)
    con = duckdb.connect()
    one, two = source.scan(con, 1, 3, ["n"], True), source.scan(con, 0, 1, ["n"], False)
    assert con.sql(f"SELECT n, {POSITION} FROM ({one})").fetchall() == [(k, k) for k in range(3, 9)]
    assert con.sql(f"SELECT * FROM ({two}) UNION ALL SELECT n FROM ({one})").fetchall() == [(k,) for k in range(9)]
    assert con.sql(f"SELECT count(*) FROM ({source.scan(con, 0, 4, [], False)})").fetchall() == [(10,)]
    assert from_frame(pa.table([[1], [2]], names=["a", "A"])).scan(con, 0, 1, ["a"], False) is None


def test_parts_refuse_what_they_do_not_hold() -> None:
    for source in (from_frame(pa.table({"n": range(10)}), batch_rows=3), from_array(np.arange(10), batch_rows=3)):
        part = source.part(1, 3)
        assert part.part(2, 3).fragments == source.fragments
        for first, last in ((0, 1), (3, 4), (0, 4)):
            with pytest.raises(InternalError):
                list(part.read(first, last))
        assert list(source.part(2, 2).read(2, 2)) == []


@pytest.mark.parametrize("thing", [5, {"a": [1]}, np.zeros(3), [1, 2]])
def test_other_things_are_no_frames(thing: Any) -> None:
    with pytest.raises(UsageError, match="no Arrow stream"):
        from_frame(thing)


def test_lazy_frames_are_to_be_collected() -> None:
    pl = pytest.importorskip("polars")
    with pytest.raises(UsageError, match="collect"):
        from_frame(pl.LazyFrame({"a": [1]}))


def test_names_of_columns() -> None:
    with pytest.raises(InputError, match="more than once"):
        from_frame(pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(InputError, match=POSITION):
        from_frame(pa.table({POSITION: [1]}))


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_not_copied(order: Any) -> None:
    array = np.array(np.arange(20.0).reshape(10, 2), order=order)
    source = from_array(array, batch_rows=4)
    batches = [batch.data for batch in source.read(0, 3)]
    assert all(np.shares_memory(batch, array) for batch in batches)
    np.testing.assert_array_equal(np.concatenate(batches), array)


def test_arrays_of_another_byte_order_become_native() -> None:
    [batch] = from_array(np.arange(3, dtype=">i4")).read(0, 1)
    assert batch.data.dtype == np.dtype("=i4") and batch.data.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ([1, 2], "got a list"),
        (np.zeros((2, 2, 2)), "3 dimensions"),
        (np.array(1), "0 dimensions"),
        (np.array(["a"]), "no numeric columns"),
        (np.zeros(3, [("a", "i4")]), "no numeric columns"),
        (np.zeros((3, 0)), "no columns"),
    ],
)
def test_other_things_are_no_arrays(thing: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        from_array(thing)


def test_empty_things() -> None:
    assert from_frame(TABLE.slice(0, 0)).fragments[0].batches == 0
    assert list(from_array(np.zeros((0, 2))).read(0, 0)) == []


@pytest.mark.parametrize(("shape", "rows"), [((300_000,), 100_000), ((200_000, 10), 50_000), ((10, 1_000_000), 1)])
def test_batches_of_arrays_are_of_equal_length_and_fit_a_cache(shape: tuple[int, ...], rows: int) -> None:
    source = from_array(np.zeros(shape))
    assert source.batch_rows == rows
    assert {len(batch.data) for batch in source.read(0, source.fragments[0].batches)} == {rows}


def test_batches_of_arrays_are_as_long_as_one_says() -> None:
    assert from_array(np.zeros((10, 1_000_000)), batch_rows=3).fragments[0].batches == 4
    with pytest.raises(UsageError, match="batch_rows is 0"):
        from_array(np.zeros(3), batch_rows=0)
