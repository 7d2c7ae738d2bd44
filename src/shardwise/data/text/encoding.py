"""Encodings: which of them can be cut between records as bytes, and how each becomes UTF-8.

Most encodings can be cut as they are, because the bytes that matter (newline, delimiter, quote, escape) are never part
of another character. That is so for single-byte tables, and for the multi-byte ones of East Asia as long as those
bytes are no trail bytes: cp932, for example, may hold ``\\`` and ``|`` in the second byte of a character, but never
``,``, tab or ``"``. Where it is not so (UTF-16, ISO-2022, cp932 with ``|``), text is decoded in order from the start.
"""

from __future__ import annotations

import codecs
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shardwise.errors import UsageError

BYTE_ORDER_MARK = codecs.BOM_UTF8

_STATELESS_MULTIBYTE = {
    *("big5", "big5hkscs", "cp932", "cp949", "cp950", "euc_jis_2004", "euc_jisx0213", "euc_jp", "euc_kr", "gb18030"),
    *("gb2312", "gbk", "johab", "shift_jis", "shift_jis_2004", "shift_jisx0213"),
}


@dataclass(frozen=True, slots=True)
class Codec:
    """How the bytes of a file become UTF-8.

    Parameters
    ----------
    name : str
        Python's own name of the codec.
    utf8 : bool
        The bytes are UTF-8 already.
    by_bytes : bool
        Records can be found, and ranges of them decoded, from the bytes as stored.
    """

    name: str
    utf8: bool
    by_bytes: bool

    def to_utf8(self, data: bytes) -> bytes:
        """Transcode whole records. Raises UnicodeDecodeError."""
        return data if self.utf8 else data.decode(self.name).encode()

    def stream_to_utf8(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Transcode from the start of a file. Raises UnicodeDecodeError, with the number of the line as its reason."""
        if self.utf8:
            yield from chunks
            return
        decoder, line = codecs.getincrementaldecoder(self.name)(), 1
        try:
            for chunk in chunks:
                text = decoder.decode(chunk)
                line += text.count("\n")
                yield text.encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(self.name, "ignore").count("\n")
            error.reason = f"in line {line}"
            raise


def codec_for(encoding: str, special: bytes) -> Codec:
    """Choose how to read ``encoding`` when ``special`` are the (ASCII) bytes that structure the text.

    Examples
    --------
    >>> codec_for("cp932", b',"\\r\\n').by_bytes, codec_for("cp932", b'|"\\r\\n').by_bytes
    (True, False)
    >>> codec_for("utf-16", b',"\\r\\n').by_bytes
    False
    """
    try:
        info = codecs.lookup(encoding)
        "".encode(encoding)
    except (LookupError, TypeError) as error:
        raise UsageError(
            f"encoding {encoding!r} is not a text encoding that Python knows.",
            'name one of Python\'s codecs, such as "utf-8", "cp932", "utf-16" or "latin-1"',
        ) from error
    if info.name in ("utf-8", "utf-8-sig", "ascii"):
        return Codec(info.name, info.name != "ascii", True)
    return Codec(info.name, False, _cuttable(info.name, special))


def _cuttable(name: str, special: bytes) -> bool:
    """Whether ``special`` bytes always mean themselves, whatever byte stands before them."""
    module = name.replace("-", "_")
    if module not in _STATELESS_MULTIBYTE and not _is_table(module):
        return False
    return all(
        bytes([byte]).decode(name) == chr(byte) and _means_itself(name, lead, byte)
        for byte in special
        for lead in range(256)
    )


def _means_itself(name: str, lead: int, byte: int) -> bool:
    """Whether ``byte`` is its own character after ``lead``, or the two together are no text at all."""
    try:
        return bytes([lead, byte]).decode(name).endswith(chr(byte))
    except UnicodeDecodeError:
        return True


def _is_table(module: str) -> bool:
    if module == "iso8859_1":
        return True
    try:
        return hasattr(importlib.import_module(f"encodings.{module}"), "decoding_table")
    except ImportError:
        return False
