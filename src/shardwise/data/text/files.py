"""A text file as it is stored: opened, decompressed and transcoded, whole from its start or a range of it.

*Content* are the bytes in which records are found: the stored bytes, or, where a file can only be read from its start
(it is compressed, or its encoding cannot be cut), the UTF-8 that comes out of it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa

from shardwise.data.paths import FileInfo, Options, open_file
from shardwise.data.text.encoding import BYTE_ORDER_MARK, Codec
from shardwise.errors import InputError, ShardwiseError

CHUNK = 4 << 20
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)


def _gzip(raw: BinaryIO) -> Any:
    return gzip.GzipFile(fileobj=raw)


def _zstd(raw: BinaryIO) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")


_DECOMPRESSORS: dict[str, Any] = {".gz": _gzip, ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile, ".zst": _zstd}


@dataclass(frozen=True, slots=True)
class TextFile:
    """One file of a text source."""

    info: FileInfo
    codec: Codec
    storage_options: Options

    @property
    def name(self) -> str:
        """Path or URL."""
        return self.info.url

    @property
    def compression(self) -> str | None:
        """Suffix of a known compression, or None."""
        return next((suffix for suffix in _DECOMPRESSORS if self.name.lower().endswith(suffix)), None)

    @property
    def in_order(self) -> bool:
        """Only readable from its start."""
        return self.compression is not None or not self.codec.by_bytes

    def range(self, start: int, end: int) -> bytes:
        """Content in [start, end) of a file that is not ``in_order``, as stored."""
        with self._reading(), open_file(self.name, self.storage_options) as stream:
            stream.seek(start)
            data = stream.read(end - start)
        if len(data) != end - start:
            raise InputError(
                f"{self.name}: has only {start + len(data)} bytes, where it had {self.info.size}.",
                "the file changed since the source was made: make the source again",
            )
        return data

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Content from the start, in pieces of about ``size`` bytes."""
        stored = self._stored_chunks(size)
        if not self.in_order:
            yield from stored
            return
        with self._decoding():
            yield from self.codec.stream_to_utf8(stored)

    def utf8_chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The whole text from the start as UTF-8, whatever the encoding, without a byte order mark."""
        with self._decoding():
            chunks = self.codec.stream_to_utf8(self._stored_chunks(size))
            yield next(chunks, b"").removeprefix(BYTE_ORDER_MARK)
            yield from chunks

    def to_utf8(self, data: bytes) -> bytes:
        """Transcode a range that holds whole records."""
        if self.in_order:
            return data
        with self._decoding():
            return self.codec.to_utf8(data)

    def text_start(self, head: bytes) -> int:
        """Length of the byte order mark at the start of the content."""
        marked = (self.codec.utf8 or self.in_order) and head.startswith(BYTE_ORDER_MARK)
        return len(BYTE_ORDER_MARK) if marked else 0

    def _stored_chunks(self, size: int) -> Iterator[bytes]:
        with self._reading(), open_file(self.name, self.storage_options) as raw:
            stream = _DECOMPRESSORS[self.compression](raw) if self.compression else raw
            while chunk := cast(bytes, stream.read(size)):
                yield chunk

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except ShardwiseError:
            raise
        except _DAMAGE as error:
            what = f"cannot be decompressed as {self.compression}" if self.compression else "cannot be read"
            raise InputError(f"{self.name}: {what}: {error}.", "see that the file is whole, or leave it out") from error

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            found = error.object[error.start : error.end].hex(" ")
            where = f" {error.reason}" if error.reason.startswith("in line") else ""
            raise InputError(
                f"{self.name}: the bytes {found}{where} are not {self.codec.name} text.",
                'give the encoding it was written in, such as encoding="utf-8" or encoding="cp932"',
            ) from error


def skip(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Drop the first ``size`` bytes."""
    for chunk in chunks:
        if size < len(chunk):
            yield chunk[size:]
        size = max(0, size - len(chunk))


def take(chunks: Iterator[bytes], size: int) -> bytes:
    """Give the first ``size`` bytes, or all there are."""
    taken = b""
    while len(taken) < size and (chunk := next(chunks, b"")):
        taken += chunk
    return taken[:size]
