"""One driver per run directory, where a file system can say so.

The lock makes a second driver stop at once and say who holds the directory. It is not what keeps a run whole: the
numbers of the journal's segments do that, also where there are no locks (object stores, some network file systems).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from shardwise.errors import RunIsTaken
from shardwise.run.journal import describe, who
from shardwise.storage.local import make_directories
from shardwise.storage.store import refusals

NAME = "lock"
_PATIENCE = 25
_PAUSE = 0.02  # seconds; a look at the lock by `runs` holds it for less than that


class Lock:
    """A lock on a local directory, released by the kernel when the process ends in whatever way."""

    def __init__(self, root: str) -> None:
        self._path = Path(root) / NAME
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, within a second.

        Raises
        ------
        RunIsTaken
            Another driver has it; the message says who.
        """
        if self.held:
            return
        with refusals("lock", str(self._path)):
            make_directories(self._path.parent)
            for _ in range(_PATIENCE):
                if self._try():
                    return
                time.sleep(_PAUSE)
        raise RunIsTaken(
            f"another driver ({describe(_read(self._path))}) works in {self._path.parent}",
            "wait until it is done, or stop it; `shardwise watch` shows how far it is",
        )

    def release(self) -> None:
        """Give the lock back. Twice is harmless."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                with contextlib.suppress(OSError):  # who held it is a courtesy
                    os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def _try(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if not _lock(descriptor, fcntl.LOCK_EX) or not _is_at(descriptor, self._path):
            os.close(descriptor)
            return False
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(who()).encode(), 0)
        except BaseException:  # a full disk: who tries again must not meet our own lock
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True


def is_locked(root: str) -> bool:
    """Whether a driver works in a local run directory now. Changes nothing."""
    try:
        descriptor = os.open(Path(root) / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as cause:
        # A file system without locks: the numbers of the segments alone keep drivers apart.
        return cause.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that was locked still has its name: pruning deletes directories, lock and all."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        make_directories(path.parent)
        return False


def _read(path: Path) -> dict[str, Any]:
    """Who holds the lock; a holder writes it an instant after it has it."""
    for _ in range(_PATIENCE):
        try:
            return dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, OSError):
            time.sleep(_PAUSE)
    return {}
