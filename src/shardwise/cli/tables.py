"""A result written to one file, as its suffix says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from shardwise.cli.output import tell
from shardwise.errors import StorageError, UsageError
from shardwise.sizes import format_size

if TYPE_CHECKING:
    import pyarrow as pa


def check_output(path: str) -> None:
    """Refuse an output file before any work.

    Raises
    ------
    UsageError
        Its suffix is unknown, or its directory does not exist.
    """
    if Path(path).suffix.lower() not in _WRITERS:
        raise UsageError(f"{path!r} does not say its format", f"end it in one of {' '.join(_WRITERS)}")
    if "://" not in path and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"the directory of {path} does not exist", "make it, or name another")
    if Path(path).is_dir():
        raise UsageError(f"{path} is a directory", "name a file")


def write_table(table: pa.Table, path: str, quiet: bool = False) -> None:
    """Write a table to a file whole: a reader sees the old file or the new one.

    Raises
    ------
    StorageError
        It cannot be written.
    UsageError
        The format cannot hold these columns.
    """
    writer = _WRITERS[Path(path).suffix.lower()]
    try:
        size = _write_url(table, path, writer) if "://" in path else _write_local(table, path, writer)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}", "free space, or name another"
        ) from error
    if not quiet:
        tell(f"Wrote {table.num_rows:,} rows to {path} ({format_size(size)}).")


def _write_local(table: pa.Table, path: str, writer: Callable[[pa.Table, IO[bytes]], None]) -> int:
    beside = f"{path}.part-{os.getpid()}"
    try:
        with open(beside, "wb") as stream:
            writer(table, stream)
        size = os.path.getsize(beside)  # noqa: PTH202
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return size


def _write_url(table: pa.Table, url: str, writer: Callable[[pa.Table, IO[bytes]], None]) -> int:
    import io

    import fsspec

    buffer = io.BytesIO()
    writer(table, buffer)
    with fsspec.open(url, "wb") as stream:
        stream.write(buffer.getvalue())
    return buffer.tell()


def _parquet(table: pa.Table, stream: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, stream)


def _ipc(table: pa.Table, stream: IO[bytes]) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(stream, table.schema) as file:
        file.write_table(table)


def _csv(table: pa.Table, stream: IO[bytes]) -> None:
    """A null is an empty field and an empty text ``""``; lists and the like are JSON; floats have all their digits."""
    from shardwise.report.json_rows import json_values

    columns = [json_values(column) for column in table.columns]
    stream.write((",".join(map(_csv_field, table.column_names)) + "\n").encode())
    for row in zip(*columns, strict=True):
        stream.write((",".join(map(_csv_field, row)) + "\n").encode())


def _csv_field(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, (str, list, dict)) and (not text or any(c in text for c in ',"\r\n') or text != text.strip()):
        return '"' + text.replace('"', '""') + '"'
    return text


def _ndjson(table: pa.Table, stream: IO[bytes]) -> None:
    from shardwise.report.json_rows import dump, to_json_rows

    for row in to_json_rows(table):
        stream.write((dump(row) + "\n").encode())


def _json(table: pa.Table, stream: IO[bytes]) -> None:
    from shardwise.report.json_rows import dump, to_json_rows

    rows = ",\n ".join(dump(row) for row in to_json_rows(table))
    stream.write(f"[{rows}]\n".encode())


def _npy(table: pa.Table, stream: IO[bytes]) -> None:
    import numpy as np
    import pyarrow.types as t

    for field in table.schema:
        if not (t.is_integer(field.type) or t.is_floating(field.type) or t.is_boolean(field.type)):
            raise UsageError(f"an .npy file holds numbers only; {field.name} is {field.type}", "write .parquet")
    columns = [column.to_numpy() for column in table.columns]
    array = columns[0] if len(columns) == 1 else np.column_stack(columns) if columns else np.empty((table.num_rows, 0))
    np.save(stream, array, allow_pickle=False)


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".ndjson": _ndjson,
    ".jsonl": _ndjson,
    ".json": _json,
    ".arrow": _ipc,
    ".npy": _npy,
}
