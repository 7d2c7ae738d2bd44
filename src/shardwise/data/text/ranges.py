"""Byte ranges of files as files that DuckDB can open, so that its own readers parse exactly what we give them.

An fsspec file system serves them from memory. A connection of our own gets single texts to parse; a person's
connection (``Source.scan``) gets the pieces of a run of batches, read when DuckDB opens them, several at a time.
"""

from __future__ import annotations

import atexit
import io
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
from fsspec import AbstractFileSystem

from shardwise.data.text.kinds import Kind, kind_of

PROTOCOL = "shardwise-text"


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that is loaded when it is opened. ``size`` is None where only loading tells it; it is at most ``most``."""

    load: Callable[[], bytes]
    size: int | None
    most: int


class TextPieces(AbstractFileSystem):  # type: ignore[misc]
    """Serves the pieces that were put under a key as ``shardwise-text://key/00000000`` and so on."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._pieces: dict[str, list[Piece]] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, key: str, pieces: list[Piece]) -> str:
        """Offer pieces; give the pattern that names all of them, in order."""
        with self._lock:
            self._pieces[key] = pieces
        return f"{PROTOCOL}://{key}/*"

    def drop(self, key: str) -> None:
        """Forget pieces."""
        with self._lock:
            pieces = self._pieces.pop(key, [])
            for index in range(len(pieces)):
                self._sizes.pop(self._path(key, index), None)

    def glob(self, path: str, **_: Any) -> list[str]:
        """Names that a pattern of ``put`` stands for; a name of a piece stands for itself."""
        path = self._strip_protocol(path)
        if not path.endswith("/*"):
            return [path]
        key = path.removesuffix("/*")
        return [self._path(key, index) for index in range(len(self._pieces[key]))]

    def exists(self, path: str, **_: Any) -> bool:
        """Everything that ``glob`` named exists."""
        return True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size of a piece."""
        path = self._strip_protocol(path)
        size = self._find(path).size
        if size is None:
            if path not in self._sizes:
                self.open(path)
            size = self._sizes[path]
        return {"name": path, "size": size, "type": "file"}

    def open(self, path: str, mode: str = "rb", **_: Any) -> io.BytesIO:
        """Load a piece."""
        path = self._strip_protocol(path)
        text = self._find(path).load()
        self._sizes[path] = len(text)
        return io.BytesIO(text)

    @staticmethod
    def _path(key: str, index: int) -> str:
        return f"{key}/{index:08}"

    def _find(self, path: str) -> Piece:
        key, _, index = path.rpartition("/")
        return self._pieces[key][int(index)]


class Parser:
    """A DuckDB connection of our own that parses texts in memory, on one thread, whatever the machine's settings."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(
            config={
                "threads": 1,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_file_cache": False,
            }
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._files = TextPieces()
        self._connection.register_filesystem(self._files)
        self._number = 0

    def __enter__(self) -> Parser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.unregister_filesystem(PROTOCOL)
        self._connection.close()

    def table(self, query: Callable[[str], str], text: bytes) -> pa.Table:
        """Run the SQL that ``query`` makes for the URL of ``text``. Raises duckdb.Error."""
        with self._file(text) as url:
            return self._connection.sql(query(url)).to_arrow_table()

    @contextmanager
    def _file(self, text: bytes) -> Iterator[str]:
        self._number += 1
        key = str(self._number)  # a new name each time: nothing DuckDB remembers of another text can apply
        try:
            yield self._files.put(key, [Piece(lambda: text, len(text), len(text))])
        finally:
            self._files.drop(key)

    def types(self, schema: pa.Schema) -> dict[str, str]:
        """DuckDB's names of Arrow types, by column. Raises duckdb.Error."""
        self._connection.register("arrow_types", schema.empty_table())
        try:
            rows = self._connection.sql("DESCRIBE arrow_types").fetchall()
        finally:
            self._connection.unregister("arrow_types")
        return {name: kind for name, kind, *_ in rows}

    def kinds(self, query: Callable[[str], str], text: bytes) -> tuple[tuple[str, Kind], ...]:
        """Columns and types of what the SQL gives for the URL of ``text``. Raises duckdb.Error."""
        with self._file(text) as url:
            relation = self._connection.sql(query(url))
            return tuple((name, kind_of(kind)) for name, kind in zip(relation.columns, relation.types, strict=True))

    def kind(self, name: str) -> Kind:
        """Take a type apart. Raises duckdb.Error."""
        return kind_of(self._connection.sql(f"SELECT CAST(NULL AS {name}) AS value").types[0])

    def type_name(self, kind: str) -> str:
        """DuckDB's own name of a type. Raises duckdb.Error."""
        return str(self._connection.sql(f"SELECT CAST(NULL AS {kind}) AS value").types[0])


_shared = TextPieces()
_connections: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()


def offer(connection: duckdb.DuckDBPyConnection, key: str, pieces: list[Piece]) -> str:
    """Make pieces readable on a person's connection, for as long as it lives; give the pattern that names them.

    The same key always stands for the same pieces, so offering them again costs no memory.
    """
    if not connection.filesystem_is_registered(PROTOCOL):
        connection.register_filesystem(_shared)
        _connections.add(connection)
    return _shared.put(key, pieces)


@atexit.register
def _let_go() -> None:
    """Without this, connections that are still open at exit are reported as leaked by DuckDB's bindings."""
    for connection in list(_connections):
        try:
            connection.unregister_filesystem(PROTOCOL)
        except duckdb.Error:
            pass
