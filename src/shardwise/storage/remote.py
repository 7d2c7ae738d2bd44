"""A store behind fsspec, whatever it is: good for sources and outputs. Kinds that can hold a run are subclasses."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any, TypeVar, cast

from shardwise.errors import ShardwiseError, StorageError
from shardwise.storage.file_systems import file_system
from shardwise.storage.store import HIDDEN, check_name, storage_error, within

_TOGETHER = 16
"""Requests under way at the same time: each takes milliseconds to tens of them."""

_BUFFER = 1 << 20

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def answers(action: str, where: str) -> Iterator[None]:
    """Turn what a store's library raises in the block into a StorageError. Not all of it is an OSError: no connection,
    no credentials."""
    try:
        yield
    except ShardwiseError:
        raise
    except Exception as cause:
        raise storage_error(action, where, cause) from cause


class FsspecStore:
    """Files under a URL. What cannot be said of every store is said for the least of them.

    Parameters
    ----------
    url : str
        Root, with its protocol.
    options : dict
        Credentials and the like, for fsspec. Never written anywhere.
    """

    def __init__(self, url: str, options: dict[str, Any] | None = None) -> None:
        self.url = url.rstrip("/")
        self.options = dict(options or {})
        self._system, root = file_system(self.url, self.options)
        self._root = root.rstrip("/")

    def open_write(self, name: str) -> IO[bytes]:
        with answers("write", self.address(name)):
            file = self._system.open(self._path(name), "wb")
        return io.BufferedWriter(cast(io.RawIOBase, _RemoteFile(file, self.address(name))), _BUFFER)

    def open_read(self, name: str) -> IO[bytes]:
        with answers("read", self.address(name)):
            return cast(IO[bytes], self._system.open(self._path(name), "rb"))

    def put(self, name: str, data: bytes) -> None:
        with answers("write", self.address(name)):
            self._system.pipe_file(self._path(name), data)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        from shardwise.storage.probe import require_exclusive

        check_name(name, self.url)
        require_exclusive(self)
        return self.create(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """What ``put_if_absent`` does where the store was probed: the one request that creates a file as a whole, and
        only if there is none."""
        raise self.not_exclusive("its library has no request that creates a file only if it is absent")

    @property
    def service(self) -> object:
        """Equal for stores that the same service keeps: what is true of one, is of the other."""
        return hash(self._system), self._root.lstrip("/").partition("/")[0]

    def not_exclusive(self, why: str) -> StorageError:
        """The refusal of a store whose word cannot be taken."""
        return StorageError(
            f"{self.url} cannot hold a run: {why}, so that two drivers could commit the same thing twice",
            "choose a run directory on a local or shared file system, HDFS, S3, Google Cloud Storage or Azure; "
            "data can be read from here, and results be written here, all the same",
        )

    def get(self, name: str) -> bytes:
        with answers("read", self.address(name)):
            return bytes(self._system.cat_file(self._path(name)))

    def get_many(self, names: list[str]) -> list[bytes]:
        return _together(self.get, names)

    def rename(self, old: str, new: str) -> None:
        with answers(f"rename {self.address(old)} to", self.address(new)):
            self._system.cp_file(self._path(old), self._path(new))
            self._system.rm_file(self._path(old))

    def rename_many(self, pairs: list[tuple[str, str]]) -> None:
        _together(lambda pair: self.rename(*pair), pairs)

    def make_directory(self, name: str) -> None:
        """Object stores have none, others make them with the first file."""

    def size(self, name: str) -> int | None:
        self._system.invalidate_cache()
        with answers("look at", self.address(name)):
            try:
                found = self._system.info(self._path(name))
            except FileNotFoundError:
                return None
        return int(found["size"]) if found["type"] == "file" else None

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def list(self, directory: str = "") -> dict[str, int]:
        names = self._list_all(directory)
        return {name: names[name] for name in sorted(names) if within(directory, name) and not _is_hidden(name)}

    def delete(self, name: str) -> None:
        with answers("delete", self.address(name)):
            try:
                self._system.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def delete_many(self, names: Iterable[str]) -> None:
        _together(self.delete, list(names))

    def delete_tree(self, directory: str) -> None:
        self.delete_many(name for name in self._list_all(directory) if within(directory, name))

    def clean(self) -> None:
        """Nothing is half put where a put is one request."""

    def local_path(self, name: str) -> str | None:
        check_name(name, self.url)
        return None

    def address(self, name: str) -> str:
        return f"{self.url}/{check_name(name, self.url)}"

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name, self.url)}"

    def _list_all(self, directory: str) -> dict[str, int]:
        """All files below a directory, hidden ones too, in no order."""
        start = self._path(directory) if directory else self._root
        self._system.invalidate_cache()
        with answers("list", self.url):
            try:
                found = self._system.find(start, detail=True)
            except FileNotFoundError:
                return {}
        if not isinstance(found, dict):  # adlfs: the name alone, where it is a file
            return {}
        skip = len(self._root) + 1
        return {path[skip:]: int(info["size"]) for path, info in found.items() if info["type"] == "file"}


class _RemoteFile(io.RawIOBase):
    """A file being written, whose refusals are errors of ours."""

    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        self._address = address

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with answers("write", self._address):
            self._file.write(bytes(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            with answers("write", self._address):
                self._file.close()


def _together(act: Callable[[T], R], each: list[T]) -> list[R]:
    if len(each) < 2:
        return [act(one) for one in each]
    with ThreadPoolExecutor(_TOGETHER) as pool:
        return list(pool.map(act, each))


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(HIDDEN)
