"""Which record of a text cannot be parsed, and what to say of it."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Protocol

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
    column, value : str or None
        The first column whose value does not fit, and the value; None where the record as a whole is wrong.
    """

    file: str
    record: int
    line: int
    text: str
    reason: str
    column: str | None = None
    value: str | None = None

    def moved(self, file: str, records: int, lines: int) -> Misfit:
        """The same misfit, where so much comes before the text in which it was found."""
        return replace(self, file=file, record=self.record + records, line=self.line + lines)

    @property
    def where(self) -> str:
        """Begin of a message."""
        return f"{self.file}: record {self.record} (line {self.line})"


class Parse(Protocol):
    """Parses the records in bytes [first, last) of a text; ``as_text`` takes every column as text."""

    def __call__(self, first: int, last: int, names: list[str], as_text: bool = False) -> pa.Table: ...


def find_misfit(text: bytes, rules: QuoteRules, newline: bytes, parse: Parse, names: list[str]) -> Misfit:
    """Find the record because of which ``text`` cannot be parsed, by halving: what comes before it can be."""
    ends = (RecordScanner(rules, newline).ends(text) + 1).tolist()
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    number = bisect_left(ends, True, hi=len(ends) - 1, key=lambda end: _failure(parse, 0, end, names) is not None)
    start, end = (ends[number - 1] if number else 0), ends[number]
    reason = _failure(parse, start, end, names, as_text=True)
    column, value = None, None
    if reason is None:
        column = next((name for name in names if _failure(parse, start, end, [name])), None)
        reason = _failure(parse, start, end, names) or _failure(parse, 0, end, names) or "it cannot be parsed"
    if column is not None:
        value = _shortened(str(parse(start, end, [column], as_text=True)[column][0]))
    rows = parse(0, start, names).num_rows if start else 0
    shown = _shortened(text[start:end].rstrip(b"\r\n").decode("utf-8", "replace"))
    line = text.count(newline, 0, start) + 1
    return Misfit("", rows + 1, line, shown, reason, column, value)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def count_records(block: bytes, ends: Positions, newline: bytes, blank_lines: bool) -> int:
    """Count the records of a block that starts with one."""
    if blank_lines:
        return len(ends)
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    return int(np.count_nonzero(ends + 1 - starts > len(newline)))


def _failure(parse: Parse, first: int, last: int, names: list[str], as_text: bool = False) -> str | None:
    try:
        parse(first, last, names, as_text)
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
