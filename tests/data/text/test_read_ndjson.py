"""NDJSON files as people have them, and cut anywhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.data.text import NdjsonSource, read_ndjson
from shardwise.data.text.source import fragment_of
from shardwise.errors import InputError, UsageError

CONNECTION = duckdb.connect()
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str | bytes, name: str = "a.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put


def rows(source: NdjsonSource) -> list[dict[str, Any]]:
    return [row for batch in source.read(0, source.starts[-1]) for row in batch.data.to_pylist()]


def scanned(source: NdjsonSource) -> pa.Table:
    sql = source.scan(CONNECTION, 0, source.starts[-1], source.schema.names, False)
    assert sql is not None
    return CONNECTION.sql(f"SELECT * FROM ({sql})").to_arrow_table()


def recut(source: NdjsonSource, step: int) -> NdjsonSource:
    fragments = tuple(fragment_of(file, head, step) for file, head in zip(source.files, source.heads))
    return replace(source, step=step, fragments=fragments, cuts={})


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.dictionaries(st.sampled_from("abc"), VALUE).map(lambda value: json.dumps(value, ensure_ascii=False))
LINE = st.one_of(OBJECT, OBJECT, OBJECT, st.sampled_from(["", "{", "[1]", '{"a":1} {"a":2}', '{"a":"\\n"}', "null"]))


@settings(deadline=None, max_examples=60)
@given(lines=st.lists(LINE, max_size=6), newline=st.sampled_from(["\n", "\r\n"]), step=st.integers(1, 80))
def test_any_lines_cut_anywhere(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], newline: str, step: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    text = newline.join(lines)
    path.write_bytes(f"{text}\n".encode())  # DuckDB drops a last line that is cut short
    columns = "{'a': 'BIGINT', 'b': 'VARCHAR', 'c': 'VARCHAR'}"
    sql = f"FROM read_json('{path}', format='newline_delimited', auto_detect=false, records='true', columns={columns})"
    try:
        whole = CONNECTION.sql(sql).to_arrow_table().to_pylist()
    except duckdb.Error:
        whole = None
    path.write_bytes(text.encode())
    source = read_ndjson(path, schema=pa.schema({"a": pa.int64(), "b": pa.string(), "c": pa.string()}))
    try:
        got = rows(recut(source, step))
    except InputError:
        values = [json.loads(line or "null") or {} for line in lines] if whole is not None else []
        assert whole is None or any(isinstance(value.get("a"), (float, bool)) for value in values)
    else:
        assert got == whole
        assert scanned(recut(source, step)).to_pylist() == whole


def test_nested_types_are_kept(write: Write) -> None:
    lines = [
        '{"id":1,"d":"2024-01-02","s":{"x":1,"tags":["p",null]},"l":[{"q":2.5}],"n":null}',
        "",
        '{"id":2}',
        '{"z":"日本"}',
    ]
    source = read_ndjson(write("\ufeff" + "\r\n".join(lines)), batch_rows=1)
    struct = pa.struct({"x": pa.int64(), "tags": pa.list_(pa.field("l", pa.string()))})
    assert source.schema.field("s").type == struct
    assert source.schema.field("n").type == pa.string()
    got = rows(source)
    assert got == scanned(source).to_pylist()
    assert got[0]["d"] == date(2024, 1, 2)
    assert got[0]["s"] == {"x": 1, "tags": ["p", None]}
    assert got[0]["l"] == [{"q": 2.5}]
    assert [row["z"] for row in got] == [None, None, "日本"]
    assert scanned(source).schema == source.schema


def test_many_keys_are_a_map(write: Write) -> None:
    source = read_ndjson(write("".join(f'{{"m":{{"k{i}":{i}}}}}\n' for i in range(300))), batch_rows=10)
    assert pa.types.is_map(source.schema.field("m").type)
    assert rows(source)[7] == {"m": [("k7", 7)]}


def test_compressed_files_have_the_same_batches(write: Write) -> None:
    text = "".join(json.dumps({"a": i, "b": "x" * (i % 7)}) + "\n" for i in range(3000)).encode()
    plain = read_ndjson(write(text), batch_rows=100)
    packed = read_ndjson(write(gzip.compress(text), "a.jsonl.gz"), batch_rows=100)
    assert [b.data for b in packed.read(0, 1)] == [b.data for b in plain.read(0, plain.starts[-1])]
    assert plain.fragments[0].batches > 20


GOOD = '{"a":1,"s":{"x":1},"l":[1],"b":true,"d":"2024-01-01"}\n'


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"a":1.5}', r", column 'a': the value '1.5' is not BIGINT"),
        ('{"a":true}', r", column 'a': the value 'true' is not BIGINT"),
        ('{"a":"x"}', r", column 'a': the value 'x' is not BIGINT"),
        ('{"s":{"x":1.5}}', r", column 's': the value .* is not STRUCT\(\"x\" BIGINT\)"),
        ('{"s":5}', r", column 's': the value '5' is not STRUCT"),
        ('{"l":[1,2.5]}', r", column 'l': the value '\[1,2.5\]' is not BIGINT\[\]"),
        ('{"b":5}', r", column 'b': the value '5' is not BOOLEAN"),
        ('{"d":"2024-01-01 10:00"}', r", column 'd': the value '2024-01-01 10:00' is not DATE"),
        ('{"a":', r" cannot be parsed: unexpected end of data: '{\"a\":'"),
        ("[1]", r" cannot be parsed: Expected OBJECT, but got ARRAY"),
        ('{"a":1}{"a":2}', r" cannot be parsed: unexpected content after document"),
    ],
)
def test_a_later_misfit_names_file_record_and_reason(write: Write, bad: str, said: str) -> None:
    source = read_ndjson(write(GOOD * 5 + "\n" + GOOD * 10500 + bad + "\n" + GOOD * 3), batch_rows=1000)
    with pytest.raises(InputError, match=r"a.jsonl: record 10506 \(line 10507\)" + said) as caught:
        rows(source)
    assert caught.value.fix


def test_a_misfit_among_the_first_records(write: Write) -> None:
    with pytest.raises(InputError, match=r"a.jsonl: record 2 \(line 2\) cannot be parsed: unexpected end of data"):
        read_ndjson(write('{"a":1}\n{"a":\n}\n'))
    with pytest.raises(InputError, match="no record has any key"):
        read_ndjson(write("{}\n"))
    with pytest.raises(InputError, match="keys 'A' and 'a' differ in case only"):
        read_ndjson(write('{"A":1,"a":2}\n'))


def test_a_given_schema(write: Write) -> None:
    path = write('{"a":1,"b":2}\n{"a":2,"later":[3]}\n')
    source = read_ndjson(path, schema={"a": "DOUBLE", "new": "INTEGER[]"}, columns=["a", "new"])
    assert rows(source) == [{"a": 1.0, "new": None}, {"a": 2.0, "new": None}]
    assert rows(read_ndjson(path, schema=pa.schema({"b": pa.int32()}))) == [{"b": 2}, {"b": None}]
    with pytest.raises(UsageError, match="type that is not known"):
        read_ndjson(path, schema={"a": "STRANGE"})


def test_empty_files_among_others(write: Write) -> None:
    paths = [write(text, f"{i}.jsonl") for i, text in enumerate(["", "\n \n", '{"a":1}', ""])]
    source = read_ndjson(paths)
    assert rows(source) == scanned(source).to_pylist() == [{"a": 1}]
    assert source.identity() != read_ndjson(paths[2:]).identity()
