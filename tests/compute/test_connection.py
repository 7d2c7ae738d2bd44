"""The process's DuckDB, opened when it is needed or a little before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from shardwise.compute import connection


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    connection.forget_connection()
    yield
    connection.forget_connection()


def settings(cursor: duckdb.DuckDBPyConnection) -> tuple[object, ...]:
    names = ("threads", "temp_directory", "TimeZone", "autoload_known_extensions", "memory_limit")
    return tuple(cursor.execute(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in names)


def test_opened_early_it_is_the_same(tmp_path: Path) -> None:
    late = settings(connection.lend_connection(3, 1 << 30, str(tmp_path)))
    connection.forget_connection()
    connection.open_early()
    connection.open_early()
    assert settings(connection.lend_connection(3, 1 << 30, str(tmp_path))) == late
    assert late[:3] == (3, str(tmp_path), "UTC")


def test_it_is_opened_early_only_where_it_is_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.lend_connection(1, None, str(tmp_path))
    monkeypatch.setattr(connection, "_open", None)  # would fail
    connection.open_early()
    connection.lend_connection(1, None, str(tmp_path))


def test_what_keeps_it_from_opening_is_told_to_who_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise duckdb.IOException("no memory for it")

    monkeypatch.setattr(duckdb, "connect", refuse)
    connection.open_early()
    with pytest.raises(duckdb.IOException, match="no memory for it"):
        connection.lend_connection(1, None, str(tmp_path))
