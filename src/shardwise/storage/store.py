"""What every store provides, and what a name inside a store may be."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from shardwise.errors import DiskFull, StorageError
from shardwise.sizes import format_size

HIDDEN = ".put-"
"""Files being put have this prefix until they are complete; no listing shows them."""


_LONGEST, _LONGEST_PATH = 255, 2048
"""Bytes of a part of a name, and of a name: less than any disk or store in use refuses."""


class Store(Protocol):
    """Files by name under one root. Names are relative, with ``/`` between their parts.

    Whatever a call has put, renamed or closed when it returns outlives a crash of process and machine, as far as the
    store below keeps its word. Every refusal is a StorageError that names the file.
    """

    url: str

    def open_write(self, name: str) -> IO[bytes]:
        """Create or truncate a file; closing it makes it durable. It is visible under its name before that."""

    def open_read(self, name: str) -> IO[bytes]:
        """Open a file from its start."""

    def put(self, name: str, data: bytes) -> None:
        """Create or replace a file as a whole: a reader sees the old bytes or the new ones."""

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create a file as a whole, or return False where the name is taken. Of several writers exactly one gets
        True, and no reader ever sees a part."""

    def get(self, name: str) -> bytes:
        """All bytes of a file."""

    def get_many(self, names: list[str]) -> list[bytes]:
        """All bytes of many files, fetched together where the store can."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what has it. A copy on the server where there is no rename.

        The new name is durable; after a crash of the machine the old one may be there again, too."""

    def rename_many(self, pairs: list[tuple[str, str]]) -> None:
        """Rename many files, old to new, together where the store can. Some are done when it raises."""

    def make_directory(self, name: str) -> None:
        """Make a directory that outlives a crash, where the store has directories at all."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def list(self, directory: str = "") -> dict[str, int]:
        """Names (sorted) and bytes of all files below a directory, at any depth."""

    def delete(self, name: str) -> None:
        """Delete a file; harmless where there is none. It does not come back after a crash of the machine."""

    def delete_many(self, names: Iterable[str]) -> None:
        """Delete many files, together where the store can."""

    def delete_tree(self, directory: str) -> None:
        """Delete all files below a directory, and it; harmless where there is none. ``""`` empties the store. After a
        crash of the machine some may be there again: this is for what nothing names."""

    def clean(self) -> None:
        """Delete what killed writers left half put."""

    def local_path(self, name: str) -> str | None:
        """Path that other programs can open, where the store is a local directory."""

    def address(self, name: str) -> str:
        """Path or URL of a file that stands by itself."""


def check_name(name: str, url: str) -> str:
    """Return ``name`` if it stays under its root, else raise StorageError.

    Examples
    --------
    >>> check_name("outputs/rows/a.arrow", "/runs/1")
    'outputs/rows/a.arrow'
    """
    parts = name.split("/")
    odd = any(part in ("", ".", "..") or len(part) > _LONGEST for part in parts) or "\0" in name or "://" in name
    if odd or len(name) > _LONGEST_PATH or not (name.isascii() or _is_encodable(name, parts)):
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        raise StorageError(
            f"{shown!r} is not the name of a file under {url}",
            f"use a relative name without '..', each part of at most {_LONGEST} bytes",
        )
    return name


def _is_encodable(name: str, parts: list[str]) -> bool:
    """Whether a name can stand on a disk: no lone surrogates, no part that is too long as UTF-8."""
    try:
        return all(len(part.encode()) <= _LONGEST for part in parts)
    except UnicodeEncodeError:
        return False


def within(directory: str, name: str) -> bool:
    """Whether ``name`` lies below ``directory`` (``""``: everything does)."""
    return not directory or name.startswith(directory + "/")


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FIXES = {
    errno.ENOSPC: "free space there, then run the same command again",
    errno.EDQUOT: "free some of your quota there, then run the same command again",
    errno.EACCES: "give yourself permission there, or choose another place",
    errno.EPERM: "give yourself permission there, or choose another place",
    errno.EROFS: "mount it for writing, or choose another place; what was committed stays",
    errno.EIO: "check the disk (dmesg, smartctl); what was committed stays, and the same command goes on from there",
    errno.ENOENT: "check the path; run the same command again if something deleted the file",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same command again",
}


def storage_error(action: str, where: str, cause: Exception) -> StorageError:
    """Say in words what the system refused; ``action`` completes "cannot ..."."""
    number = cause.errno if isinstance(cause, OSError) else None
    if number is None and isinstance(cause, FileNotFoundError):
        number = errno.ENOENT
    said = str(cause).partition("\n")[0].rstrip()  # Azure's has ten lines more, with the same in XML
    reason = (cause.strerror if isinstance(cause, OSError) else None) or f"{type(cause).__name__}: {said}"
    fix = _FIXES.get(number or 0, "mend that, then run the same command again")
    if number in _FULL:
        return DiskFull(f"cannot {action} {where}: {reason}{_room(where)}", fix)
    return StorageError(f"cannot {action} {where}: {reason}", fix)


def _room(where: str) -> str:
    """How much is free where a file should go, in words; nothing for a place that cannot be asked."""
    if "://" in where:
        return ""
    directory = Path(where).parent
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    try:
        return f"; {directory} has {format_size(shutil.disk_usage(directory).free)} free"
    except OSError:
        return ""


@contextmanager
def refusals(action: str, where: str) -> Iterator[None]:
    """Turn what the system raises in the block into a StorageError."""
    try:
        yield
    except StorageError:
        raise
    except OSError as cause:
        raise storage_error(action, where, cause) from cause
