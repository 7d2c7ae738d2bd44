"""Object stores: S3 and what speaks its language, Google Cloud Storage, Azure.

An object is seen whole or not at all, and is durable before the store answers. ``create`` is one conditional request:
``If-None-Match: *`` (S3, Azure; RFC 9110, section 13.1.2) or ``ifGenerationMatch=0`` (Google). There is no rename: a
copy on the server, then a deletion; whoever meets both copies again.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

from shardwise.errors import StorageError
from shardwise.storage.remote import FsspecStore, answers
from shardwise.storage.store import storage_error

_LARGEST = 32 << 20
"""Larger objects are sent in parts (gcsfs: from 50 MiB on), and putting parts together is less exclusive than a put: of
8 writers up to 8 were told by SeaweedFS 4.48 that they had created the object, and fake-gcs-server lets each second one
replace the first."""

_TRIES = 10
_PAUSE = 0.05  # seconds

_CHUNK = 4 << 20


class ObjectStore(FsspecStore):
    """Objects under a bucket or a prefix. Parameters as for ``FsspecStore``."""

    def create(self, name: str, data: bytes) -> bool:
        if len(data) > _LARGEST:
            raise StorageError(
                f"{self.address(name)} would have {len(data)} bytes, and more than {_LARGEST} cannot be put at once",
                "choose a run directory on a local or shared file system, or HDFS",
            )
        for _ in range(_TRIES):
            try:
                self._system.pipe_file(self._path(name), data, mode="create")
            except Exception as cause:
                if _is_taken(cause):
                    return False
                if not _is_contended(cause):
                    raise storage_error("write", self.address(name), cause) from cause
            else:
                return True
            if self.exists(name):
                return False
            time.sleep(_PAUSE)
        raise StorageError(
            f"cannot write {self.address(name)}: the store said {_TRIES} times that others write it, and nobody did",
            "run the same command again",
        )


class AzureStore(ObjectStore):
    """Azure's blobs. Their library begins a copy and does not wait for it, so files pass through here."""

    def rename(self, old: str, new: str) -> None:
        with answers(f"rename {self.address(old)} to", self.address(new)):
            with self._system.open(self._path(old), "rb") as reader:
                if reader.size <= _LARGEST:  # one request: whoever puts the same in parts meanwhile loses his
                    self._system.pipe_file(self._path(new), reader.read())
                else:
                    self._copy(reader, self._path(new))
            self._system.rm_file(self._path(old))

    def _copy(self, reader: Any, path: str) -> None:
        writer = self._system.open(path, "wb")
        try:
            shutil.copyfileobj(reader, writer, _CHUNK)
        except BaseException:
            writer.closed = True  # closing it would publish what came through so far
            raise
        writer.close()


def _codes(cause: BaseException) -> set[str]:
    """What the store said, as codes: those of S3's body, and that of HTTP."""
    response: Any = getattr(cause.__cause__, "response", None)
    if not isinstance(response, dict):
        return {str(getattr(cause, "code", ""))}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return {str(response.get("Error", {}).get("Code", "")), str(status)}


def _is_taken(cause: BaseException) -> bool:
    return isinstance(cause, FileExistsError) or bool(_codes(cause) & {"PreconditionFailed", "412"})


def _is_contended(cause: BaseException) -> bool:
    """Whether the store only says that somebody else writes the same object now: 409 from S3. He may yet fail."""
    return bool(_codes(cause) & {"ConditionalRequestConflict", "OperationAborted", "409"})
