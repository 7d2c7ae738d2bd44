"""What every store provides, and what a name inside a store may be."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from shardwise.errors import StorageError

HIDDEN = ".put-"
"""Files being put have this prefix until they are complete; no listing shows them."""


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

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def list(self, directory: str = "") -> dict[str, int]:
        """Names (sorted) and bytes of all files below a directory, at any depth."""

    def delete(self, name: str) -> None:
        """Delete a file; harmless where there is none."""

    def delete_tree(self, directory: str) -> None:
        """Delete all files below a directory, and it; harmless where there is none. ``""`` empties the store."""

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
    if any(part in ("", ".", "..") for part in parts) or "\0" in name or "://" in name:
        raise StorageError(f"{name!r} is not the name of a file under {url}", "use a relative name without '..'")
    return name


def within(directory: str, name: str) -> bool:
    """Whether ``name`` lies below ``directory`` (``""``: everything does)."""
    return not directory or name.startswith(directory + "/")


_FIXES = {
    errno.ENOSPC: "free space there, then run the same command again",
    errno.EDQUOT: "free some of your quota there, then run the same command again",
    errno.EACCES: "give yourself permission there, or choose another place",
    errno.EPERM: "give yourself permission there, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOENT: "check the path; run the same command again if something deleted the file",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same command again",
}


def storage_error(action: str, where: str, cause: Exception) -> StorageError:
    """Say in words what the system refused; ``action`` completes "cannot ..."."""
    number = cause.errno if isinstance(cause, OSError) else None
    reason = (cause.strerror if isinstance(cause, OSError) else None) or f"{type(cause).__name__}: {cause}"
    fix = _FIXES.get(number or 0, "mend that, then run the same command again")
    return StorageError(f"cannot {action} {where}: {reason}", fix)


@contextmanager
def refusals(action: str, where: str) -> Iterator[None]:
    """Turn what the system raises in the block into a StorageError."""
    try:
        yield
    except StorageError:
        raise
    except OSError as cause:
        raise storage_error(action, where, cause) from cause
