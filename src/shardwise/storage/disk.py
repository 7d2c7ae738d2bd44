"""The few operations that change a local disk, one function each.

Everything that a store writes to a local directory passes through here, so that tests can record the operations of a
real run, replay them as a power cut would have left them, or refuse them as a full disk does.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


def create(path: Path, *, exclusive: bool = False) -> int:
    """Open a new, empty file for writing; what was there is truncated, or refused where ``exclusive``."""
    return os.open(path, _NEW | (os.O_EXCL if exclusive else os.O_TRUNC), 0o666)


def write(descriptor: int, data: bytes | memoryview) -> int:
    """Append; gives how many bytes were taken."""
    return os.write(descriptor, data)


def sync_file(descriptor: int) -> None:
    """Make a file's bytes outlive a power cut. Its name does not, yet."""
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory, and their absence, outlive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(old: Path, new: Path) -> None:
    """Give a file another name, replacing what has it."""
    old.replace(new)


def link(old: Path, new: Path) -> None:
    """Give a file a second name that nothing has yet."""
    os.link(old, new)


def unlink(path: Path) -> None:
    """Take a name away; harmless where there is none."""
    path.unlink(missing_ok=True)


def make_directory(directory: Path) -> None:
    """Make a directory; harmless where there is one."""
    directory.mkdir(exist_ok=True)


def remove_tree(directory: Path) -> None:
    """Delete a directory and all below it."""
    shutil.rmtree(directory)
