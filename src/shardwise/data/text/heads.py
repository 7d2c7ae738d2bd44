"""What stands at the start of a text file: byte order mark, header record, kind of newline."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from shardwise.data.text.files import TextFile
from shardwise.data.text.records import QuoteRules, RecordScanner, next_record_end, quote_toggles, whole_lines
from shardwise.errors import InputError

_HEAD = 64 << 10
SAMPLE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """Where the records of a file start, and what comes before.

    Parameters
    ----------
    start : int
        Offset in the content of the first record after the header (or of the end, where there is none).
    newline : bytes
        What ends a record: ``\\n``, ``\\r\\n`` or ``\\r``; decided by the first one outside quotes.
    header : tuple of str or None
        Fields of the header record; None where none is expected or the file is blank.
    blank : bool
        Nothing but newlines.
    """

    start: int
    newline: bytes
    header: tuple[str, ...] | None
    blank: bool

    @property
    def end_byte(self) -> bytes:
        """The byte after which the next record starts."""
        return self.newline[-1:]


def read_head(file: TextFile, rules: QuoteRules, has_header: bool) -> Head:
    """Read as much of ``file`` as its head needs. Raises InputError where the header never ends."""
    content = b""
    chunks = file.chunks(_HEAD)
    while True:
        chunk = next(chunks, b"")
        content += chunk
        head = _head(file, content, rules, has_header, whole=not chunk)
        if head is not None:
            return head


def _head(file: TextFile, content: bytes, rules: QuoteRules, has_header: bool, whole: bool) -> Head | None:
    """The head, or None where more content is needed."""
    mark = file.text_start(content)
    first = mark
    while content[first : first + 1] in (b"\r", b"\n"):
        first += 1
    blank = first >= len(content)
    if blank and not whole:
        return None
    end = _first_newline(content, mark, rules) if first == mark else mark
    if not whole and (end < 0 or end + 1 == len(content)):
        return None
    newline = _newline_at(content, end)
    if blank:
        return Head(len(content), newline, None, True)
    if not has_header:
        return Head(mark, newline, None, False)
    return _head_with_header(file, content, first, newline, rules, whole)


def _head_with_header(
    file: TextFile, content: bytes, first: int, newline: bytes, rules: QuoteRules, whole: bool
) -> Head | None:
    block = content[first:]
    toggles = quote_toggles(block, False, rules)
    end = next_record_end(block, newline[-1:], 0, toggles, False)
    if end < 0 and not whole:
        return None
    if end < 0 and len(toggles) % 2:
        raise InputError(f"{file.name}: the quote in its header is never closed.", "mend the header")
    end = len(block) - 1 if end < 0 else end
    text = file.to_utf8(block[: end + 1]).decode("utf-8", "replace")
    return Head(first + end + 1, newline, _fields(text, rules), False)


def _first_newline(content: bytes, start: int, rules: QuoteRules) -> int:
    block = content[start:]
    toggles = quote_toggles(block, False, rules)
    ends = [next_record_end(block, newline, 0, toggles, False) for newline in (b"\n", b"\r")]
    found = [end for end in ends if end >= 0]
    return start + min(found) if found else -1


def _newline_at(content: bytes, end: int) -> bytes:
    if end < 0 or content[end : end + 1] == b"\n":
        return b"\n"
    return b"\r\n" if content[end : end + 2] == b"\r\n" else b"\r"


def _fields(record: str, rules: QuoteRules) -> tuple[str, ...]:
    """Fields of one record, only to compare headers of files with each other."""
    quote = rules.quote.decode() if rules.quote else None
    doubled = rules.escape == rules.quote
    reader = csv.reader(
        [record.rstrip("\r\n")],
        delimiter=rules.delimiters.decode(),
        quotechar=quote,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=rules.escape.decode() if rules.escape and not doubled else None,
        skipinitialspace=rules.delimiters != b" ",
    )
    return tuple(name.rstrip(" ") for name in next(reader, []))


def first_records(file: TextFile, rules: QuoteRules, count: int, newline: bytes | None = None) -> bytes:
    """The first ``count`` records as UTF-8, after leading blank lines; lines that are blank later count as records."""
    taken: list[bytes] = []
    left = count
    scanner: RecordScanner | None = None
    chunks = _after_blank_lines(file.utf8_chunks(SAMPLE_BYTES))
    start = next(chunks, b"")
    newline = newline or _newline_at(start, _first_newline(start, 0, rules))[-1:]
    for block in whole_lines(_again(start, chunks), newline):
        scanner = scanner or RecordScanner(rules, newline)
        ends = scanner.ends(block)
        if len(ends) >= left:
            return b"".join((*taken, block[: int(ends[left - 1]) + 1]))
        left -= len(ends)
        taken.append(block)
    return b"".join(taken)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _after_blank_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    started = False
    for chunk in chunks:
        text = chunk if started else chunk.lstrip(b"\r\n")
        if text:
            started = True
            yield text


def mean_record_size(file: TextFile, head: Head, rules: QuoteRules) -> float | None:
    """Mean bytes of a record in the first MiB of content, or None where no record starts there."""
    content = b""
    for chunk in file.chunks(SAMPLE_BYTES):
        content += chunk
        if len(content) >= SAMPLE_BYTES:
            break
    body = content[head.start : max(SAMPLE_BYTES, head.start + 1)]
    if not body:
        return None
    ends = RecordScanner(rules, head.end_byte).ends(body)
    return (int(ends[-1]) + 1) / len(ends) if len(ends) else float(len(body))
