from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.report.json_rows import dump, to_json_rows


def one(array: pa.Array) -> list:
    return [row["x"] for row in to_json_rows(pa.table({"x": array}))]


CASES = [
    (pa.array([np.float32(0.1), None, np.float32("inf")], pa.float32()), [0.1, None, "Infinity"]),
    (pa.array([np.float16(0.1), np.float16("nan")], pa.float16()), [0.1, "NaN"]),
    (pa.array([0.1, -math.inf, -0.0]), [0.1, "-Infinity", -0.0]),
    (pa.array([2**64 - 1, 2**53 + 1], pa.uint64()), [2**64 - 1, 2**53 + 1]),
    (pa.array([decimal.Decimal(2**100), None], pa.decimal128(38, 0)), [2**100, None]),
    (pa.array([decimal.Decimal("1.50"), decimal.Decimal("-3.25")]), ["1.50", "-3.25"]),
    (pa.array([dt.date(1, 1, 1)]), ["0001-01-01"]),
    (pa.array([dt.datetime(2013, 1, 1, 5)], pa.timestamp("us")), ["2013-01-01T05:00:00"]),
    (pa.array([1234567890123456789], pa.timestamp("ns", tz="Asia/Tokyo")), ["2009-02-14T08:31:30.123456789+09:00"]),
    (pa.array([0], pa.timestamp("ms", tz="UTC")), ["1970-01-01T00:00:00Z"]),
    (pa.array([1], pa.time64("ns")), ["00:00:00.000000001"]),
    (pa.array([-1500, 90061000], pa.duration("ms")), ["-PT1.5S", "PT90061S"]),
    (pa.array([(1, 2, 3_500_000_000)], pa.month_day_nano_interval()), ["P1M2DT3.5S"]),
    (pa.array([b"\x00\xff"]), ["AP8="]),
    (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    (pa.array([[0.1, math.nan], None, []]), [[0.1, "NaN"], None, []]),
    (pa.array([[b"a"]], pa.list_(pa.binary(), 1)), [["YQ=="]]),
    (pa.array([{"a": 1, "b": b"x"}, None]), [{"a": 1, "b": "eA=="}, None]),
    (pa.array([[("k", 1.5)], None], pa.map_(pa.string(), pa.float32())), [[["k", 1.5]], None]),
    (pa.RunEndEncodedArray.from_arrays([1, 3], ["x", None]), ["x", None, None]),
    (pa.array([uuid.UUID(int=5).bytes], pa.binary(16)).cast(pa.uuid()), [str(uuid.UUID(int=5))]),
    (pa.nulls(2), [None, None]),
    (pa.array([True, False]), [True, False]),
]


@pytest.mark.parametrize(("array", "expected"), CASES, ids=[str(array.type) for array, _ in CASES])
def test_each_type(array: pa.Array, expected: list) -> None:
    assert one(array) == expected
    assert json.loads(dump(one(array))) == expected


@pytest.mark.parametrize("array", [array for array, _ in CASES], ids=[str(array.type) for array, _ in CASES])
def test_a_slice_gives_its_own_rows(array: pa.Array) -> None:
    assert one(array.slice(1)) == one(array)[1:]


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_read_back_as_the_same_float(values: list[float]) -> None:
    back = json.loads(dump(one(pa.array(values, pa.float64()))))
    assert [v.hex() for v in back] == [v.hex() for v in values]


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_float32_reads_back_as_the_same_float32(values: list[float]) -> None:
    back = json.loads(dump(one(pa.array(values, pa.float32()))))
    assert np.array_equal(np.array(back, np.float32), np.array(values, np.float32))


def test_what_is_not_json_is_refused_rather_than_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump({"x": math.nan})


def test_names_of_all_languages_stay_readable_where_the_encoding_can() -> None:
    rows = to_json_rows(pa.table({"売上": ["高い"]}))
    assert dump(rows) == '[{"売上": "高い"}]'
    assert dump(rows, ascii_only=True).isascii()


def test_a_table_without_columns_keeps_its_rows() -> None:
    table = pa.table({"x": [1, 2]}).select([])
    assert to_json_rows(table) == [{}, {}]
