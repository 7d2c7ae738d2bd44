"""Columns that can be summed: what exact numbers they hold, and the SQL that says so.

================  =====================  ==================================================
Arrow type        in sums                unit
================  =====================  ==================================================
bool              0 or 1                 1
(u)int8 ... 64    the integer            1
decimal           unscaled integer       10**-scale
duration          microseconds           1 second / 10**6 (of ns: refused, DuckDB rounds them)
date, timestamp   ticks                  a day, or the type's own unit
time              ticks                  the type's own unit (us where DuckDB holds us)
float32, float64  the double             1
================  =====================  ==================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from shardwise.compute.exact.doubles import Term
from shardwise.compute.exact.limbs import LIMB
from shardwise.compute.exact.sql import quoted

_MASK = (1 << LIMB) - 1


@dataclass(frozen=True, slots=True)
class Number:
    """A column of exact numbers.

    Parameters
    ----------
    column : str
    sql : str
        A DOUBLE where ``floating``, else an integer expression.
    bits : int
        An integer's magnitude is at most 2**bits; a float has as many binary digits.
    scale : int
        Values are integers times 10**-scale.
    floating : bool
    """

    column: str
    sql: str
    bits: int
    scale: int = 0
    floating: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether these are the column's own values: no null was put in, nothing was converted but in width."""
        name = quoted(self.column)
        return self.sql in (name, f"{name}::DOUBLE", f"{name}::INTEGER")

    def given(self, condition: str) -> Number:
        """The same where the SQL condition holds, else null."""
        sql = f"CASE WHEN {condition} THEN {self.sql} END"
        return Number(self.column, sql, self.bits, self.scale, self.floating)

    def limbs(self) -> list[tuple[str, int]]:
        """Integer SQL of parts below 2**40 (the first signed) and their exponents; one part up to 32 bits."""
        if self.bits <= 32:
            return [(f"({self.sql})::BIGINT", 0)]
        whole = f"({self.sql})::HUGEINT"
        count = 2 if self.bits <= 64 else 4
        parts = [(f"(({whole} >> {LIMB * i}) & {_MASK})", LIMB * i) for i in range(count - 1)]
        return [*parts, (f"({whole} >> {LIMB * (count - 1)})", LIMB * (count - 1))]

    def terms(self) -> list[Term]:
        """The integer as doubles: each part is exact as one."""
        tops = [33] if self.bits <= 32 else [LIMB + 1] * (2 if self.bits <= 64 else 4)
        return [Term(f"({sql})::DOUBLE", 0, top, 0, shift) for (sql, shift), top in zip(self.limbs(), tops)]


def number(column: str, kind: pa.DataType) -> Number | None:
    """A column as exact numbers: booleans, integers, decimals, floats; None for other types."""
    name, types = quoted(column), pa.types
    if types.is_float64(kind):
        return Number(column, name, 53, floating=True)
    if types.is_float32(kind):
        return Number(column, f"{name}::DOUBLE", 24, floating=True)
    if types.is_boolean(kind):
        return Number(column, f"{name}::INTEGER", 1)
    if types.is_integer(kind):
        return Number(column, name, kind.bit_width - (0 if types.is_unsigned_integer(kind) else 1))
    if types.is_decimal(kind) and kind.precision <= 38 and 0 <= kind.scale <= kind.precision:
        return _decimal(column, kind)
    return None


def _decimal(column: str, kind: pa.DataType) -> Number:
    """The unscaled integer. DuckDB cannot reinterpret, so it multiplies where 38 digits are enough, else reads text."""
    name, scale = quoted(column), kind.scale
    if scale == 0:
        sql = f"{name}::HUGEINT"
    elif kind.precision + scale + 1 <= 38:
        # Wide beforehand: a product of two narrow ones would have to fit 18 digits.
        sql = f"({name}::DECIMAL({37 - scale}, {scale}) * {10**scale}::DECIMAL({scale + 1}, 0))::HUGEINT"
    else:
        sql = f"replace({name}::VARCHAR, '.', '')::HUGEINT"
    bits = (10**kind.precision).bit_length()
    return Number(column, f"{sql}::BIGINT" if bits <= 63 else sql, bits, scale)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: of a dictionary, its values'."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}


@dataclass(frozen=True, slots=True)
class Ticks:
    """A column of times: integer SQL, and the type of its mean, which counts ``up / down`` for each tick."""

    number: Number
    mean: pa.DataType
    up: int = 1
    down: int = 1


def ticks(column: str, kind: pa.DataType) -> Ticks | None:
    """Durations, dates, times and timestamps as integers; None for other types and for what DuckDB would round."""
    name, types = quoted(column), pa.types
    if types.is_date(kind):
        return Ticks(_whole(column, f"({name} - DATE '1970-01-01')::BIGINT"), pa.timestamp("us"), up=86_400 * 10**6)
    if types.is_duration(kind) and kind.unit == "ns":
        return None
    if types.is_duration(kind) or types.is_time(kind) or types.is_timestamp(kind):
        if kind.unit == "ns":
            return Ticks(_whole(column, f"epoch_ns({name})"), kind)
        return Ticks(_whole(column, f"epoch_us({name})"), kind, down=10**6 // _PER_SECOND[kind.unit])
    return None


def _whole(column: str, sql: str) -> Number:
    return Number(column, sql, 63)
