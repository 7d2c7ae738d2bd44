"""Which record of a text cannot be parsed, and what to say of it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa

from shardwise.data.text.records import Positions, QuoteRules, RecordScanner
from shardwise.errors import InputError

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first record that cannot be parsed.

    Parameters
    ----------
    file : str
        Where it stands.
    record, line : int
        Its number among the records, and the number of its first line, in the file. Both count from 1.
    text : str
        The record, shortened.
    reason : str
        What DuckDB, or the decoder, said.
    """

    file: str
    record: int
    line: int
    text: str
    reason: str

    def moved(self, file: str, records: int, lines: int) -> Misfit:
        """The same misfit, where so much comes before the text in which it was found."""
        return replace(self, file=file, record=self.record + records, line=self.line + lines)

    @property
    def where(self) -> str:
        """Begin of a message."""
        return f"{self.file}: record {self.record} (line {self.line})"


def find_misfit(text: bytes, rules: QuoteRules, newline: bytes, parse: Callable[[bytes], pa.Table]) -> Misfit:
    """Find the record because of which ``parse(text)`` fails, by halving: what comes before it can be parsed."""
    ends = (RecordScanner(rules, newline).ends(text) + 1).tolist()
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    number = bisect_left(ends, True, hi=len(ends) - 1, key=lambda end: _failure(parse, text[:end]) is not None)
    start = ends[number - 1] if number else 0
    record = text[start : ends[number]]
    reason = _failure(parse, record) or _failure(parse, text[: ends[number]]) or "it cannot be parsed"
    shown = record.rstrip(b"\r\n").decode("utf-8", "replace")
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    rows = parse(text[:start]).num_rows if start else 0
    return Misfit("", rows + 1, text.count(newline, 0, start) + 1, shown, reason)


def count_records(block: bytes, ends: Positions, newline: bytes, blank_lines: bool) -> int:
    """Count the records of a block that starts with one."""
    if blank_lines:
        return len(ends)
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    return int(np.count_nonzero(ends + 1 - starts > len(newline)))


def _failure(parse: Callable[[bytes], pa.Table], text: bytes) -> str | None:
    try:
        parse(text)
    except duckdb.Error as error:
        return str(error)
    except InputError as error:
        return error.message
    return None


def first_match(patterns: dict[str, str], text: str) -> str | None:
    """The sentence of the first pattern that is found, filled with its groups."""
    for pattern, sentence in patterns.items():
        if found := re.search(pattern, text, re.DOTALL):
            return sentence.format(*found.groups())
    return None
