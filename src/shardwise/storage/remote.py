"""A store behind fsspec: object stores, and memory for tests."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterable
from typing import IO, Any, cast

from shardwise.errors import StorageError
from shardwise.storage.store import HIDDEN, check_name, refusals, storage_error, within

_MEMORY = threading.Lock()
"""fsspec's memory file system looks and then creates; threads of this process take turns here."""

_TOGETHER = 16
"""Files renamed at the same time: each is a copy and a deletion, tens of milliseconds apart."""

_CONDITIONAL = frozenset({"s3", "s3a", "gs", "gcs"})
"""Stores whose fsspec implementation makes ``mode="create"`` one conditional request."""


class FsspecStore:
    """Files under a URL.

    Object stores make a whole object visible at once and durable before they answer, so ``put`` and ``close`` need
    nothing more. ``put_if_absent`` needs a conditional request: stores that have none are refused when it is called.

    Parameters
    ----------
    url : str
        Root, with its protocol.
    options : dict
        Credentials and the like, for fsspec. Never written anywhere.
    """

    def __init__(self, url: str, options: dict[str, Any] | None = None) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.url, **(options or {}))
        except (ImportError, ValueError) as cause:
            raise StorageError(f"cannot open {self.url}: {cause}", "install the library of that store") from cause
        self._root = self._root.rstrip("/")
        self._protocol = self.url.partition("://")[0]
        self._exclusive = False

    def open_write(self, name: str) -> IO[bytes]:
        with refusals("write", self.address(name)):
            return cast(IO[bytes], self._system.open(self._path(name), "wb"))

    def open_read(self, name: str) -> IO[bytes]:
        if self._protocol == "memory":  # whose files share one position among all readers
            import io

            return io.BytesIO(self.get(name))
        with refusals("read", self.address(name)):
            return cast(IO[bytes], self._system.open(self._path(name), "rb"))

    def put(self, name: str, data: bytes) -> None:
        with refusals("write", self.address(name)):
            self._system.pipe_file(self._path(name), data)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        if self._protocol == "memory":
            with _MEMORY:
                return self._create(name, data)
        self._require_exclusive()
        return self._create(name, data)

    def get(self, name: str) -> bytes:
        with refusals("read", self.address(name)):
            return bytes(self._system.cat_file(self._path(name)))

    def get_many(self, names: list[str]) -> list[bytes]:
        if not names:
            return []
        paths = [self._path(name) for name in names]
        with refusals("read", self.url):
            found = self._system.cat(paths)
        return [bytes(found[path]) for path in paths] if isinstance(found, dict) else [bytes(found)]

    def rename(self, old: str, new: str) -> None:
        with refusals(f"rename {self.address(old)} to", self.address(new)):
            self._system.cp_file(self._path(old), self._path(new))
            self._system.rm_file(self._path(old))

    def rename_many(self, pairs: list[tuple[str, str]]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_TOGETHER) as pool:
            list(pool.map(lambda pair: self.rename(*pair), pairs))

    def make_directory(self, name: str) -> None:
        """Object stores have none."""

    def size(self, name: str) -> int | None:
        self._system.invalidate_cache()
        with refusals("look at", self.address(name)):
            try:
                found = self._system.info(self._path(name))
            except FileNotFoundError:
                return None
        return int(found["size"]) if found["type"] == "file" else None

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def list(self, directory: str = "") -> dict[str, int]:
        start = self._path(directory) if directory else self._root
        self._system.invalidate_cache()
        with refusals("list", start):
            try:
                found = self._system.find(start, detail=True)
            except FileNotFoundError:
                return {}
        skip = len(self._root) + 1
        names = {path[skip:]: int(info["size"]) for path, info in found.items() if info["type"] == "file"}
        return {name: names[name] for name in sorted(names) if within(directory, name) and not _is_hidden(name)}

    def delete(self, name: str) -> None:
        with refusals("delete", self.address(name)):
            try:
                self._system.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def delete_many(self, names: Iterable[str]) -> None:
        for name in names:
            self.delete(name)

    def delete_tree(self, directory: str) -> None:
        names = list(self.list(directory))
        if names:
            with refusals("delete", f"{self.url}/{directory}"):
                self._system.rm([self._path(name) for name in names])

    def clean(self) -> None:
        """Objects appear whole: nothing is ever half put."""

    def local_path(self, name: str) -> str | None:
        check_name(name, self.url)
        return None

    def address(self, name: str) -> str:
        return f"{self.url}/{check_name(name, self.url)}"

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name, self.url)}"

    def _create(self, name: str, data: bytes) -> bool:
        """Ask for a file to be created as a whole; False where the store says that the name is taken."""
        try:
            self._system.pipe_file(self._path(name), data, mode="create")
        except Exception as cause:
            if _is_taken(cause):
                return False
            raise storage_error("write", self.address(name), cause) from cause
        return True

    def _require_exclusive(self) -> None:
        """Make sure, once, that the store refuses to create what exists: by its kind, its library, and a trial."""
        if self._exclusive:
            return
        create = getattr(self._system, "_pipe_file", None)
        if self._protocol not in _CONDITIONAL or create is None or "mode" not in inspect.signature(create).parameters:
            raise self._not_exclusive("its library has no request that creates a file only if it is absent")
        trial = f"{HIDDEN}{os.urandom(8).hex()}"
        try:
            if not self._create(trial, b"1") or self._create(trial, b"2"):
                raise self._not_exclusive("it replaced a file that it was asked to create only if absent")
        finally:
            self.delete(trial)
        self._exclusive = True

    def _not_exclusive(self, why: str) -> StorageError:
        return StorageError(
            f"{self.url} cannot hold a run: {why}, so that two drivers could commit the same thing twice",
            "choose a run directory on a local or shared file system, S3 or Google Cloud Storage",
        )


def _is_taken(cause: BaseException) -> bool:
    """Whether an error says that the name exists: as Python does, or as HTTP 409 and 412 do."""
    if isinstance(cause, FileExistsError):
        return True
    response = getattr(cause.__cause__, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    return code in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"} or (
        str(getattr(cause, "code", "")) in {"412", "409"}
    )


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(HIDDEN)
