"""CSV files as people have them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import cloudpickle
import duckdb
import fsspec
import pyarrow as pa
import pytest

from shardwise.data.source import Source
from shardwise.data.text import CsvSource, read_csv
from shardwise.errors import InputError, UsageError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str | bytes, name: str = "a.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return put


def tables(source: CsvSource, columns: list[str] | None = None) -> list[pa.Table]:
    return [batch.data for batch in source.read(0, source.starts[-1], columns)]


def rows(source: CsvSource, columns: list[str] | None = None) -> list[dict[str, Any]]:
    return [row for table in tables(source, columns) for row in table.to_pylist()]


def scanned(source: CsvSource, columns: list[str] | None = None, threads: int = 2) -> pa.Table:
    with duckdb.connect(config={"threads": threads}) as con:
        sql = source.scan(con, 0, source.starts[-1], columns or source.schema.names, False)
        assert sql is not None
        return con.sql(f"SELECT * FROM ({sql})").to_arrow_table()


def test_types_are_found_out(write: Write) -> None:
    source = read_csv(write("i,f,d,t,b,s\n1,1.5,2024-01-02,2024-01-02 03:04:05,true,x\n,,,,,\n"))
    assert source.schema == pa.schema(
        {
            "i": pa.int64(),
            "f": pa.float64(),
            "d": pa.date32(),
            "t": pa.timestamp("us"),
            "b": pa.bool_(),
            "s": pa.string(),
        }
    )
    assert rows(source)[0] == {
        "i": 1,
        "f": 1.5,
        "d": date(2024, 1, 2),
        "t": datetime(2024, 1, 2, 3, 4, 5),
        "b": True,
        "s": "x",
    }
    assert set(rows(source)[1].values()) == {None}
    assert tables(source)[0].schema == source.schema == scanned(source).schema
    assert isinstance(source, Source)
    assert source.remote_safe
    assert source.float_bounds("f") is None


def test_many_batches_columns_and_ordinals(write: Write) -> None:
    path = write("".join(f"{i},v{i}\n" for i in range(5000)))
    source = read_csv(path, header=False, batch_rows=100)
    parts = tables(source)
    assert 30 < len(parts) == source.fragments[0].batches < 70
    assert pa.concat_tables(parts)["column0"].to_pylist() == list(range(5000))
    assert scanned(source)["column0"].to_pylist() == list(range(5000))
    middle = list(source.read(3, 5, ["column1"]))
    assert [(batch.fragment, batch.index) for batch in middle] == [(0, 3), (0, 4)]
    assert middle[0].data.equals(parts[3].select(["column1"]))
    assert sum(batch.data.num_rows for batch in source.read(0, len(parts), [])) == 5000
    assert read_csv(path, header=False, columns=["column1"]).schema.names == ["column1"]


def test_the_index_travels_with_the_source(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = read_csv(write("a\n" + "1\n" * 1000), batch_rows=10)
    expected = tables(source)
    fresh = read_csv(source.files[0].name, batch_rows=10)
    fresh.index()
    for copy in (pickle.loads(pickle.dumps(fresh)), cloudpickle.loads(cloudpickle.dumps(fresh))):
        monkeypatch.setattr(CsvSource, "_find_cuts", None)
        assert tables(copy) == expected
        assert copy.identity() == source.identity()


def test_dialects(write: Write) -> None:
    expected = [{"a": 1.5, "b": "x"}, {"a": 2.0, "b": "y;z"}]
    assert rows(read_csv(write("a;b\n1,5;x\n2;'y;z'\n"), quote="'", decimal=",", delimiter=";")) == expected
    assert rows(read_csv(write('a;b\n1,5;x\n2;"y;z"\n'), decimal=",")) == expected
    assert rows(read_csv(write('a\tb\n1.5\tx\n2\t"y;z"\n'))) == expected
    assert rows(read_csv(write('a|b\n1.5|x\n2|"y;z"\n'))) == expected
    escaped = read_csv(write('a,b\n1,"x\\"y"\n'), escape="\\")
    assert rows(escaped) == [{"a": 1, "b": 'x"y'}]
    assert rows(read_csv(write('a,b\n1,"x\n'), quote=None)) == [{"a": 1, "b": '"x'}]
    nulls = read_csv(write("a,b\nNA,-\n1,x\n"), null_values=["", "NA", "-"])
    assert rows(nulls) == [{"a": None, "b": None}, {"a": 1, "b": "x"}]
    days = read_csv(write("d\n31/12/2024\n01/02/2025\n"))
    assert rows(days) == [{"d": date(2024, 12, 31)}, {"d": date(2025, 2, 1)}]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", [True, False])
def test_newlines(write: Write, newline: str, end: bool) -> None:
    text = newline.join(["\ufeffa,b", "1,x", "", '2,"y' + newline + 'z"', "3,"]) + (newline if end else "")
    source = read_csv(write(text), batch_rows=1)
    expected = [{"a": 1, "b": "x"}, {"a": 2, "b": f"y{newline}z"}, {"a": 3, "b": None}]
    assert rows(source) == scanned(source).to_pylist() == expected


def test_files_may_differ_in_newlines_and_be_empty(write: Write) -> None:
    paths = [write(text, f"{i}.csv") for i, text in enumerate(["", "a\n", "a\n1\n", "\n\n", "a\r\n2\r\n", "a\r3"])]
    source = read_csv(paths, batch_rows=1)
    assert rows(source) == scanned(source).to_pylist() == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [fragment.batches > 0 for fragment in source.fragments] == [False, False, True, False, True, True]


def test_nothing_to_read(write: Write) -> None:
    header_only = read_csv(write("a,b\n"))
    assert rows(header_only) == scanned(header_only).to_pylist() == []
    assert header_only.schema == pa.schema({"a": pa.string(), "b": pa.string()})
    with pytest.raises(InputError, match=r"a.csv: there is neither a header nor a record"):
        read_csv(write(""))
    assert rows(read_csv(write(""), schema={"a": "BIGINT"})) == []


def test_japanese_excel(write: Write) -> None:
    text = '氏名,金額,メモ\r\n表太郎,1200,"改行\r\nあり, ソ"\r\n能登,800,ﾊﾝｶｸ\r\n'
    path = write(text * 1, "売上 一覧.csv", "cp932")
    expected = [
        {"氏名": "表太郎", "金額": 1200, "メモ": "改行\r\nあり, ソ"},
        {"氏名": "能登", "金額": 800, "メモ": "ﾊﾝｶｸ"},
    ]
    for encoding in ("cp932", "shift_jis"):
        source = read_csv(path, encoding=encoding, batch_rows=1)
        assert not source.fragments[0].in_order
        assert rows(source) == scanned(source).to_pylist() == expected
    with pytest.raises(InputError, match=r"売上 一覧.csv: the byte 8e in line 1 is not UTF-8"):
        read_csv(path)


@pytest.mark.parametrize(
    ("encoding", "delimiter", "in_order"),
    [
        ("cp932", "|", True),
        ("cp932", "\t", False),
        ("utf-16", ",", True),
        ("utf-16-le", ",", True),
        ("utf-8-sig", ",", False),
        ("euc_jp", ",", False),
        ("iso2022_jp", ",", True),
        ("gb18030", ",", False),
    ],
)
def test_encodings(write: Write, encoding: str, delimiter: str, in_order: bool) -> None:
    lines = [delimiter.join(("名前", "値"))] + [delimiter.join((f'"表示\n{i}"', str(i))) for i in range(500)]
    source = read_csv(write("\n".join(lines), encoding=encoding), encoding=encoding, delimiter=delimiter, batch_rows=50)
    assert source.fragments[0].in_order is in_order
    assert rows(source) == [{"名前": f"表示\n{i}", "値": i} for i in range(500)]
    assert len(tables(source)) > 5


def test_latin_1(write: Write) -> None:
    source = read_csv(write("a,b\nÄ,1\n", encoding="latin-1"), encoding="latin-1")
    assert rows(source) == [{"a": "Ä", "b": 1}]
    with pytest.raises(UsageError, match="'klingon' is not a text encoding"):
        read_csv(source.files[0].name, encoding="klingon")


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstd)]
)
def test_compressed_files_have_the_same_batches(write: Write, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    text = ("a,b\r\n" + "".join(f'{i},"x\r\n{i}"\r\n' for i in range(3000))).encode()
    plain = read_csv(write(text), batch_rows=100)
    packed = read_csv(write(pack(text), f"a.csv{suffix}"), batch_rows=100)
    assert packed.fragments[0].in_order
    assert packed.fragments[0].batches == 1
    assert tables(packed) == tables(plain)
    with duckdb.connect() as con:
        assert packed.scan(con, 0, 1, ["a"], False) is None
    damaged = read_csv(write(pack(text), f"b.csv{suffix}"), batch_rows=100)
    write(pack(text)[:-20], f"b.csv{suffix}")
    with pytest.raises(InputError, match=f"b.csv{suffix}: cannot be decompressed"):
        tables(damaged)


def test_headers_must_agree(write: Write) -> None:
    first = write("a,b\n1,2\n", "1.csv")
    for text, said in [
        ("a\n1\n", r"2.csv: its header lacks column 'b' compared with .*1.csv"),
        ("a,b,c\n1,2,3\n", r"2.csv: its header has the extra column 'c'"),
        ("b,a\n1,2\n", r"2.csv: its columns \['b', 'a'\] are in another order"),
        ("1,2\n3,4\n", r"2.csv: its header lacks column 'a'"),
    ]:
        with pytest.raises(InputError, match=said):
            read_csv([first, write(text, "2.csv")])
    assert rows(read_csv([first, write('"a", "b"\n3,4\n', "2.csv")])) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


GOOD = "1,2024-01-01,x,2024-01-01 10:00:00\n"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("1.5,2024-01-01,x,\n", r"column 'i': the value '1.5' is not BIGINT"),
        ("1e-1,2024-01-01,x,\n", r"column 'i': the value '1e-1' is not BIGINT"),
        ("q,2024-01-01,x,\n", r"column 'i': the value 'q' is not BIGINT"),
        ("1,2024-01-01 10:00,x,\n", r"column 'd': the value '2024-01-01 10:00' is not DATE"),
        ("1,2024-01-01,x,2024-01-01 10:00:00+09\n", r"column 't': .*\+09' is not TIMESTAMP"),
        ("1,2\n", r"has 2 fields where 4 are expected: '1,2'"),
        ("1,,x,,5\n", r"has 5 fields where 4 are expected"),
        ('1,,"x,\n', r"has a quote that is not closed"),
        ('1,,"x"y,\n', r"has a quote that is not closed, or text after a closing quote"),
        ("1,,x,2024-01-01\r\n", r"mixes kinds of newlines"),
    ],
)
def test_a_later_misfit_names_file_record_and_column(write: Write, bad: str, said: str) -> None:
    text = "i,d,s,t\n\n" + GOOD * 9990 + '2,,"a\nb",\n' + GOOD * 500 + bad + GOOD * 3
    source = read_csv(write(text), batch_rows=1000)
    with pytest.raises(InputError, match=r"a.csv: record 10492 \(line 10495\),? " + said) as caught:
        tables(source)
    assert caught.value.fix
    with duckdb.connect() as con:
        sql = source.scan(con, 0, source.starts[-1], source.schema.names, False)
        with pytest.raises(duckdb.Error):
            con.sql(f"SELECT * FROM ({sql})").fetchall()


def test_a_misfit_among_the_first_records(write: Write) -> None:
    with pytest.raises(InputError, match=r"a.csv: the record that starts in line 3 does not fit the 2 columns"):
        read_csv(write("a,b\n1,2\n3\n4,5\n"))


def test_bytes_that_are_no_text(write: Write) -> None:
    later = b"a,b\n" + b"1,x\n" * 12000
    source = read_csv(write(later + b"1,\xff\n"))
    with pytest.raises(InputError, match=r"record 12001 \(line 12002\) is not UTF-8"):
        tables(source)
    with pytest.raises(InputError, match=r"a.csv: the bytes 81 in line 12002 are not cp932 text"):
        read_csv(write(later + b"1,\x81\n"), encoding="cp932")
    source = read_csv(write(b"a,b\n" + b"1,x\n" * 300_000 + b"1,\x81\n"), encoding="cp932")
    with pytest.raises(InputError, match=r"record 300001 \(line 300002\) has what cannot be decoded: the bytes 81"):
        tables(source)


def test_a_given_schema(write: Write) -> None:
    path = write("a,b\n001,1.239\n")
    assert rows(read_csv(path, schema={"a": "VARCHAR", "b": pa.float32()})) == [
        {"a": "001", "b": pa.scalar(1.239, pa.float32()).as_py()}
    ]
    assert read_csv(path, schema=pa.schema({"b": pa.float64(), "a": pa.int16()})).schema.names == ["a", "b"]
    headless = read_csv(write("1,x\n"), header=False, schema={"n": "SMALLINT", "s": "VARCHAR"})
    assert rows(headless) == [{"n": 1, "s": "x"}]
    with pytest.raises(UsageError, match="schema names the column 'z'"):
        read_csv(path, schema={"z": "VARCHAR"})
    with pytest.raises(UsageError, match="type that is not known"):
        read_csv(path, schema={"a": "STRANGE"})


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": "ab"},
        {"delimiter": '"'},
        {"quote": "“"},
        {"decimal": "x"},
        {"delimiter": ",", "decimal": ","},
        {"batch_rows": 0},
        {"columns": ["z"]},
    ],
)
def test_options_that_make_no_sense(write: Write, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read_csv(write("a,b\n1,2\n"), **options)


def test_identity_changes_with_the_file_and_the_options(write: Write) -> None:
    path = write("a,b\n1,2\n")
    before = read_csv(path).identity()
    assert read_csv(path).identity() == before
    assert read_csv(path, null_values=["-"]).identity() != before
    assert read_csv(path, batch_rows=10).identity() != before
    write("a,b\n1,3\n")
    assert read_csv(path).identity() != before


def test_a_file_that_shrank(write: Write) -> None:
    source = read_csv(write("a\n" + "1\n" * 100))
    write("a\n1\n")
    with pytest.raises(InputError, match="has only 4 bytes, where it had 202"):
        tables(source)


def test_urls_and_scan_on_several_connections() -> None:
    fsspec.filesystem("memory").pipe("/csv test/a 1.csv", b"a,b\n1,x\n2,y\n")
    source = read_csv("memory:///csv test/*.csv", batch_rows=1)
    expected = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert rows(source) == scanned(source).to_pylist() == scanned(source).to_pylist() == expected
    with duckdb.connect() as con:
        assert source.scan(con, 0, 1, ["a"], True) is None


def test_many_small_files_on_many_threads(write: Write) -> None:
    paths = [write(f"a,b\n{i},x\n", f"{i:03}.csv") for i in range(60)]
    source = read_csv(paths)
    assert sorted(scanned(source, ["a"], threads=4)["a"].to_pylist()) == list(range(60))


def test_time_zones_do_not_depend_on_the_session(write: Write) -> None:
    source = read_csv(write("t\n2024-01-01 00:00:00+09\n"))
    assert source.schema.field("t").type == pa.timestamp("us", tz="UTC")
    assert str(tables(source)[0]["t"][0]) == "2023-12-31 15:00:00+00:00"
    with duckdb.connect() as con:
        assert source.scan(con, 0, 1, ["t"], False) is None


def test_one_column(write: Write) -> None:
    assert rows(read_csv(write("name\nTaro\nHana, Jiro\n"))) == [{"name": "Taro"}, {"name": "Hana, Jiro"}]
    assert rows(read_csv(write('"a,b"\n1\n\n2\n'))) == [{"a,b": 1}, {"a,b": None}, {"a,b": 2}]
