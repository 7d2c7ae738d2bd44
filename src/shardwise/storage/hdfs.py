"""HDFS: a real file system, whose NameNode carries out one change of names after the other.

A file is written under a hidden name of its own, closed, and then renamed: replacing what is there (``put``,
``rename``) or refused where there is something (``create``). Both are one operation of the NameNode, ``rename2``.
Creating with ``overwrite=False`` would be as exclusive, but others would see the file while it is being written.

``hdfs://`` is spoken by hdfs-native, ``webhdfs://`` by fsspec. The latter's own ``mv`` asks for the old ``rename``,
which does nothing where the new name is taken, and says so to nobody.
"""

from __future__ import annotations

import contextlib
import secrets

from shardwise.storage.naming import PROBES
from shardwise.storage.remote import FsspecStore, answers
from shardwise.storage.store import HIDDEN, within


class HdfsStore(FsspecStore):
    """Files under a directory of HDFS. Parameters as for ``FsspecStore``."""

    def put(self, name: str, data: bytes) -> None:
        with answers("write", self.address(name)):
            self._write_and_move(name, data, replace=True)

    def create(self, name: str, data: bytes) -> bool:
        with answers("write", self.address(name)):
            try:
                self._write_and_move(name, data, replace=False)
            except FileExistsError:
                return False
        return True

    def rename(self, old: str, new: str) -> None:
        source, target = self._path(old), self._path(new)
        with answers(f"rename {self.address(old)} to", self.address(new)):
            try:
                self._move(source, target, replace=True)
            except FileNotFoundError:  # of the old file, or of the directory of the new one
                self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._move(source, target, replace=True)

    def clean(self) -> None:
        hidden = (name for name in self._list_all("") if name.rpartition("/")[2].startswith(HIDDEN))
        self.delete_many(name for name in hidden if not within(PROBES, name))  # another driver's probe is its own

    def delete_tree(self, directory: str) -> None:
        if not directory:
            super().delete_tree("")
            return
        with answers("delete", f"{self.url}/{directory}"), contextlib.suppress(FileNotFoundError):
            self._system.rm(self._path(directory), recursive=True)

    def _write_and_move(self, name: str, data: bytes, *, replace: bool) -> None:
        parent, _, _ = self._path(name).rpartition("/")
        temporary = f"{parent}/{HIDDEN}{secrets.token_hex(8)}"
        self._system.pipe_file(temporary, data)
        try:
            self._move(temporary, self._path(name), replace=replace)
        except BaseException:
            with contextlib.suppress(OSError):
                self._system.rm_file(temporary)
            raise

    def _move(self, old: str, new: str, *, replace: bool) -> None:
        """Rename in one step. Raises FileExistsError where the new name is taken and nothing may be replaced."""
        self._system.client.rename(old, new, replace)


class WebHdfsStore(HdfsStore):
    """The same over HTTP."""

    def _move(self, old: str, new: str, *, replace: bool) -> None:
        how = "OVERWRITE" if replace else "NONE"
        try:
            self._system._call("RENAME", method="put", path=old, destination=new, renameoptions=how)
        except RuntimeError as cause:  # what its library makes of errors that it does not know
            if "already exists" in str(cause):
                raise FileExistsError(str(cause)) from cause
            raise OSError(str(cause)) from cause
