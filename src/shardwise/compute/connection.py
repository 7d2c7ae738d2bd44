"""The one DuckDB connection of a process, set up anew for each attempt."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_FIXED = {
    "autoinstall_known_extensions": "false",  # a worker downloads nothing
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # a name in SQL is never a Python variable that happens to be called so
    "python_scan_all_frames": "false",
}


@dataclass(slots=True)
class _Shared:
    """The process's database and what it is set to."""

    database: duckdb.DuckDBPyConnection | None = None
    threads: int = 0
    memory: int | None = None
    spill: str = ""


_shared = _Shared()
_opening: threading.Thread | None = None


def open_early() -> None:
    """Begin to open the process's database on a thread: importing and opening it takes 0.1 s, in which the caller can
    do something else."""
    global _opening
    if _shared.database is None and _opening is None:
        _opening = threading.Thread(target=_try_to_open, name="shardwise-open")
        _opening.start()


def _try_to_open() -> None:
    with contextlib.suppress(Exception):  # who needs the connection opens it again, and is told
        _open("")


def _open(spill: str) -> None:
    import duckdb

    database = duckdb.connect(":memory:", config={**_FIXED, "temp_directory": spill})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    _shared.database, _shared.threads, _shared.memory, _shared.spill = database, 0, None, spill


def _opened_early() -> None:
    """Wait for the thread, if there is one."""
    global _opening
    opening, _opening = _opening, None
    if opening is not None:
        opening.join()


def lend_connection(threads: int, memory: int | None, spill: str) -> duckdb.DuckDBPyConnection:
    """A cursor of the process's database: temporary views and open results of earlier attempts are not in it.

    Parameters
    ----------
    threads : int
        That queries may use, this one included.
    memory : int or None
        Bytes after which DuckDB spills; None: its own default, four fifths of the machine.
    spill : str
        A local directory (need not exist) for what does not fit.
    """
    _opened_early()
    if _shared.database is not None and _shared.spill != spill and not _move_spill(spill):
        forget_connection()
    if _shared.database is None:
        _open(spill)
    assert _shared.database is not None
    if _shared.threads != threads:
        _shared.database.execute(f"SET GLOBAL threads = {max(1, threads)}")
        _shared.threads = threads
    if _shared.memory != memory:
        _shared.database.execute("RESET memory_limit" if memory is None else f"SET memory_limit = '{memory} bytes'")
        _shared.memory = memory
    return _shared.database.cursor()


def _move_spill(spill: str) -> bool:
    """Whether DuckDB agreed: once it has spilled, it stays with its directory."""
    import duckdb

    assert _shared.database is not None
    try:
        _shared.database.execute("SET GLOBAL temp_directory = '{}'".format(spill.replace("'", "''")))
    except duckdb.Error:
        return False
    _shared.spill = spill
    return True


def forget_connection() -> None:
    """Close the database; the next attempt opens a fresh one."""
    _opened_early()
    database, _shared.database = _shared.database, None
    if database is not None:
        database.close()


def spill_directory(pid: int) -> str:
    """Where the process ``pid`` spills when its attempt writes to a remote store. Whoever ends it removes this."""
    import tempfile

    return f"{tempfile.gettempdir()}/shardwise-spill-{pid}"
