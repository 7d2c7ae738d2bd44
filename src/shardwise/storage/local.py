"""A store in a local directory (or one that many hosts mount)."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from shardwise.errors import StorageError
from shardwise.storage.store import HIDDEN, check_name, refusals, storage_error


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

    def open_write(self, name: str) -> IO[bytes]:
        path = self._path(name)
        with refusals("write", str(path)):
            if not self.durable:
                path.parent.mkdir(parents=True, exist_ok=True)
                return open(path, "wb")
            _make_directories(path.parent)
            return io.BufferedWriter(cast(io.RawIOBase, _DurableFile(path)), 1 << 20)

    def open_read(self, name: str) -> IO[bytes]:
        path = self._path(name)
        with refusals("read", str(path)):
            return open(path, "rb")

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with refusals("write", str(path)):
            temporary = _write_beside(path, data)
            temporary.replace(path)
            _sync_directory(path.parent)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with refusals("write", str(path)):
            if path.exists():
                return False
            temporary = _write_beside(path, data)
            try:
                won = _link(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_directory(path.parent)
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
                    _make_directories(target.parent)
                source.replace(target)
            changed.add(target.parent)
        for directory in changed:
            with refusals("flush", str(directory)):
                _sync_directory(directory)

    def size(self, name: str) -> int | None:
        try:
            found = os.lstat(self._path(name))
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
        path = self._path(name)
        with refusals("delete", str(path)):
            path.unlink(missing_ok=True)

    def delete_tree(self, directory: str) -> None:
        start = self._path(directory) if directory else Path(self.url)
        with refusals("delete", str(start)):
            for path in list(start.iterdir()) if start.is_dir() else []:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            if directory and start.is_dir():
                start.rmdir()

    def clean(self) -> None:
        with refusals("clean", self.url):
            for name, _ in _walk(self.url, len(self.url) + 1):
                if name.rpartition("/")[2].startswith(HIDDEN):
                    Path(self.url, name).unlink(missing_ok=True)

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


class _DurableFile(io.FileIO):
    """A raw file that closing flushes to disk, with its entry in the directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self._path = path
        self._failed = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as cause:
            self._failed = True
            raise storage_error("write", str(self._path), cause) from cause

    def close(self) -> None:
        if self.closed:
            return
        try:
            if not self._failed:
                with refusals("flush", str(self._path)):
                    os.fsync(self.fileno())
        finally:
            super().close()
        with refusals("flush", str(self._path.parent)):
            _sync_directory(self._path.parent)


def _write_beside(path: Path, data: bytes) -> Path:
    """Write a complete, durable file under a hidden name in the directory of ``path``."""
    _make_directories(path.parent)
    temporary = path.parent / f"{HIDDEN}{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb", buffering=0) as file:
            written = 0
            while written < len(data):
                written += file.write(memoryview(data)[written:])
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _link(temporary: Path, path: Path) -> bool:
    """Give a complete file its name unless that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A network file system may have done it and lost the reply: then the file has two names.
        return temporary.stat().st_nlink > 1
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise StorageError(
            f"{path.parent} cannot hold a run: its file system refuses hard links ({cause.strerror}), "
            "so that two drivers could commit the same thing twice",
            "choose a run directory on another file system",
        ) from cause
    return True


def _make_directories(directory: Path) -> None:
    """Make a directory and its parents, each with a durable entry in the one above."""
    if directory.is_dir():
        return
    _make_directories(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
