"""Measures how large data are, on a few batches that are spread over them."""

from __future__ import annotations

import itertools
import math
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwise.plan.size import Size

if TYPE_CHECKING:
    from shardwise.data.source import Batch, Source

MOST_BATCHES = 8
MOST_ITEMS = 200
SECONDS = 1.0
"""No further batch is read after that."""

WALKED = 64 << 20
"""Bytes of a text file up to which a batch in its middle is found quickly; of larger ones the first are read."""

FIRST_BATCHES = 2


def measure_size(
    source: Source, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic, rate: float | None = None
) -> Size:
    """Read a few batches that are spread over the data, and say how large all of it is.

    Parameters
    ----------
    source : Source
    seconds : float
        No further batch is read after that.
    clock : callable
        Tells the time.
    rate : float, optional
        Bytes per second that its storage reads.

    Notes
    -----
    Bytes of a row are a ratio estimate, with its standard error (W. G. Cochran, "Sampling Techniques", Wiley 1977,
    chapter 6). Of a large text file the first batches are taken for all.
    """
    sample = _Sample(source)
    sample.read(seconds, clock)
    rows, is_exact = sample.rows()
    sizes = [fragment.size for fragment in source.fragments]
    stored = None if None in sizes or not source.remote_safe else sum(size or 0 for size in sizes)
    each, error = sample.row_bytes()
    whole: tuple[int | None, int | None, int | None] = (None, None, None)
    if rows is not None and each is not None:
        low, high = max(0.0, each - error), each + error
        whole = (round(rows * each), round(rows * low), round(rows * high))
    elif rows == 0:
        whole = (0, 0, 0)
    count, there = len(sample.weights), sample.all_batches()
    seen = sum(n for n, _ in sample.weights)
    return Size(rows, is_exact, stored, each, *whole, count, there, seen, rate, source.kind == "items")


def known_rate(source: Source) -> float | None:
    """Bytes per second that the storage of a source reads, where it was measured before."""
    from shardwise.plan.machine import load

    machine, first = load(), next((fragment.name for fragment in source.fragments), "")
    if machine is None or not source.remote_safe or "://" in first:
        return None
    storage = machine.storage(str(Path(first).parent))
    return storage.read if storage is not None and storage.how != "cached" else None


class _Sample:
    """Batches that were looked at."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._starts = list(itertools.accumulate((f.batches for f in source.fragments), initial=0))
        self.weights: list[tuple[int, int]] = []  # rows and bytes in memory of each
        self._rows_by_bytes = [0, 0]  # rows, and the stored bytes that they take
        self._whole: dict[int, int] = {}  # rows of fragments that were read to their end
        self._begun: set[int] = set()

    def read(self, seconds: float, clock: Callable[[], float]) -> None:
        """Look at batches until there are enough, or it takes too long."""
        began = clock()
        for ordinal in self._spread():
            if self.weights and clock() - began >= seconds:
                break
            self._visit(ordinal, lambda: clock() - began >= seconds)

    def _spread(self) -> list[int]:
        """Ordinals at equal distances, in an order that is spread wherever it is broken off."""
        there = self._starts[-1]
        count = min(there, MOST_ITEMS if self._source.kind == "items" else MOST_BATCHES)
        order = sorted(range(count), key=lambda i: int(f"{i:016b}"[::-1], 2))
        return [(2 * i + 1) * there // (2 * count) for i in order]

    def _visit(self, ordinal: int, late: Callable[[], bool]) -> None:
        fragment = bisect_right(self._starts, ordinal) - 1
        about = self._source.fragments[fragment]
        if about.in_order:
            self._read_in_order(fragment, ordinal, late)
        elif hasattr(self._source, "beginning") and (about.size or 0) > WALKED:
            if fragment not in self._begun:
                self._begun.add(fragment)
                first = self._starts[fragment]
                batches = itertools.islice(self._source.beginning(fragment), FIRST_BATCHES)
                for number, batch in enumerate(batches):
                    self._count(first + number, batch)
        else:
            for batch in self._source.read(ordinal, ordinal + 1):
                self._count(ordinal, batch)

    def _read_in_order(self, fragment: int, ordinal: int, late: Callable[[], bool]) -> None:
        rows = 0
        for batch in self._source.read(ordinal, ordinal + 1):
            rows += _weigh(batch)[0]
            self.weights.append(_weigh(batch))
            if late():
                return
        self._whole[fragment] = rows
        size = self._source.fragments[fragment].size
        if size:
            self._add(rows, size)

    def _count(self, ordinal: int, batch: Batch) -> None:
        weight = _weigh(batch)
        self.weights.append(weight)
        self._add(weight[0], self._source.weigh(ordinal, ordinal + 1)[1])

    def _add(self, rows: int, stored: int) -> None:
        self._rows_by_bytes[0] += rows
        self._rows_by_bytes[1] += stored

    def rows(self) -> tuple[int | None, bool]:
        """Rows of all fragments, and whether they are exact."""
        total, is_exact = 0, True
        for number, fragment in enumerate(self._source.fragments):
            known = fragment.rows if fragment.rows is not None else self._whole.get(number)
            if fragment.batches == 0:
                known = 0
            if known is None:
                rows, stored = self._rows_by_bytes
                if fragment.size is None or not stored:
                    return None, False
                known, is_exact = round(fragment.size * rows / stored), False
            total += known
        return total, is_exact

    def all_batches(self) -> int | None:
        """Batches that there are, where that is known."""
        unknown = any(fragment.in_order for fragment in self._source.fragments)
        return None if unknown else self._starts[-1]

    def row_bytes(self) -> tuple[float | None, float]:
        """Bytes of a row, and half of the interval that holds the mean of all."""
        rows, held = (sum(weights) for weights in zip(*self.weights)) if self.weights else (0, 0)
        if not rows:
            return None, 0.0
        each = held / rows
        count, there = len(self.weights), self.all_batches()
        if count < 2 or count == there:
            return each, 0.0
        from shardwise.plan.power_law import student_t

        squares = sum((size - each * n) ** 2 for n, size in self.weights)
        unseen = 1.0 if there is None else 1 - count / there
        error = math.sqrt(unseen * squares / (count - 1) / count) / (rows / count)
        return each, student_t(count - 1) * error


def _weigh(batch: Batch) -> tuple[int, int]:
    """Rows of a batch, and its bytes in memory."""
    data = batch.data
    if isinstance(data, list):
        return len(data), sum(_held(item, set()) for item in data)
    return len(data), int(data.nbytes)


def _held(value: Any, seen: set[int]) -> int:
    """Bytes of a Python object and of what it holds; what is held twice counts once."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    for inner in _inside(value):
        size += _held(inner, seen)
    return size


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif hasattr(value, "__dict__") and not callable(value):
        yield vars(value)
