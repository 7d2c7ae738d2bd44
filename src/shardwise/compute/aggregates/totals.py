"""``sum`` and ``mean``: exact inside, rounded once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, refuse_type
from shardwise.compute.aggregates.kernel import GROUPS, SUM, Bounds, Kernel, Made, Part, Value
from shardwise.compute.aggregates.look import Look
from shardwise.compute.aggregates.numbers import Number, Ticks, number, plain, ticks
from shardwise.compute.aggregates.summing import (
    count_where,
    counted,
    guessed_sums,
    integer_sums,
    merged_sums,
    passed_sums,
    values_of,
)
from shardwise.compute.exact.doubles import RawSum
from shardwise.compute.exact.limbs import totals
from shardwise.compute.exact.rounding import quotient
from shardwise.compute.exact.sql import Layers
from shardwise.data.buffers import from_numbers, to_numpy
from shardwise.errors import InputError

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary

_INT64 = 1 << 63
_EXACT = Context(prec=80)


@dataclass(frozen=True, slots=True)
class TotalKernel:
    """How many values there are, and their exact sum; NaN and infinities are counted apart."""

    key: str
    name: str
    type: pa.DataType
    column: str
    number: Number
    is_mean: bool
    up: int = 1  # the result counts up / down for each unit of the sum
    down: int = 1
    needs_position = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        if not self.number.floating:
            return (Part(GROUPS, self._values(integer_sums(f"{self.key}_s", self.number), True)),)
        look = cast(Look, bounds)
        layers = Layers(self.key)
        guessed = guessed_sums(layers, f"{self.key}_s", self.number, look)
        if guessed is None:
            return (self._passed(look),)
        sums, guard, found = guessed
        values = self._values(sums, found.finite)
        return (Part(GROUPS, values, layers=tuple(layers.levels), guard=guard, fallback=lambda: self._passed(look)),)

    def _passed(self, look: Look) -> Part:
        layers = Layers(self.key)
        sums, found = passed_sums(layers, f"{self.key}_s", self.number, look)
        return Part(GROUPS, self._values(sums, found.finite), layers=tuple(layers.levels))

    def _values(self, sums: list[RawSum], finite: bool) -> tuple[Value, ...]:
        x = self.number.sql
        apart = {"nan": f"isnan({x})", "pinf": f"{x} = 'inf'::DOUBLE", "ninf": f"{x} = '-inf'::DOUBLE"}
        values = [counted(f"{self.key}_n", f"count({x})"), *values_of(sums)]
        if self.number.floating:
            values += [
                counted(f"{self.key}_{word}", "0::BIGINT" if finite else count_where(test))
                for word, test in apart.items()
            ]
        return tuple(values)

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        kept = self._values([], True)
        return (Part(GROUPS, (*kept, *merged_sums(columns[GROUPS], f"{self.key}_s"))),)

    def ingredients(self) -> frozenset[str] | None:
        return frozenset({SUM}) if self.number.is_plain else None

    def of_summary(self, found: Summary) -> Made:
        sums = found.sums
        groups = {f"{self.key}_n": (found.rows - found.nulls, pa.int64())}
        if self.number.floating:
            apart = {"nan": sums.nan, "pinf": sums.up, "ninf": sums.down}
            groups |= {f"{self.key}_{word}": (count, pa.int64()) for word, count in apart.items()}
        return Made(groups, {f"{self.key}_s": (sums.first, -sums.unit)})

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        counts = groups[f"{self.key}_n"].to_pylist()
        sums, exponent = totals(groups, f"{self.key}_s")
        if self.number.floating:
            return from_numbers(self._floats(groups, counts, sums, exponent), pa.float64())
        sums = [total << exponent for total in sums] if exponent else sums
        if self.is_mean and pa.types.is_float64(self.type):
            tens = 10**self.number.scale
            return from_numbers([quotient(s, n * tens) if n else None for s, n in zip(sums, counts)], pa.float64())
        divisors = counts if self.is_mean else [1] * len(counts)
        whole = [_nearest(s * self.up, d * self.down) if n else None for s, d, n in zip(sums, divisors, counts)]
        return self._exact(whole)

    def _floats(self, groups: pa.Table, counts: list[int], sums: list[int], exponent: int) -> list[float | None]:
        divisors = counts if self.is_mean else [1] * len(counts)
        found = [quotient(s, d, exponent) if n else None for s, d, n in zip(sums, divisors, counts)]
        apart = [to_numpy(groups[f"{self.key}_{word}"]) for word in ("nan", "pinf", "ninf")]
        for row in (apart[0] + apart[1] + apart[2]).nonzero()[0].tolist():
            nan, up, down = (bool(column[row]) for column in apart)
            found[row] = math.nan if nan or (up and down) else math.inf if up else -math.inf
        return found

    def _exact(self, values: list[int | None]) -> pa.Array:
        is_decimal = pa.types.is_decimal(self.type)
        limit = 10**38 if is_decimal else _INT64
        for value in values:
            if value is not None and not (-limit + is_decimal <= value < limit):
                raise self._too_large(value)
        if is_decimal:
            return pa.array([None if v is None else self._decimal(v) for v in values], self.type)
        return from_numbers(values, pa.int64()).cast(self._carrier()).cast(self.type)

    def _carrier(self) -> pa.DataType:
        return pa.int32() if self.type.bit_width == 32 else pa.int64()

    def _decimal(self, unscaled: int) -> Decimal:
        return Decimal(unscaled).scaleb(-self.number.scale, _EXACT)

    def _too_large(self, value: Any) -> InputError:
        shown = self._decimal(value) if pa.types.is_decimal(self.type) else value
        return InputError(
            f"the sum of column {self.column!r} is {shown}, which does not fit {self.type}",
            f'take its mean, or cast it before: with_columns(wide="CAST({self.column} AS DOUBLE)")',
        )


def _nearest(numerator: int, denominator: int) -> int:
    """The nearest integer to a quotient, ties to even."""
    whole, left = divmod(numerator, denominator)
    return whole + (2 * left > denominator or (2 * left == denominator and whole % 2 == 1))


_SUMMED = "booleans (how many are true), integers, floats, decimals and durations (not of ns)"
_AVERAGED = "booleans, numbers, decimals, dates, times, timestamps and durations (not of ns)"


def bind_sum(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``sum`` to a column's type."""
    column = asked.columns[0]
    kind = plain(schema.field(column).type)
    if (found := number(column, kind)) is not None:
        result = pa.decimal128(38, found.scale) if pa.types.is_decimal(kind) else pa.int64()
        return TotalKernel(key, name, pa.float64() if found.floating else result, column, found, False)
    clock = ticks(column, kind)
    if clock is None or not pa.types.is_duration(kind):
        raise refuse_type("sum", column, kind, _SUMMED)
    return TotalKernel(key, name, kind, column, clock.number, False, clock.up, clock.down)


def bind_mean(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``mean`` to a column's type."""
    column = asked.columns[0]
    kind = plain(schema.field(column).type)
    if (found := number(column, kind)) is not None:
        return TotalKernel(key, name, pa.float64(), column, found, True)
    clock: Ticks | None = ticks(column, kind)
    if clock is None:
        raise refuse_type("mean", column, kind, _AVERAGED)
    return TotalKernel(key, name, clock.mean, column, clock.number, True, clock.up, clock.down)
