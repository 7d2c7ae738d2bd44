"""What is known about the doubles of a relation before they are summed: from statistics, from experience, or by a pass.

Only speed hangs on it: a sum that rests on a guess carries a guard, and is made again where the guess did not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shardwise.compute.aggregates.kernel import Bounds
from shardwise.compute.exact.doubles import LEAST
from shardwise.compute.exact.sql import quoted

if TYPE_CHECKING:
    import duckdb

USUAL = (-44, 40)
"""Binades that most measured data lie in: 5.7e-14 to 1.1e12."""

_BELOW = 55
"""Binades below the greatest value in which the least is expected: what three pieces reach."""

GROUP_BITS, ALL_BITS = 17, 27
"""Rows of a group, and of all, that are expected first: 2**17 and 2**27."""


@dataclass(frozen=True, slots=True)
class Range:
    """Nonzero finite |x| lie in [2**low, 2**top). ``finite``: there is no NaN and no infinity."""

    low: int
    top: int
    finite: bool

    def widened(self) -> Range:
        """For other rows of the same column: experience is no proof."""
        return Range(max(LEAST, self.low - 12), min(1024, self.top + 4), self.finite)


@dataclass(slots=True)
class Experience:
    """What earlier partial states of the same aggregation found. Never pickled, never part of a result."""

    ranges: dict[str, Range] = field(default_factory=dict)
    bits: int = 0


@dataclass(slots=True)
class Look:
    """Bounds of one relation's columns, and a pass over it where they are not enough.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
    relation : str
    keyed : bool
        Whether rows are grouped.
    bounds : Bounds
        Statistics.
    columns : tuple of str
        Float columns: one pass looks at all of them.
    experience : Experience
    """

    con: duckdb.DuckDBPyConnection
    relation: str
    keyed: bool
    bounds: Bounds
    columns: tuple[str, ...]
    experience: Experience
    _passed: dict[str, Range] = field(default_factory=dict)
    _rows: int = -1

    def __call__(self, column: str) -> tuple[float, float] | None:
        """(min, max) from statistics."""
        return self.bounds(column)

    @property
    def bits(self) -> int:
        """Rows of a group that are expected at most, as a power of two."""
        return max(self.experience.bits, GROUP_BITS if self.keyed else ALL_BITS)

    def known(self, column: str) -> Range | None:
        """Both ends from statistics: where all values have one sign. They say nothing about NaN."""
        found = self._statistics(column)
        if found is None or found[0] <= 0 <= found[1]:
            return None
        least, greatest = sorted(map(abs, found))
        before = self.experience.ranges.get(column)
        return Range(_binade(least), _binade(greatest) + 1, before is None or before.finite)

    def guess(self, column: str) -> tuple[Range, bool]:
        """A range to try, and whether its upper end is sure."""
        found = self._statistics(column)
        before = self.experience.ranges.get(column)
        if found is None:
            return before or Range(*USUAL, finite=True), False
        size = max(map(abs, found))
        top = _binade(size) + 1 if size else 1
        if before is None:
            return Range(min(-30, top - _BELOW), top, True), True
        return Range(min(before.low, top - 1), top, before.finite), True

    def _statistics(self, column: str) -> tuple[float, float] | None:
        found = self.bounds(column)
        return found if found is not None and all(map(math.isfinite, found)) else None

    def exact(self, column: str) -> Range:
        """The range, by a pass over all float columns at once."""
        self._pass()
        return self._passed[column]

    @property
    def row_bits(self) -> int:
        """The relation has at most 2**row_bits rows."""
        self._pass()
        return max(2, self._rows.bit_length())

    def _pass(self) -> None:
        if self._rows >= 0:
            return
        asked = ["count(*)"]
        for column in self.columns:
            x = f"{quoted(column)}::DOUBLE"
            size = f"CASE WHEN isfinite({x}) THEN abs({x}) END"
            asked += [f"min(nullif({size}, 0))", f"max({size})", f"coalesce(bool_and(isfinite({x})), true)"]
        row = self.con.execute(f"SELECT {', '.join(asked)} FROM {self.relation}").fetchall()[0]
        for place, column in enumerate(self.columns):
            low, top, finite = row[1 + 3 * place : 4 + 3 * place]
            found = Range(0, 1, finite) if low is None else Range(_binade(low), _binade(top) + 1, finite)
            self._passed[column] = found
            self.experience.ranges[column] = found.widened()
        self._rows = row[0]
        self.experience.bits = max(self.experience.bits, min(40, self._rows.bit_length()))


def _binade(size: float) -> int:
    """The exponent e with 2**e <= size < 2**(e + 1)."""
    return math.frexp(size)[1] - 1
