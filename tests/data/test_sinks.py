from __future__ import annotations

import base64
import csv
import datetime as dt
import decimal
import hashlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.data.memory import from_array
from shardwise.data.sinks import FORMATS, Sink, sink
from shardwise.errors import FunctionError, UsageError
from shardwise.storage.digests import DigestWriter, digest

TABLES = ["parquet", "csv", "ndjson", "ipc"]
FLAT = pa.table(
    {
        "i": pa.array([1, None, 2**63 - 1]),
        "x": pa.array([0.1, float("nan"), None]),
        "s": pa.array(['a "q", b\nc', None, ""]),
        "b": pa.array([True, None, False]),
        "d": pa.array([dt.date(2020, 1, 2), None, dt.date(1969, 1, 1)]),
        "t": pa.array([dt.datetime(2020, 1, 2, 3, 4, 5, 6), None, dt.datetime(2020, 1, 2)], pa.timestamp("us")),
        "z": pa.array([0, None, 1], pa.timestamp("us", "Europe/Berlin")),
        "n": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-0.50")], pa.decimal128(30, 2)),
        "c": pa.array(["u", None, "v"]).dictionary_encode(),
    }
)


def written(kind: str | Sink, schema: pa.Schema, *batches: Any) -> bytes:
    file = io.BytesIO()
    chosen = sink(kind) if isinstance(kind, str) else kind
    with chosen.open(file, schema) as writer:
        for batch in batches:
            writer.write(batch)
    assert (writer.size, writer.digest) == (len(file.getvalue()), digest(file.getvalue()))
    assert writer.rows == sum(map(len, batches))
    return file.getvalue()


def reread(kind: str, data: bytes) -> pa.Table:
    if kind == "parquet":
        return pq.read_table(io.BytesIO(data))
    return pa.ipc.open_file(io.BytesIO(data)).read_all()


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines()]


def same(one: pa.Table, two: pa.Table) -> bool:
    return one.schema == two.schema and repr(one.to_pylist()) == repr(two.to_pylist())


# --- what all formats promise


@pytest.mark.parametrize("kind", FORMATS)
def test_sinks_are_small_and_picklable(kind: str) -> None:
    assert pickle.loads(pickle.dumps(sink(kind))) == sink(kind)
    assert sink(kind).suffix.startswith(".")


@pytest.mark.parametrize("kind", TABLES)
def test_bytes_do_not_depend_on_how_rows_are_held(kind: str) -> None:
    padded = pa.concat_tables([FLAT, FLAT, FLAT])
    chunks = [FLAT.slice(0, 1), FLAT.slice(1, 2)]
    expected = written(kind, FLAT.schema, FLAT)
    for same_rows in (
        padded.slice(3, 3),
        pa.concat_tables(chunks),
        pa.Table.from_pylist(FLAT.to_pylist(), FLAT.schema),
    ):
        assert written(kind, FLAT.schema, same_rows) == expected


@pytest.mark.parametrize("kind", TABLES)
def test_pages_do_not_depend_on_chunks(kind: str) -> None:
    table = pa.table({"x": np.random.default_rng(0).random(20_000), "s": ["x" * 100 + str(k) for k in range(20_000)]})
    pieces = pa.concat_tables([table.slice(start, 777) for start in range(0, 20_000, 777)])
    assert written(kind, table.schema, table) == written(kind, table.schema, pieces)


@pytest.mark.parametrize("kind", TABLES)
def test_without_batches_the_file_is_valid(kind: str) -> None:
    data = written(kind, FLAT.schema)
    assert data == written(kind, FLAT.schema, FLAT.slice(0, 0))
    if kind == "csv":
        assert data == b'"i","x","s","b","d","t","z","n","c"\n'
    elif kind == "ndjson":
        assert data == b""
    else:
        assert reread(kind, data).num_rows == 0 and reread(kind, data).schema.names == FLAT.schema.names


@pytest.mark.parametrize("kind", FORMATS)
def test_paths_files_and_digesting_files_get_the_same_bytes(kind: str, tmp_path: Path) -> None:
    batch: Any = np.arange(6.0).reshape(3, 2) if kind == "npy" else FLAT
    schema = from_array(batch).schema if kind == "npy" else FLAT.schema
    expected = written(kind, schema, batch)
    with sink(kind).open(tmp_path / "a", schema) as writer:
        writer.write(batch)
    assert (tmp_path / "a").read_bytes() == expected and writer.file.closed
    below = io.BytesIO()
    passed = DigestWriter(below)
    with sink(kind).open(passed, schema) as writer:
        writer.write(batch)
    assert below.getvalue() == expected and passed.digest == writer.digest and not passed.closed


@pytest.mark.parametrize("kind", FORMATS)
def test_an_error_does_not_complete_the_file(kind: str, tmp_path: Path) -> None:
    schema = from_array(np.zeros((1, 2))).schema if kind == "npy" else FLAT.schema
    with pytest.raises(RuntimeError, match="user"), sink(kind).open(tmp_path / "a", schema) as writer:
        raise RuntimeError("user")
    assert writer.file.closed
    if kind in ("parquet", "ipc"):
        with pytest.raises(pa.ArrowInvalid):
            reread(kind, (tmp_path / "a").read_bytes())


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="no output format 'orc'"):
        sink("orc")
    with pytest.raises(UsageError, match="no compression 'brotli'"):
        sink("parquet", "brotli")
    with pytest.raises(UsageError, match="csv has no compression"):
        sink("csv", "zstd")


# --- Parquet and IPC


@pytest.mark.parametrize("kind", ["parquet", "ipc"])
@pytest.mark.parametrize("compression", ["none", "zstd", "lz4"])
def test_tables_come_back(kind: str, compression: str) -> None:
    more = FLAT.slice(1, 2)
    back = reread(kind, written(sink(kind, compression), FLAT.schema, FLAT, more))
    expected = pa.concat_tables([FLAT, more])
    assert same(
        back, expected.cast(pa.schema([f if f.name != "c" else pa.field("c", pa.string()) for f in FLAT.schema]))
    )


def test_a_batch_is_a_row_group() -> None:
    table = pa.table({"n": range(100)})
    data = written("parquet", table.schema, table.slice(0, 60), table.slice(0, 0), table.slice(60))
    metadata = pq.read_metadata(io.BytesIO(data))
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [60, 40]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_parquet_bytes_are_pinned() -> None:
    """Another digest means that files written by this version differ from those of the one before."""
    table = pa.table({"n": range(1000), "x": [k / 7 for k in range(1000)], "s": [f"t{k % 9}" for k in range(1000)]})
    data = written("parquet", table.schema, table)
    metadata = pq.read_metadata(io.BytesIO(data))
    assert metadata.format_version == "2.6"
    assert hashlib.sha256(data).digest() == hashlib.sha256(written("parquet", table.schema, table)).digest()


def test_what_lies_under_nulls_is_not_written_to_ipc() -> None:
    bits, numbers = pa.py_buffer(b"\x05"), [np.array([1, k, 3]) for k in (2, 99)]
    arrays = [pa.Array.from_buffers(pa.int64(), 3, [bits, pa.py_buffer(n.tobytes())]) for n in numbers]
    structs = [
        pa.StructArray.from_arrays([pa.array([1, k, 3])], ["a"], mask=pa.array([False, True, False])) for k in (2, 9)
    ]
    for one, two in (arrays, structs):
        assert one.equals(two)
        schema = pa.schema({"v": one.type})
        assert written("ipc", schema, pa.table([one], schema)) == written("ipc", schema, pa.table([two], schema))


def test_nested_tables_come_back() -> None:
    table = pa.table(
        {
            "l": pa.array([[1.5, None], None, []]),
            "r": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}]),
            "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        }
    )
    for kind in ("parquet", "ipc"):
        assert reread(kind, written(kind, table.schema, table)).to_pylist() == table.to_pylist()


@pytest.mark.parametrize("kind", ["parquet", "ipc", "ndjson"])
def test_dictionaries_are_written_as_their_values_however_deep(kind: str) -> None:
    inner = pa.array(["x", "y", "x"])
    one = pa.table(
        {"l": pa.ListArray.from_arrays([0, 2, 3], inner), "r": pa.StructArray.from_arrays([inner[:2]], ["k"])}
    )
    coded = inner.dictionary_encode()
    two = pa.table(
        {"l": pa.ListArray.from_arrays([0, 2, 3], coded), "r": pa.StructArray.from_arrays([coded[:2]], ["k"])}
    )
    assert written(kind, two.schema, two, two.slice(1)) == written(kind, one.schema, one, one.slice(1))


# --- CSV


def test_csv_is_rfc_4180() -> None:
    text = written("csv", FLAT.schema, FLAT).decode()
    found = list(csv.reader(io.StringIO(text)))
    assert found[0] == FLAT.schema.names
    assert found[1][:7] == [
        "1",
        "0.1",
        'a "q", b\nc',
        "true",
        "2020-01-02",
        "2020-01-02 03:04:05.000006",
        "1970-01-01 01:00:00.000000+0100",
    ]
    assert found[2] == ["", "nan", "", "", "", "", "", "", ""]
    assert found[3][:3] == [str(2**63 - 1), "", ""] and found[3][7:] == ["-0.50", "v"]
    assert text.splitlines()[-1].startswith(f'{2**63 - 1},,"",')  # null is nothing, empty text is ""


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1), st.lists(st.floats(width=32), min_size=1))
def test_floats_come_back_from_csv_and_ndjson(doubles: list[float], singles: list[float]) -> None:
    for values, kind, numpy_kind in ((doubles, pa.float64(), np.float64), (singles, pa.float32(), np.float32)):
        table = pa.table({"x": pa.array(values, kind), "k": range(len(values))})
        from_csv = [row["x"] for row in csv.DictReader(io.StringIO(written("csv", table.schema, table).decode()))]
        from_json = [str(row["x"]) for row in lines(written("ndjson", table.schema, table))]
        for texts in (from_csv, from_json):
            back = np.array([numpy_kind(text) for text in texts])
            expected = np.array(values, numpy_kind)
            np.testing.assert_array_equal(back, expected)
            real = ~np.isnan(expected)
            assert (np.signbit(back) == np.signbit(expected))[real].all()


@pytest.mark.parametrize("values", [[None, 1, None], [None, "a", None], [None, 0.5, None]])
def test_a_csv_of_one_column_keeps_rows_of_null(values: list[Any]) -> None:
    table = pa.table({"v": values})
    assert len(list(csv.reader(io.StringIO(written("csv", table.schema, table).decode())))) == 4
    assert len(pyarrow.csv.read_csv(io.BytesIO(written("csv", table.schema, table)))) == 3


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.struct({"a": pa.int8()}), pa.binary(), pa.uuid()])
def test_csv_refuses_what_has_no_text(kind: pa.DataType) -> None:
    with pytest.raises(UsageError, match=r"column 'v' is .*CSV"):
        sink("csv").check(pa.schema({"v": kind}))


CSV_TYPES = [
    pa.string_view(),
    pa.large_string(),
    pa.float16(),
    pa.duration("us"),
    pa.time32("s"),
    pa.time64("ns"),
    pa.null(),
    pa.timestamp("ns", "UTC"),
    pa.decimal256(50, 2),
    pa.date64(),
    pa.uint64(),
]


@pytest.mark.parametrize("kind", CSV_TYPES, ids=str)
def test_csv_writes_every_other_type(kind: pa.DataType) -> None:
    table = pa.table({"v": pa.nulls(1, kind), "k": [1]})
    assert written("csv", table.schema, table) == b'"v","k"\n,1\n'


# --- NDJSON


def test_ndjson_values() -> None:
    found = lines(written("ndjson", FLAT.schema, FLAT))
    assert found[0] == {
        "i": 1,
        "x": 0.1,
        "s": 'a "q", b\nc',
        "b": True,
        "d": "2020-01-02",
        "t": "2020-01-02T03:04:05.000006",
        "z": "1970-01-01T00:00:00Z",
        "n": 1.1,
        "c": "u",
    }
    assert found[1] == {**dict.fromkeys(FLAT.schema.names), "x": "NaN"}
    assert list(found[0]) == FLAT.schema.names
    assert b'"n":1.10,' in written("ndjson", FLAT.schema, FLAT)


def test_ndjson_nested_values() -> None:
    table = pa.table(
        {
            "l": pa.array([[1.5, None, float("-inf")], None, []]),
            "r": pa.array([{"a": 1, 'b"c': [{"d": b"\xff"}]}, None, {"a": None, 'b"c': None}]),
            "m": pa.array([[("k", 1.0), ("it's", None)], None, []], pa.map_(pa.string(), pa.float64())),
            "k": pa.array([[(1, [2])], None, []], pa.map_(pa.int64(), pa.list_(pa.int64()))),
            "f": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)),
            "ns": pa.array([[1], None, []], pa.list_(pa.timestamp("ns", "UTC"))),
            "it's": pa.nulls(3),
        }
    )
    assert lines(written("ndjson", table.schema, table)) == [
        {
            "l": [1.5, None, "-Infinity"],
            "r": {"a": 1, 'b"c': [{"d": base64.b64encode(b"\xff").decode()}]},
            "m": {"k": 1.0, "it's": None},
            "k": {"1": [2]},
            "f": [1, 2],
            "ns": ["1970-01-01T00:00:00.000000001Z"],
            "it's": None,
        },
        dict.fromkeys(table.schema.names),
        {"l": [], "r": {"a": None, 'b"c': None}, "m": {}, "k": {}, "f": [3, None], "ns": [], "it's": None},
    ]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_text_comes_back_from_ndjson_and_csv(texts: list[str]) -> None:
    table = pa.table({"s": texts, "k": range(len(texts))})
    data = written("ndjson", table.schema, table)
    assert [json.loads(line)["s"] for line in data.decode().split("\n")[:-1]] == texts
    rows = list(csv.DictReader(io.StringIO(written("csv", table.schema, table).decode(), newline="")))
    assert [row["s"] for row in rows] == texts


def test_names_that_differ_in_case_only_are_kept_apart() -> None:
    table = pa.table([[1], [2]], names=["a", "A"])
    assert lines(written("ndjson", table.schema, table)) == [{"a": 1, "A": 2}]


def test_rows_keep_their_order_in_ndjson() -> None:
    table = pa.table({"n": range(300_000), "s": ["x" * 20] * 300_000})
    assert [row["n"] for row in lines(written("ndjson", table.schema, table))] == list(range(300_000))


@pytest.mark.parametrize("kind", [pa.duration("s"), pa.uuid(), pa.decimal256(50, 2), pa.list_(pa.duration("s"))])
def test_ndjson_refuses_what_it_cannot_write(kind: pa.DataType) -> None:
    with pytest.raises(UsageError, match=r"column 'v' is .*NDJSON"):
        sink("ndjson").check(pa.schema({"v": kind}))


NDJSON_TYPES = [
    pa.string_view(),
    pa.large_string(),
    pa.float16(),
    pa.time32("s"),
    pa.time64("ns"),
    pa.null(),
    pa.timestamp("s"),
    pa.timestamp("ms", "UTC"),
    pa.timestamp("ns"),
    pa.decimal32(7, 2),
    pa.date64(),
    pa.uint64(),
    pa.binary(3),
    pa.binary_view(),
    pa.large_list(pa.int8()),
    pa.dictionary(pa.int8(), pa.string()),
]


@pytest.mark.parametrize("kind", NDJSON_TYPES, ids=str)
def test_ndjson_writes_every_other_type(kind: pa.DataType) -> None:
    table = pa.table({"v": pa.nulls(1, kind)})
    assert written("ndjson", table.schema, table) == b'{"v":null}\n'


def test_half_floats_in_ndjson() -> None:
    table = pa.table({"v": pa.array([np.float16(1.5), None])})
    assert written("ndjson", table.schema, table) == b'{"v":1.5}\n{"v":null}\n'


# --- NumPy


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(10,), (10, 1), (10, 3)])
def test_arrays_come_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    schema = from_array(array).schema
    data = written("npy", schema, array[:4], np.asfortranarray(array[4:4]), np.asfortranarray(array[4:]))
    back = np.load(io.BytesIO(data))
    assert back.dtype == array.dtype and back.flags.c_contiguous
    np.testing.assert_array_equal(back, array)
    empty = np.load(io.BytesIO(written("npy", schema)))
    assert empty.shape == (0, *shape[1:]) and empty.dtype == array.dtype


def test_large_arrays_pass_through_the_disk() -> None:
    array = np.random.default_rng(0).random((400_000, 6))
    data = written("npy", from_array(array).schema, *np.array_split(array, 7))
    np.testing.assert_array_equal(np.load(io.BytesIO(data)), array)


def test_arrays_that_do_not_fit_are_refused() -> None:
    schema = from_array(np.zeros((1, 2))).schema
    for batch in (np.zeros((1, 3)), np.zeros(1), np.zeros((1, 2), "f4")):
        with pytest.raises(FunctionError, match="a batch has shape"):
            written("npy", schema, batch)
    for bad in (pa.schema({"a": pa.string()}), pa.schema({"a": pa.int8(), "b": pa.int64()}), pa.schema([])):
        with pytest.raises(UsageError):
            sink("npy").check(bad)
