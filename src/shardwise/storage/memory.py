"""fsspec's memory file system, for tests and trials: what is put there goes with the process."""

from __future__ import annotations

import io
import threading
from typing import IO

from shardwise.storage.remote import FsspecStore
from shardwise.storage.store import storage_error

_TURNS = threading.Lock()
"""The file system looks and then creates; threads of this process take turns here."""


class MemoryStore(FsspecStore):
    """Files in this process's memory. Parameters as for ``FsspecStore``."""

    def open_read(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.get(name))  # its own files share one position among all readers

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return self.create(name, data)

    def create(self, name: str, data: bytes) -> bool:
        with _TURNS:
            try:
                self._system.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as cause:
                raise storage_error("write", self.address(name), cause) from cause
        return True
