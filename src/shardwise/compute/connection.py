"""The one DuckDB connection of a process, set up anew for each attempt."""

from __future__ import annotations

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
    import duckdb

    if _shared.database is not None and _shared.spill != spill and not _move_spill(spill):
        forget_connection()
    if _shared.database is None:
        _shared.database = duckdb.connect(":memory:", config={**_FIXED, "temp_directory": spill})
        _shared.database.execute("SET GLOBAL TimeZone = 'UTC'")
        _shared.threads, _shared.memory, _shared.spill = 0, None, spill
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
    database, _shared.database = _shared.database, None
    if database is not None:
        database.close()


def spill_directory(pid: int) -> str:
    """Where the process ``pid`` spills when its attempt writes to a remote store. Whoever ends it removes this."""
    import tempfile

    return f"{tempfile.gettempdir()}/shardwise-spill-{pid}"
