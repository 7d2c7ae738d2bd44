"""What CSV and NDJSON share: batches cut at records, an index of where they start, reading and scanning them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import duckdb
import numpy as np
import pyarrow as pa

from shardwise.data.base import BaseSource
from shardwise.data.paths import file_identity
from shardwise.data.schema import choose, conform
from shardwise.data.source import Batch, Fragment, Kind
from shardwise.data.text.files import TextFile, skip, take
from shardwise.data.text.heads import Head
from shardwise.data.text.misfit import Misfit, count_records, find_misfit
from shardwise.data.text.ranges import Parser, Piece, offer
from shardwise.data.text.records import BatchCutter, Positions, QuoteRules, RecordScanner, whole_lines, with_toggles
from shardwise.errors import InputError

MAX_STEP = 32 << 20
"""The most bytes of a batch (plus its last record): what DuckDB's CSV reader takes as one buffer."""

_MAX_ROWS = 1 << 21
_PIECE_BYTES = 8 << 20
_LEAST = 64 << 10
_LOOKED_AT = 1 << 20  # bytes that are looked at together when records are found: they stay in the cache
_finding = threading.Lock()
_GROWTH = 3  # bytes of UTF-8 that one stored byte may become


def step_for(batch_rows: int, record_size: float | None) -> int:
    """Bytes of a batch: ``batch_rows`` mean records."""
    return max(1, min(MAX_STEP, round(batch_rows * record_size))) if record_size else MAX_STEP


def fragment_of(file: TextFile, head: Head, step: int) -> Fragment:
    """Describe a file; only sizes are needed."""
    batches = 1 if file.in_order else -(-file.info.size // step)
    if head.blank or (not file.in_order and head.start >= file.info.size):
        batches = 0
    return Fragment(file.name, batches, 0 if batches == 0 else None, file.info.size, file.in_order)


@dataclass(frozen=True)
class TextSource(BaseSource, ABC):
    """Text files cut exactly at records.

    Where batches start is found when a file is first read from, or for all files by `index`; a pickled source carries
    what is known.
    """

    files: tuple[TextFile, ...]
    heads: tuple[Head, ...]
    step: int
    schema: pa.Schema
    cuts: dict[int, Positions] = field(default_factory=dict, repr=False, compare=False)
    kind: Kind = field(default="table", init=False)
    is_parsed: ClassVar[bool] = True  # reading costs much more than passing over what was read

    @property
    @abstractmethod
    def rules(self) -> QuoteRules:
        """What is quoted."""

    @abstractmethod
    def query(self, url: str, columns: list[str], largest: int) -> str:
        """SQL that parses the texts of ``url``, which start with the `prefix` and have at most ``largest`` bytes."""

    @abstractmethod
    def prefix(self, newline: bytes) -> bytes:
        """What to put before a range of records so that it is parsed as one from the middle of a file."""

    @abstractmethod
    def as_text(self) -> TextSource:
        """The same source with all columns read as text."""

    @abstractmethod
    def describe(self, misfit: Misfit) -> InputError:
        """Say what is wrong with a record, and what to do."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Everything but the files that changes the rows."""

    def check_newlines(self, text: bytes, newline: bytes, starts_file: bool) -> None:
        """Refuse records that end in another newline than ``newline``."""

    @property
    def counts_blank_lines(self) -> bool:
        """Whether a line without anything in it is a record."""
        return False

    @property
    def remote_safe(self) -> bool:
        """Files can be read from anywhere."""
        return True

    def identity(self) -> dict[str, Any]:
        """Name the files as they were when the source was made, and how they are read."""
        return {
            **self.options(),
            "files": [file_identity(file.info) for file in self.files],
            "schema": [[column.name, str(column.type)] for column in self.schema],
            "step": self.step,
            "batch_rows": self.batch_rows,
        }

    def index(self) -> None:
        """Find where all batches start, several files at a time, so that no worker has to look again."""
        wanted = [i for i, fragment in enumerate(self.fragments) if fragment.batches > 1 and i not in self.cuts]
        if wanted:
            with ThreadPoolExecutor(min(len(wanted), os.cpu_count() or 1)) as threads:
                self.cuts.update(zip(wanted, threads.map(self._find_cuts, wanted), strict=True))

    def cuts_of(self, fragment: int) -> Positions:
        """Offsets at which the batches of a file start, and its size."""
        with _finding:  # several threads that read one file need it at the same time
            if fragment not in self.cuts:
                self.cuts[fragment] = self._find_cuts(fragment)
        return self.cuts[fragment]

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Parse one batch after another. A misfit raises InputError that names file, record, column and value."""
        schema = choose(self.schema, columns)
        with Parser() as parser:
            for fragment, begin, end in self.spans(first, last):
                texts = self._stream(fragment) if self.files[fragment].in_order else self._ranges(fragment, begin, end)
                for index, start, text, ends_file in texts:
                    table = self._parse(parser, fragment, start, text, ends_file, schema)
                    yield Batch(fragment, index, table)

    def beginning(self, fragment: int) -> Iterator[Batch]:
        """Yield batches of a file from its start on, without looking first where all of them start."""
        with Parser() as parser:
            for index, start, text, ends_file in self._stream(fragment):
                yield Batch(fragment, index, self._parse(parser, fragment, start, text, ends_file, self.schema))

    def scan(
        self, con: duckdb.DuckDBPyConnection, first: int, last: int, columns: list[str], positions: bool
    ) -> str | None:
        """Let DuckDB parse a run of batches as pieces of some MiB, on all of its threads.

        Where DuckDB finds a misfit, `read` of the same ordinals raises the error that names file and record.
        """
        schema = choose(self.schema, columns)
        names = schema.names or self.schema.names[:1]
        spans = list(self.spans(first, last))
        depends_on_session = any(pa.types.is_timestamp(column.type) and column.type.tz for column in schema)
        if positions or depends_on_session or any(self.files[fragment].in_order for fragment, _, _ in spans):
            return None
        pieces = [self._piece(f, start, end) for f, b, e in spans for start, end in self._large(f, b, e)]
        if not pieces:
            prefix = self.prefix(b"\n")
            pieces = [Piece(lambda: prefix, len(prefix), _LEAST)]
        url = offer(con, f"{self._digest}-{first}-{last}", pieces)
        return self.query(url, names, max(piece.most for piece in pieces))

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:32]

    def _find_cuts(self, fragment: int) -> Positions:
        """Walk over a file once. One batch alone needs no walk."""
        head, file, batches = self.heads[fragment], self.files[fragment], self.fragments[fragment].batches
        if batches <= 1:
            return np.array([head.start, file.info.size], dtype=np.int64)
        cutter = BatchCutter(self.rules, head.end_byte, step=self.step, position=head.start)
        blocks = whole_lines(skip(file.chunks(_LOOKED_AT), head.start), head.end_byte)
        for block, toggles in with_toggles(blocks, self.rules, os.cpu_count() or 1):
            cutter.feed(block, toggles)
        return cutter.finish(batches)

    def _ranges(self, fragment: int, begin: int, end: int) -> Iterator[tuple[int, int, bytes, bool]]:
        """Batches of a file: number, offset, text, whether the file ends there."""
        file, cuts = self.files[fragment], self.cuts_of(fragment).tolist()
        for index in range(begin, end):
            yield index, cuts[index], file.range(cuts[index], cuts[index + 1]), cuts[index + 1] == file.info.size

    def _stream(self, fragment: int) -> Iterator[tuple[int, int, bytes, bool]]:
        """The same for all batches of a file that is read from its start."""
        head = self.heads[fragment]
        cutter = BatchCutter(self.rules, head.end_byte, step=self.step, position=head.start)
        held, base, index = b"", head.start, 0
        for block in whole_lines(skip(self.files[fragment].chunks(), head.start), head.end_byte):
            cutter.feed(block)
            held += block
            ready = cutter.cuts[index:]
            for start, end in pairwise(ready):
                yield index, start, held[start - base : end - base], False
                index += 1
            held, base = held[ready[-1] - base :], ready[-1]
        if held or index * self.step < cutter.position:
            yield index, base, held, True

    def _large(self, fragment: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Join batches [begin, end) of a file into ranges of some MiB."""
        cuts = self.cuts_of(fragment).tolist()[begin : end + 1]
        start = cuts[0]
        for cut in cuts[1:]:
            if cut - start >= _PIECE_BYTES or (cut == cuts[-1] and cut > start):
                yield start, cut
                start = cut

    def _piece(self, fragment: int, start: int, end: int) -> Piece:
        file, newline = self.files[fragment], self.heads[fragment].newline
        size = len(self.prefix(newline)) + end - start

        def load() -> bytes:
            return self._parsable(fragment, start, file.range(start, end), end == file.info.size)

        if file.codec.utf8 and end < file.info.size:
            return Piece(load, size, max(size, _LEAST))
        return Piece(load, None, max((1 if file.codec.utf8 else _GROWTH) * size + len(newline), _LEAST))

    def _parsable(self, fragment: int, start: int, text: bytes, ends_file: bool) -> bytes:
        """Prepare records for DuckDB, which drops a last record whose quote is not closed without a word."""
        head, file = self.heads[fragment], self.files[fragment]
        self.check_newlines(text, head.newline, start == head.start)
        if ends_file:
            scanner = RecordScanner(self.rules, head.end_byte)
            scanner.ends(text)
            if scanner.inside:
                raise InputError("unterminated quote at the end of the file.", "close it")
            text = text if text.endswith((b"\r", b"\n")) else text + head.newline
        return self.prefix(head.newline) + file.to_utf8(text)

    def _parse(
        self, parser: Parser, fragment: int, start: int, text: bytes, ends_file: bool, schema: pa.Schema
    ) -> pa.Table:
        if not text:
            return schema.empty_table()
        file, head = self.files[fragment], self.heads[fragment]
        wanted = schema.names or self.schema.names[:1]

        def parse(first: int, last: int, names: list[str], as_text: bool = False) -> pa.Table:
            part = self._parsable(fragment, start + first, text[first:last], ends_file)
            ask = self.as_text().query if as_text else self.query
            return parser.table(lambda url: ask(url, names, max(len(part), _LEAST)), part)

        try:
            table = parse(0, len(text), wanted)
        except (duckdb.Error, InputError):
            misfit = find_misfit(text, self.rules, head.end_byte, parse, wanted)
            raise self.describe(misfit.moved(file.name, *self._before(fragment, start))) from None
        if table.num_rows > _MAX_ROWS:
            raise InputError(
                f"{file.name}: a batch has {table.num_rows} rows, and {_MAX_ROWS} is the most.",
                f"lower batch_rows (now {self.batch_rows}): later records are much shorter than those at the start",
            )
        return conform(table, schema, file.name) if schema.names else table.select([])

    def _before(self, fragment: int, offset: int) -> tuple[int, int]:
        """Count records and lines of a file before an offset at which a record starts."""
        head, file = self.heads[fragment], self.files[fragment]
        lines = take(file.chunks(), head.start).count(head.end_byte)
        scanner = RecordScanner(self.rules, head.end_byte)
        records, position = 0, head.start
        for block in whole_lines(skip(file.chunks(), head.start), head.end_byte):
            block = block[: offset - position]
            records += count_records(block, scanner.ends(block), head.newline, self.counts_blank_lines)
            lines += block.count(head.end_byte)
            position += len(block)
            if position >= offset:
                break
        return records, lines
