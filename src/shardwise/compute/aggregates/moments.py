"""``var``, ``std``, ``cov`` and ``corr`` from exact sums of values and of products.

With n rows, S = sum of x and Q = sum of x squared, both exact, the variance is (n Q - S S) / (n (n - ddof)): integers
until the one rounding, so a mean a million times the deviation costs no digit. The standard deviation is the root of
that quotient itself, not of a rounded variance; so is the root in ``corr``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, refuse_type
from shardwise.compute.aggregates.kernel import GROUPS, SQUARES, Bounds, Kernel, Made, Part, Value
from shardwise.compute.aggregates.look import Look, Range
from shardwise.compute.aggregates.numbers import Number, number, plain
from shardwise.compute.aggregates.summing import (
    count_where,
    counted,
    float_term,
    integer_product_sums,
    integer_sums,
    merged_sums,
    term_product_sums,
    values_of,
)
from shardwise.compute.exact.doubles import RawSum, Term, exact_sums, quanta
from shardwise.compute.exact.limbs import is_huge, totals
from shardwise.compute.exact.rounding import quotient, root
from shardwise.compute.exact.sql import Layers, quoted
from shardwise.data.buffers import from_numbers

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary

_PRODUCTS = {"var": ("00",), "std": ("00",), "cov": ("01",), "corr": ("00", "01", "11")}
_TAKEN = "booleans, integers, floats and decimals"


@dataclass(frozen=True, slots=True)
class MomentKernel:
    """Counts of rows without nulls, sums of each column, sums of the products that the function needs."""

    key: str
    name: str
    function: str
    columns: tuple[str, ...]
    numbers: tuple[Number, ...]
    ddof: int
    type = pa.float64()
    needs_position = False

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        if not any(x.floating for x in self.numbers):
            return (Part(GROUPS, self._values(self._integer_sums(), "0::BIGINT")),)
        look = cast(Look, bounds)
        ranges = {x.column: look.known(x.column) for x in self.numbers if x.floating}
        known = {column: found for column, found in ranges.items() if found is not None}
        return (self._known(look, known) if len(known) == len(ranges) else self._passed(look),)

    def _known(self, look: Look, ranges: dict[str, Range]) -> Part:
        """On statistics, which tell nothing of NaN and of the rows of a group: hence the guard."""
        layers = Layers(self.key)
        sums, guards = self._float_sums(layers, ranges, look.bits)
        if any(is_huge(raw.name) for raw in sums):  # whose casts would fail on NaN
            return self._passed(look)
        guard = " OR ".join([f"count({self.numbers[0].sql}) > {2**look.bits}", *guards])
        values = self._values(sums, self._bad(ranges))
        return Part(GROUPS, values, layers=tuple(layers.levels), guard=guard, fallback=lambda: self._passed(look))

    def _passed(self, look: Look) -> Part:
        """On what a pass over the rows found."""
        layers = Layers(self.key)
        ranges = {x.column: look.exact(x.column) for x in self.numbers if x.floating}
        sums, _ = self._float_sums(layers, ranges, look.row_bits)
        return Part(GROUPS, self._values(sums, self._bad(ranges)), layers=tuple(layers.levels))

    def _bad(self, ranges: Mapping[str, Range]) -> str:
        """SQL of how many rows hold a NaN or an infinity."""
        tests = [f"NOT isfinite({x.sql})" for x in self.numbers if x.floating and not ranges[x.column].finite]
        return count_where(" OR ".join(tests)) if tests else "0::BIGINT"

    def _integer_sums(self) -> list[RawSum]:
        sums = [raw for i, x in enumerate(self.numbers) for raw in integer_sums(f"{self.key}_s{i}", x)]
        for pair in _PRODUCTS[self.function]:
            x, y = (self.numbers[int(i)] for i in pair)
            sums += integer_product_sums(f"{self.key}_p{pair}", x, y)
        return sums

    def _float_sums(self, layers: Layers, ranges: Mapping[str, Range], bits: int) -> tuple[list[RawSum], list[str]]:
        terms: list[list[Term]] = [
            [float_term(layers, x, ranges[x.column])] if x.floating else x.terms() for x in self.numbers
        ]
        sums: list[RawSum] = []
        guards: list[str] = []
        for i, own in enumerate(terms):
            for term in own:
                made = exact_sums(layers, f"{self.key}_s{i}", term, bits)
                sums += made
                if quanta(term.top, term.quantum, bits) is not None:
                    guards.append(f"NOT isfinite({made[0].sql})")
        for pair in _PRODUCTS[self.function]:
            xs, ys = (terms[int(i)] for i in pair)
            made, more = term_product_sums(layers, f"{self.key}_p{pair}", xs, ys, bits)
            sums, guards = sums + made, guards + more
        return sums, guards

    def _values(self, sums: list[RawSum], bad: str) -> tuple[Value, ...]:
        counts = counted(f"{self.key}_n", f"count({self.numbers[0].sql})"), counted(f"{self.key}_bad", bad)
        return (*counts, *values_of(sums))

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        prefixes = [f"s{i}" for i in range(len(self.numbers))] + [f"p{pair}" for pair in _PRODUCTS[self.function]]
        merged = [value for p in prefixes for value in merged_sums(columns[GROUPS], f"{self.key}_{p}")]
        return (Part(GROUPS, (*self._values([], ""), *merged)),)

    def ingredients(self) -> frozenset[str] | None:
        return frozenset({SQUARES}) if len(self.numbers) == 1 and self.numbers[0].is_plain else None

    def of_summary(self, found: Summary) -> Made:
        sums = found.sums
        groups = {"n": found.rows - found.nulls, "bad": sums.nan + sums.up + sums.down}
        return Made(
            {f"{self.key}_{word}": (count, pa.int64()) for word, count in groups.items()},
            {f"{self.key}_s0": (sums.first, -sums.unit), f"{self.key}_p00": (sums.second, -2 * sums.unit)},
        )

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        counts = groups[f"{self.key}_n"].to_pylist()
        bad = groups[f"{self.key}_bad"].to_pylist()
        sums = [totals(groups, f"{self.key}_s{i}") for i in range(len(self.numbers))]
        spreads = [_spread(counts, totals(groups, f"{self.key}_p{p}"), *(sums[int(i)] for i in p)) for p in self._pairs]
        made = [None if n <= self._least else math.nan for n in counts]
        for row, n in enumerate(counts):
            if n > self._least and not bad[row]:
                made[row] = self._value(n, [(numbers[row], exponent) for numbers, exponent in spreads])
        return from_numbers(made, pa.float64())

    @property
    def _pairs(self) -> tuple[str, ...]:
        return _PRODUCTS[self.function]

    @property
    def _least(self) -> int:
        """The result is null for so many rows or fewer."""
        return 0 if self.function == "corr" else self.ddof

    def _value(self, n: int, spreads: list[tuple[int, int]]) -> float:
        if self.function == "corr":
            return _correlation(*spreads)
        spread, exponent = spreads[0]
        tens = 10 ** (self.numbers[0].scale + self.numbers[-1].scale)
        divide = root if self.function == "std" else quotient
        return divide(spread, n * (n - self.ddof) * tens, exponent)


def _spread(
    counts: list[int], products: tuple[list[int], int], xs: tuple[list[int], int], ys: tuple[list[int], int]
) -> tuple[list[int], int]:
    """n times the sum of products less the product of the sums, per group, and its exponent."""
    exponent = min(products[1], xs[1] + ys[1])
    up, over = products[1] - exponent, xs[1] + ys[1] - exponent
    return [(n * p << up) - (x * y << over) for n, p, x, y in zip(counts, products[0], xs[0], ys[0])], exponent


def _correlation(xx: tuple[int, int], xy: tuple[int, int], yy: tuple[int, int]) -> float:
    """xy / sqrt(xx yy); units cancel, and powers of two are kept in the exponent."""
    if not xx[0] or not yy[0]:
        return math.nan
    size = root(xy[0] * xy[0], xx[0] * yy[0], 2 * xy[1] - xx[1] - yy[1])
    return -size if xy[0] < 0 else size


def bind_moment(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``var``, ``std``, ``cov`` or ``corr``."""
    numbers = []
    for column in asked.columns:
        kind = plain(schema.field(column).type)
        found = number(column, kind)
        if found is None:
            raise refuse_type(asked.function, column, kind, _TAKEN)
        numbers.append(found)
    if len(numbers) == 2:
        both = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in asked.columns)
        numbers = [x.given(both) for x in numbers]
    ddof = dict(asked.options).get("ddof", 0)
    return MomentKernel(key, name, asked.function, asked.columns, tuple(numbers), ddof)
