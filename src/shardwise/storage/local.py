"""A store in a local directory (or one that many hosts mount)."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from shardwise.errors import StorageError
from shardwise.storage import disk
from shardwise.storage.store import HIDDEN, check_name, refusals, storage_error

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EACCES})


class LocalStore:
    """Files under a directory, which is made when the first file is.

    Parameters
    ----------
    root : str
        The directory. It may itself be reached by symbolic links; names inside it may not pass through one.
    """

    def __init__(self, root: str) -> None:
        self.durable = True  # False: what is written need not outlive this process, so nothing waits for the disk
        self.url = os.path.realpath(Path(root).expanduser())
        self._prepared: set[Path] = set()

    def open_write(self, name: str) -> IO[bytes]:
        path = self._path(name)
        with refusals("write", str(path)):
            if not self.durable:
                path.parent.mkdir(parents=True, exist_ok=True)
                return open(path, "wb")
            self._prepare(path.parent)
            return io.BufferedWriter(cast(io.RawIOBase, _DurableFile(path)), 1 << 20)

    def open_read(self, name: str) -> IO[bytes]:
        path = self._path(name)
        with refusals("read", str(path)):
            return open(path, "rb")

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with refusals("write", str(path)):
            self._prepare(path.parent)
            temporary = _write_beside(path, data)
            try:
                disk.rename(temporary, path)
            except BaseException:
                disk.unlink(temporary)
                raise
            disk.sync_directory(path.parent)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with refusals("write", str(path)):
            if path.exists():
                return False
            self._prepare(path.parent)
            temporary = _write_beside(path, data)
            try:
                won = _link(temporary, path)
            finally:
                disk.unlink(temporary)
            disk.sync_directory(path.parent)
            return won

    def get(self, name: str) -> bytes:
        path = self._path(name)
        with refusals("read", str(path)):
            return path.read_bytes()

    def get_many(self, names: list[str]) -> list[bytes]:
        parents = {name.rpartition("/")[0] for name in names}
        resolved = {parent: str(self._path(parent)) if parent else self.url for parent in parents}
        found = []
        for name in names:
            parent, _, leaf = check_name(name, self.url).rpartition("/")
            path = f"{resolved[parent]}/{leaf}"
            with refusals("read", path), open(path, "rb", buffering=0, opener=_open_no_link) as file:
                found.append(file.read())
        return found

    def rename(self, old: str, new: str) -> None:
        self.rename_many([(old, new)])

    def rename_many(self, pairs: list[tuple[str, str]]) -> None:
        changed = set()
        for old, new in pairs:
            source, target = self._path(old), self._path(new)
            with refusals(f"rename {source} to", str(target)):
                if target.parent not in changed:
                    self._prepare(target.parent)
                disk.rename(source, target)
            changed.add(target.parent)
        for directory in changed:
            with refusals("flush", str(directory)):
                disk.sync_directory(directory)

    def make_directory(self, name: str) -> None:
        path = self._path(name)
        with refusals("make", str(path)):
            self._prepare(path)

    def size(self, name: str) -> int | None:
        path = self._path(name)
        with refusals("look at", str(path)):
            try:
                found = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def list(self, directory: str = "") -> dict[str, int]:
        start = self._path(directory) if directory else Path(self.url)
        with refusals("list", str(start)):
            found = dict(_walk(str(start), len(self.url) + 1))
        return {name: found[name] for name in sorted(found) if not name.rpartition("/")[2].startswith(HIDDEN)}

    def delete(self, name: str) -> None:
        self.delete_many([name])

    def delete_many(self, names: Iterable[str]) -> None:
        changed = set()
        for path in map(self._path, names):
            with refusals("delete", str(path)):
                disk.unlink(path)
            changed.add(path.parent)
        for directory in changed:
            with refusals("flush", str(directory)):
                if directory.is_dir():
                    disk.sync_directory(directory)

    def delete_tree(self, directory: str) -> None:
        start = self._path(directory) if directory else Path(self.url)
        with refusals("delete", str(start)):
            for path in list(start.iterdir()) if start.is_dir() else []:
                if path.is_dir() and not path.is_symlink():
                    disk.remove_tree(path)
                else:
                    disk.unlink(path)
            if directory and start.is_dir():
                disk.remove_tree(start)

    def clean(self) -> None:
        with refusals("clean", self.url):
            for name, _ in _walk(self.url, len(self.url) + 1):
                if name.rpartition("/")[2].startswith(HIDDEN):
                    disk.unlink(Path(self.url, name))

    def local_path(self, name: str) -> str | None:
        return str(self._path(name))

    def address(self, name: str) -> str:
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        path = os.path.join(self.url, check_name(name, self.url))  # noqa: PTH118  (hot; pathlib would cost more)
        if os.path.realpath(path) != path:
            raise StorageError(
                f"{path} passes through a symbolic link to {os.path.realpath(path)}",
                "replace the link by the file or directory itself",
            )
        return Path(path)

    def _prepare(self, directory: Path) -> None:
        """Make a directory, so that it outlives a power cut. Whoever made one that is there already, in the root or
        as the root, may not have come to flush its name."""
        if directory in self._prepared and directory.is_dir():
            return
        root = Path(self.url)
        if directory == root or root in directory.parents:
            self._prepare(directory.parent)
            _make_directory(directory)
        else:
            make_directories(directory)
        self._prepared.add(directory)


class _DurableFile(io.FileIO):
    """A raw file that closing flushes to disk, with its entry in the directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(disk.create(path), "w")
        self._path = path
        self._failed = False

    def write(self, data: Any) -> int:
        try:
            return disk.write(self.fileno(), data)
        except OSError as cause:
            self._failed = True
            raise storage_error("write", str(self._path), cause) from cause

    def close(self) -> None:
        if self.closed:
            return
        try:
            if not self._failed:
                with refusals("flush", str(self._path)):
                    disk.sync_file(self.fileno())
        finally:
            super().close()
        with refusals("flush", str(self._path.parent)):
            disk.sync_directory(self._path.parent)


def _write_beside(path: Path, data: bytes) -> Path:
    """Write a complete, durable file under a hidden name in the directory of ``path``."""
    temporary = path.parent / f"{HIDDEN}{os.urandom(8).hex()}"
    descriptor = disk.create(temporary, exclusive=True)
    try:
        written = 0
        while written < len(data):
            written += disk.write(descriptor, memoryview(data)[written:])
        disk.sync_file(descriptor)
    except BaseException:
        disk.unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    return temporary


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _link(temporary: Path, path: Path) -> bool:
    """Give a complete file its name unless that is taken."""
    try:
        disk.link(temporary, path)
    except FileExistsError:
        # A network file system may have done it and lost the reply: then the file has two names.
        return temporary.stat().st_nlink > 1
    except OSError as cause:
        if cause.errno not in _NO_LINKS:
            raise
        raise StorageError(
            f"{path.parent} cannot hold a run: its file system refuses hard links ({cause.strerror}), "
            "so that two drivers could commit the same thing twice",
            "choose a run directory on another file system",
        ) from cause
    return True


def make_directories(directory: Path) -> None:
    """Make a directory and its parents, where they are missing, each with a durable entry in the one above."""
    if not directory.is_dir():
        make_directories(directory.parent)
        _make_directory(directory)


def _make_directory(directory: Path) -> None:
    existed = directory.is_dir()
    if not existed:
        disk.make_directory(directory)
    try:
        disk.sync_directory(directory.parent)
    except PermissionError:  # a parent that is not ours to read
        if not existed:
            raise


def _walk(directory: str, skip: int) -> Iterator[tuple[str, int]]:
    """Yield (name, bytes) of the regular files below a directory; what vanishes meanwhile is left out."""
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, skip)
        elif entry.is_file(follow_symlinks=False):
            try:
                yield entry.path[skip:], entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
