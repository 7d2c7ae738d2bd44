"""What all sources share: finding the batches of a run of ordinals, and the limits of positions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from shardwise.data.source import BATCH_ROWS, MAX_BATCH_ROWS, Fragment
from shardwise.errors import InputError, InternalError, UsageError

if TYPE_CHECKING:
    import duckdb

ARRAY_BATCH_BYTES = 4 << 20
"""A batch of an array has about so many: functions over its rows work in the processor's cache."""

MAX_FRAGMENTS = 1 << 20
MAX_FRAGMENT_BATCHES = 1 << 22


@dataclass(frozen=True)
class BaseSource:
    """Fragments with their ordinals, and the answers of a source that knows no short cut."""

    fragments: tuple[Fragment, ...]
    batch_rows: int

    def __post_init__(self) -> None:
        check_batch_rows(self.batch_rows)
        if len(self.fragments) > MAX_FRAGMENTS:
            raise UsageError(f"{len(self.fragments)} fragments, and {MAX_FRAGMENTS} is the most", "join small files")
        for fragment in self.fragments:
            if fragment.batches > MAX_FRAGMENT_BATCHES:
                raise InputError(
                    f"{fragment.name}: {fragment.batches} batches, and {MAX_FRAGMENT_BATCHES} is the most",
                    f"raise batch_rows (now {self.batch_rows}; at most {MAX_BATCH_ROWS})",
                )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First ordinal of each fragment, and the number of all ordinals."""
        return tuple(accumulate((fragment.batches for fragment in self.fragments), initial=0))

    def spans(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Cut ordinals [first, last) into (fragment, its first batch, its last batch + 1)."""
        if not 0 <= first <= last <= self.starts[-1]:
            raise InternalError(f"ordinals [{first}, {last}) of a source that has {self.starts[-1]}")
        fragment = bisect_right(self.starts, first) - 1
        while first < last:
            end = min(last, self.starts[fragment + 1])
            if first < end:
                yield fragment, first - self.starts[fragment], end - self.starts[fragment]
            first, fragment = end, fragment + 1

    def weigh(self, first: int, last: int) -> tuple[int, int]:
        """Rows and stored bytes of ordinals [first, last), where the files say; parts of a file by its mean.

        Weights of adjacent runs add up to that of both.
        """
        rows = size = 0
        for index, begin, end in self.spans(first, last):
            fragment = self.fragments[index]
            rows += _share(fragment.rows, begin, end, fragment.batches)
            size += _share(fragment.size, begin, end, fragment.batches)
        return rows, size

    def scan(
        self, con: duckdb.DuckDBPyConnection, first: int, last: int, columns: list[str], positions: bool
    ) -> str | None:
        """DuckDB has no reader for it."""
        return None

    def identity(self) -> dict[str, Any] | None:
        """Nothing tells whether it changed."""
        return None

    def float_bounds(self, column: str) -> tuple[float, float] | None:
        """No statistics are kept."""
        return None


def _share(whole: int | None, begin: int, end: int, batches: int) -> int:
    whole = whole or 0
    return whole * end // batches - whole * begin // batches


def check_batch_rows(batch_rows: int) -> None:
    """Refuse a number of rows that a position cannot hold."""
    if not 1 <= batch_rows <= MAX_BATCH_ROWS:
        raise UsageError(f"batch_rows is {batch_rows}", f"give a number from 1 to {MAX_BATCH_ROWS}")


def array_batch_rows(rows: int, row_bytes: int) -> int:
    """Rows of a batch of an array, where nobody said how many: what a core's cache holds, in batches of equal length.

    Examples
    --------
    >>> array_batch_rows(1_000_000, 80), array_batch_rows(1_000_000, 8), array_batch_rows(100, 80_000)
    (50000, 125000, 50)
    """
    most = max(1, min(BATCH_ROWS, ARRAY_BATCH_BYTES // max(1, row_bytes)))
    return max(1, -(-rows // max(1, even_batches(rows, most))))


def even_batches(rows: int, batch_rows: int) -> int:
    """Count the batches of so many rows where only the last one may be shorter."""
    return -(-rows // batch_rows)
