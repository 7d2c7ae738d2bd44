"""Files opened for libraries that seek in them: local ones are mapped, and refused where they have changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from shardwise.data.paths import FileInfo, is_url, open_file
from shardwise.errors import InputError


def local_path(file: FileInfo) -> str | None:
    """Give the path of a local file, sure that it is still the file that was listed; None for a URL."""
    if is_url(file.url):
        return None
    try:
        status = Path(file.url).stat()
    except OSError as error:
        raise InputError(f"{file.url}: the file is no longer there", "put it back, or run on what is there") from error
    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        raise InputError(
            f"{file.url}: the file changed while it was in use ({file.size} bytes before, {status.st_size} now)",
            "run again when nothing writes to it",
        )
    return file.url


@contextmanager
def open_seekable(file: FileInfo, storage_options: dict[str, Any]) -> Iterator[Any]:
    """Open a file for PyArrow: mapped where it is local."""
    path = local_path(file)
    with open_file(file.url, storage_options) if path is None else pa.memory_map(path) as stream:
        yield stream


def first_line(error: Exception) -> str:
    """Give the gist of what a library says."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
