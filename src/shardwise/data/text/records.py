"""Where records of a text file start: exact, although quoted fields may hold newlines.

The states are those of DuckDB's strict CSV reader (RFC 4180 with one blank allowed before an opening quote): a quote
opens a quoted part at the start of a field only, and elsewhere in an unquoted field it is a character like another.
A block that holds no quote costs one ``bytes.find``; otherwise NumPy looks at the quotes alone. Where every second
quote stands at the start of a field (the usual case) the quoted parts are the odd intervals between quotes; where not,
a loop over the quotes of that block decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

_BLANK = 0x20
_NONE: Positions = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class QuoteRules:
    """Bytes that decide what is quoted. ``delimiters`` holds several only while the delimiter is being detected."""

    delimiters: bytes
    quote: bytes | None
    escape: bytes | None

    def field_starts(self) -> npt.NDArray[np.bool_]:
        """Table: does a field start after this byte?"""
        table = np.zeros(256, dtype=bool)
        table[list(self.delimiters + b"\r\n")] = True
        return table


UNQUOTED = QuoteRules(b"", None, None)
"""Every newline ends a record (NDJSON, and CSV without a quote character)."""


def quote_toggles(block: bytes, inside: bool, rules: QuoteRules) -> Positions:
    """Find the quotes of ``block`` that open or close a quoted part.

    ``block`` starts right after a newline, or at the start of the data; ``inside`` says whether that is within quotes.
    """
    if rules.quote is None or rules.quote not in block:
        return _NONE
    octets = np.frombuffer(block, dtype=np.uint8)
    quotes = np.flatnonzero(octets == rules.quote[0])
    doubled = rules.escape == rules.quote
    if not doubled and rules.escape:
        quotes = _drop_escaped(block, octets, quotes, rules.escape[0])
    openers = quotes[int(inside) :: 2]
    if _all_open(octets, openers, rules, doubled):
        return quotes
    return _toggles_one_by_one(block, quotes.tolist(), inside, rules, doubled)


def _all_open(octets: npt.NDArray[np.uint8], openers: Positions, rules: QuoteRules, doubled: bool) -> bool:
    """Whether each of these quotes opens, given that the quotes between them close."""
    assert rules.quote is not None
    starts = rules.field_starts()
    before = octets[openers - 1]
    good = starts[before]
    if doubled:
        good |= before == rules.quote[0]
    if good.all():
        return True
    if _BLANK not in rules.delimiters:
        good |= (before == _BLANK) & (starts[octets[np.maximum(openers - 2, 0)]] | (openers == 1))
    if len(openers) and openers[0] == 0:
        good[0] = True
    return bool(good.all())


def _drop_escaped(block: bytes, octets: npt.NDArray[np.uint8], quotes: Positions, escape: int) -> Positions:
    """Drop quotes after an odd run of escapes: inside quotes they are text, outside they do not start a field."""
    kept = np.ones(len(quotes), dtype=bool)
    for index in np.flatnonzero((octets[quotes - 1] == escape) & (quotes > 0)).tolist():
        start = end = int(quotes[index])
        while start > 0 and block[start - 1] == escape:
            start -= 1
        kept[index] = (end - start) % 2 == 0
    return quotes[kept]


def _toggles_one_by_one(block: bytes, quotes: list[int], inside: bool, rules: QuoteRules, doubled: bool) -> Positions:
    toggles = []
    field_start = frozenset(rules.delimiters + b"\r\n")
    skips_blank = _BLANK not in rules.delimiters
    closed = -1
    for quote in quotes:
        if inside:
            inside, closed = False, quote
        else:
            before = quote - 1
            if skips_blank and before >= 0 and block[before] == _BLANK:
                before -= 1
            opens = before < 0 or block[before] in field_start
            if not (opens or (doubled and _directly_after(block, closed, quote, skips_blank))):
                continue
            inside = True
        toggles.append(quote)
    return np.array(toggles, dtype=np.int64)


def _directly_after(block: bytes, closed: int, quote: int, skips_blank: bool) -> bool:
    """Whether nothing but blanks stands between the last closing quote and this one."""
    before = quote - 1
    while skips_blank and before > closed and block[before] == _BLANK:
        before -= 1
    return before == closed >= 0


def next_record_end(block: bytes, newline: bytes, start: int, toggles: Positions, inside: bool) -> int:
    """Position of the first unquoted ``newline`` byte of ``block`` at or after ``start``, or -1."""
    while True:
        end = block.find(newline, start)
        if end < 0:
            return -1
        passed = int(np.searchsorted(toggles, end))
        if (passed % 2 == 1) == inside:
            return end
        if passed == len(toggles):
            return -1
        start = int(toggles[passed]) + 1


def record_ends(block: bytes, newline: bytes, toggles: Positions, inside: bool) -> Positions:
    """Positions of all unquoted ``newline`` bytes of ``block``."""
    ends: Positions = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == newline[0])
    if not len(toggles):
        return ends[:0] if inside else ends
    quoted = (np.searchsorted(toggles, ends) % 2 == 1) != inside
    unquoted: Positions = ends[~quoted]
    return unquoted


def mixes_newlines(block: bytes, newline: bytes, rules: QuoteRules) -> bool:
    """Whether an unquoted carriage return or line feed of ``block`` is not part of ``newline``.

    ``block`` starts with a record. A kind of newline that does not occur in it at all costs one look.
    """
    if newline == b"\n" and b"\r" not in block:
        return False
    ends = block.count(newline)
    if block.count(b"\r") == ends * newline.count(b"\r") and block.count(b"\n") == ends * newline.count(b"\n"):
        return False
    octets = np.frombuffer(block, dtype=np.uint8)
    marks = np.flatnonzero((octets == 0x0D) | (octets == 0x0A))
    toggles = quote_toggles(block, False, rules)
    marks = marks[np.searchsorted(toggles, marks) % 2 == 0]
    return octets[marks].tobytes().replace(newline, b"") != b"" or not _in_pairs(marks, newline)


def _in_pairs(marks: Positions, newline: bytes) -> bool:
    return len(newline) == 1 or bool((marks[1::2] == marks[::2] + 1).all())


def with_toggles(blocks: Iterable[bytes], rules: QuoteRules, threads: int) -> Iterator[tuple[bytes, Positions]]:
    """Blocks in order, each with its toggles if it does not start within quotes, which several threads look for."""
    with ThreadPoolExecutor(threads, "shardwise-quotes") as pool:
        waiting: deque[tuple[bytes, Future[Positions]]] = deque()
        for block in blocks:
            waiting.append((block, pool.submit(quote_toggles, block, False, rules)))
            if len(waiting) > 2 * threads:
                first, found = waiting.popleft()
                yield first, found.result()
        for block, found in waiting:
            yield block, found.result()


def whole_lines(chunks: Iterable[bytes], newline: bytes) -> Iterator[bytes]:
    """Join and cut chunks so that each block but the last ends with ``newline``."""
    carried: list[bytes] = []
    for chunk in chunks:
        end = chunk.rfind(newline) + 1
        if end:
            yield b"".join((*carried, memoryview(chunk)[:end]))
            carried = [chunk[end:]]
        else:
            carried.append(chunk)
    if any(carried):
        yield b"".join(carried)


@dataclass(slots=True)
class RecordScanner:
    """Walks over the blocks that ``whole_lines`` gives, and remembers whether it is within quotes."""

    rules: QuoteRules
    newline: bytes
    inside: bool = False

    def ends(self, block: bytes) -> Positions:
        """Positions of all bytes of ``block`` that end a record."""
        toggles, inside = self._enter(block)
        return record_ends(block, self.newline, toggles, inside)

    def _enter(self, block: bytes, guess: Positions | None = None) -> tuple[Positions, bool]:
        """``guess``: the toggles, if the block does not start within quotes."""
        inside = self.inside
        toggles = quote_toggles(block, inside, self.rules) if inside or guess is None else guess
        self.inside = inside != (len(toggles) % 2 == 1)
        return toggles, inside


@dataclass(slots=True)
class BatchCutter(RecordScanner):
    """Finds where batches begin: batch k holds the records that start in bytes [k x step, (k + 1) x step).

    ``position`` is where the next block starts, ``cuts`` the starts of batches 0, 1, 2 ... found so far.
    """

    step: int = 1
    position: int = 0
    cuts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reach(self.position)

    def _reach(self, start: int) -> None:
        """A record starts here: batches that may begin at or before it do begin here."""
        missing = start // self.step + 1 - len(self.cuts)
        self.cuts += [start] * missing

    def feed(self, block: bytes, guess: Positions | None = None) -> None:
        """Take the next block."""
        toggles, inside = self._enter(block, guess)
        base = self.position
        while True:
            wanted = max(len(self.cuts) * self.step - 1 - base, 0)
            end = next_record_end(block, self.newline, wanted, toggles, inside) if wanted < len(block) else -1
            if end < 0:
                break
            self._reach(base + end + 1)
        self.position = base + len(block)

    def finish(self, batches: int) -> Positions:
        """Starts of ``batches`` batches, and the end of the data."""
        cuts = np.full(batches + 1, self.position, dtype=np.int64)
        known = self.cuts[:batches]
        cuts[: len(known)] = known
        return cuts
