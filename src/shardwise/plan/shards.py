"""Where to cut: gaps between what is committed, and shards of a wanted size inside them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from shardwise.data.source import Fragment


def gaps(committed: Iterable[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """Runs of ordinals of [0, end) that no committed range covers.

    Examples
    --------
    >>> gaps([(2, 4), (7, 8)], 10)
    [(0, 2), (4, 7), (8, 10)]
    """
    out = []
    at = 0
    for first, last in sorted(committed):
        if first > at:
            out.append((at, min(first, end)))
        at = max(at, last)
    if at < end:
        out.append((at, end))
    return [(a, b) for a, b in out if a < b]


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each ordinal weighs (bytes; or 1 each where sizes are not known), by fragment."""

    starts: tuple[int, ...]  # first ordinal of each fragment, and the end
    each: tuple[float, ...]  # weight of one ordinal of the fragment

    @classmethod
    def of(cls, fragments: Sequence[Fragment]) -> Weights:
        """By stored size, where every fragment has one."""
        starts = tuple(accumulate((f.batches for f in fragments), initial=0))
        if any(f.size is None for f in fragments):
            return cls(starts, tuple(1.0 for _ in fragments))
        return cls(starts, tuple((f.size or 0) / f.batches if f.batches else 0.0 for f in fragments))

    @property
    def total(self) -> float:
        """Weight of everything."""
        return sum((b - a) * w for a, b, w in zip(self.starts, self.starts[1:], self.each))

    def between(self, first: int, last: int) -> float:
        """Weight of ordinals [first, last)."""
        return self._until(last) - self._until(first)

    def _until(self, end: int) -> float:
        place = min(bisect.bisect_right(self.starts, end) - 1, len(self.each) - 1)
        whole = sum((b - a) * w for a, b, w in zip(self.starts[:place], self.starts[1 : place + 1], self.each))
        return whole + (end - self.starts[place]) * self.each[place] if self.each else 0.0

    def reach(self, first: int, end: int, target: float) -> int:
        """The ordinal at which a shard that begins at ``first`` weighs about ``target``; at least one further."""
        place = bisect.bisect_right(self.starts, first) - 1
        at, weight = first, 0.0
        while at < end and place < len(self.each):
            stop = min(end, self.starts[place + 1])
            each = self.each[place]
            take = stop - at if each <= 0 else min(stop - at, int((target - weight) / each + 0.5))
            if take < stop - at:
                return max(at + take, first + 1)
            at, weight, place = stop, weight + take * each, place + 1
            if weight >= target:
                break
        return max(at, first + 1)


def cut(ranges: Iterable[tuple[int, int]], weights: Weights, target: float, unit: int = 1) -> list[tuple[int, int]]:
    """Shards of about ``target`` weight that cover the ranges; cuts inside a range fall on multiples of ``unit``.

    Examples
    --------
    >>> cut([(0, 10)], Weights((0, 10), (1.0,)), 4)
    [(0, 4), (4, 8), (8, 10)]
    """
    out = []
    for first, end in ranges:
        while first < end:
            last = weights.reach(first, end, target)
            if last < end and unit > 1:
                last = min(end, max(first // unit + 1, last // unit) * unit)
            out.append((first, last))
            first = last
    return out
