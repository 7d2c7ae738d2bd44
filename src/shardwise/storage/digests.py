"""Digests of files: BLAKE2b with 160 bits (RFC 7693), in hex."""

from __future__ import annotations

import hashlib
from typing import IO

from shardwise.storage.store import Store

_SIZE = 20
_CHUNK = 1 << 20


def digest(data: bytes | memoryview) -> str:
    """Digest of bytes.

    Examples
    --------
    >>> digest(b"")
    '3345524abf6bbe1809449224b5972c41790b6cf2'
    """
    return hashlib.blake2b(data, digest_size=_SIZE).hexdigest()


def digest_file(store: Store, name: str) -> str:
    """Digest of a file, read in pieces."""
    state = hashlib.blake2b(digest_size=_SIZE)
    with store.open_read(name) as file:
        while piece := file.read(_CHUNK):
            state.update(piece)
    return state.hexdigest()


class DigestWriter:
    """A file to write to that counts and digests what passes through. Only appends; closing closes the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._state = hashlib.blake2b(digest_size=_SIZE)
        self.size = 0
        self.closed = False

    @property
    def digest(self) -> str:
        """Digest of all bytes written so far, in hex."""
        return self._state.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes; returns how many."""
        self._file.write(data)
        self._state.update(data)
        count = memoryview(data).nbytes
        self.size += count
        return count

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """Close the file below; it is durable then."""
        self.closed = True
        self._file.close()

    def readable(self) -> bool:
        """No."""
        return False

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """No."""
        return False

    def __enter__(self) -> DigestWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
