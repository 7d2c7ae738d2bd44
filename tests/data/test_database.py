from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow as pa
import pytest

from shardwise.data import connections
from shardwise.data.connections import quoted, shown
from shardwise.data.database import DatabaseSource, read_database
from shardwise.errors import InputError, MissingExtra, UsageError


def make(directory: Path, rows: list[tuple[Any, ...]], columns: str = "id INTEGER, x REAL, s TEXT") -> str:
    with closing(sqlite3.connect(directory / "a.db")) as connection, connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return f"sqlite://{directory}/a.db"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return make(tmp_path, [(k if k % 10 else None, k / 4, None if k % 3 else f"t{k}") for k in range(100)])


def whole(source: DatabaseSource) -> pa.Table:
    return pa.concat_tables(batch.data for batch in source.read(0, len(source.fragments)))


def test_a_query_is_one_fragment_in_order(url: str) -> None:
    source = read_database("SELECT * FROM t ORDER BY x;", url=url, batch_rows=30)
    assert [(f.batches, f.in_order) for f in source.fragments] == [(1, True)]
    assert [len(batch.data) for batch in source.read(0, 1)] == [30, 30, 30, 10]
    assert whole(source)["x"].to_pylist() == [k / 4 for k in range(100)]


def test_ranges_cover_every_row_once_with_nulls_apart(url: str) -> None:
    source = read_database("SELECT * FROM t", url=url, partition_on="id", partitions=4)
    assert [fragment.name for fragment in source.fragments] == [
        '<query> "id" >= 1 AND "id" < 25',
        '<query> "id" >= 25 AND "id" < 50',
        '<query> "id" >= 50 AND "id" < 75',
        '<query> "id" >= 75 AND "id" < 100',
        '<query> "id" IS NULL',
    ]
    assert sorted(whole(source)["x"].to_pylist()) == [k / 4 for k in range(100)]
    [last] = source.read(4, 5)
    assert last.fragment == 4 and last.data["id"].null_count == 10


def test_no_more_ranges_than_numbers_and_16_unless_said(tmp_path: Path, url: str) -> None:
    assert len(read_database("SELECT * FROM t", url=url, partition_on="id").fragments) == 17
    few = read_database("SELECT * FROM t WHERE id < 4", url=url, partition_on="id", partitions=10)
    assert len(few.fragments) == 3
    none = read_database("SELECT * FROM t WHERE id IS NULL", url=url, partition_on="id")
    assert len(none.fragments) == 1 and len(whole(none)) == 10
    assert list(read_database("SELECT * FROM t WHERE 1 = 0", url=url, partition_on="id").read(0, 1)) == []


def test_partitions_take_the_types_of_the_whole(tmp_path: Path) -> None:
    url = make(
        tmp_path, [(k, 0.5 if k < 50 else float(k), "t" if k < 50 else None) for k in range(100)], "id INT, x, s"
    )
    source = read_database("SELECT * FROM t", url=url, partition_on="id", partitions=2)
    assert whole(source).schema == pa.schema({"id": pa.int64(), "x": pa.float64(), "s": pa.string()})
    assert whole(source)["x"].to_pylist()[50:] == list(range(50, 100))


def test_a_column_of_two_types_is_named(tmp_path: Path) -> None:
    url = make(tmp_path, [(k, k if k < 5000 else "7") for k in range(6000)], "id INT, v")
    source = read_database("SELECT * FROM t", url=url, partition_on="id", partitions=6)
    with pytest.raises(InputError, match=r"partition 5: column 'v' holds string, but int64"):
        list(source.read(5, 6))


def test_columns_are_asked_for_by_name(url: str) -> None:
    source = read_database('SELECT id, x AS "odd ""name" FROM t', url=url)
    [batch] = source.read(0, 1, ['odd "name'])
    assert batch.data.schema.names == ['odd "name'] and len(batch.data) == 100


def test_identity_follows_the_file_and_the_question(tmp_path: Path, url: str) -> None:
    def identity(query: str = "SELECT * FROM t", **options: Any) -> Any:
        return read_database(query, url=url, **options).identity()

    first = identity()
    assert first == identity()
    assert first != identity("SELECT id FROM t") and first != identity(partition_on="id")
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("INSERT INTO t VALUES (1000, 0, '')")
    assert identity() != first


def test_wrong_calls(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="no such table: nowhere"):
        read_database("SELECT * FROM nowhere", url=url)
    with pytest.raises(UsageError, match="'s' holds str"):
        read_database("SELECT * FROM t", url=url, partition_on="s")
    with pytest.raises(UsageError, match="partitions=3 and partition_on=None"):
        read_database("SELECT * FROM t", url=url, partitions=3)
    with pytest.raises(UsageError, match="scheme"):
        read_database("SELECT 1", url="a.db")
    with pytest.raises(InputError, match="no such SQLite file"):
        read_database("SELECT 1", url="sqlite:///nowhere/a.db")


def test_the_file_is_not_created_nor_written(url: str) -> None:
    with pytest.raises(UsageError, match=r"query failed: .*readonly"):
        read_database("INSERT INTO t (id) VALUES (5) RETURNING id", url=url)
    assert len(whole(read_database("SELECT * FROM t", url=url))) == 100


# --- passwords

SERVER = "postgresql://ann:s%40cret@127.0.0.1:1/sales?sslpassword=other"


def test_passwords_are_not_shown() -> None:
    assert shown(SERVER) == "postgresql://127.0.0.1:1/sales"
    assert quoted(SERVER, 'a"b') == '"a""b"' and quoted("mysql://x/y", "a`b") == "`a``b`"


@pytest.mark.parametrize(
    "text", [f"cannot connect to {SERVER}", "user ann:s%40cret and s@cret failed", "sslpassword=other"]
)
def test_passwords_are_not_in_messages(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def fail(url: str, sql: str) -> None:
        raise RuntimeError(text)

    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    monkeypatch.setattr(connections, "_whole_result", fail)
    with pytest.raises(UsageError) as caught:
        read_database("SELECT 1", url=SERVER)
    assert not any(secret in str(caught.value) for secret in ("cret", "other"))
    assert caught.value.__cause__ is None or "cret" not in str(caught.value.__cause__)


def test_passwords_are_not_in_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    monkeypatch.setattr(connections, "_whole_result", lambda url, sql: pa.table({"a": [1, 2]}).to_reader())
    source = read_database("SELECT a FROM t", url=SERVER)
    assert "cret" not in repr(source) + repr(source.identity()) + repr(source.fragments)
    assert source.identity() is None
    assert whole(cloudpickle.loads(cloudpickle.dumps(source)))["a"].to_pylist() == [1, 2]


# --- drivers


def test_connectorx_where_there_is_no_adbc_driver(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    pytest.importorskip("connectorx")
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    source = read_database("SELECT * FROM t", url=url, partition_on="id", partitions=3)
    assert sorted(whole(source)["x"].to_pylist()) == [k / 4 for k in range(100)]


def test_without_any_driver_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    monkeypatch.setitem(sys.modules, "connectorx", None)
    with pytest.raises(MissingExtra, match=r"shardwise\[database\]"):
        read_database("SELECT * FROM t", url=url)
