"""How values of a type are put into buckets in SQL, and the integers that stand for them.

A scale maps values to integers that sort as the values do: order keys for floats, ticks for times and durations,
unscaled numbers for decimals, integers themselves. Half-way between two values lies the mean of their integers.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from shardwise.compute.buckets import SHIFT, key_value, order_key, order_key_sql
from shardwise.data.buffers import from_numbers

_TICKS_SQL = {
    "s": "(epoch_us({0}) // 1000000)",
    "ms": "(epoch_us({0}) // 1000)",
    "us": "epoch_us({0})",
    "ns": "epoch_ns({0})",
}
_EXACT = decimal.Context(prec=80)


class Scale(Protocol):
    """Buckets for the values of one type."""

    @property
    def has_levels(self) -> bool:
        """Whether buckets have levels (ticks), or are fixed."""

    def value_sql(self, column: str) -> str:
        """What is kept of a bucket's least and greatest value."""

    def bucket_sql(self, column: str, level: int) -> str:
        """The value's bucket, a BIGINT."""

    def whole(self, kept: Any, bucket: int) -> int:
        """The integer of a value that was kept from a bucket."""

    def array(self, wholes: list[int | None]) -> pa.Array:
        """The values of integers, as an array of the type."""


def scale_of(kind: pa.DataType) -> Scale | None:
    """The scale for a column's type; None for types whose values have no distances.

    Examples
    --------
    >>> scale_of(pa.int64())
    IntegerScale(kind=DataType(int64))
    """
    types = pa.types
    if types.is_float32(kind) or types.is_float64(kind):
        return FloatScale(kind)
    if types.is_integer(kind):
        return IntegerScale(kind)
    if types.is_decimal(kind) and 0 <= kind.scale <= kind.precision <= 38:
        return DecimalScale(kind)
    if types.is_duration(kind):
        return DurationScale(kind)
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind):
        return TickScale(kind)
    return None


@dataclass(frozen=True)
class FloatScale:
    """Floats, by their leading bits."""

    kind: pa.DataType
    has_levels = False

    def value_sql(self, column: str) -> str:
        return f"CASE WHEN isnan({column}) THEN CAST('nan' AS DOUBLE) ELSE CAST({column} AS DOUBLE) END"

    def bucket_sql(self, column: str, level: int) -> str:
        return f"{order_key_sql(f'CAST({column} AS DOUBLE)')} >> {SHIFT}"

    def whole(self, kept: Any, bucket: int) -> int:
        if kept == 0:  # the zeros are equal to DuckDB, and their buckets tell them apart
            return -1 if bucket < 0 else 0
        return int(order_key(np.array([kept], np.float64))[0])

    def array(self, wholes: list[int | None]) -> pa.Array:
        return from_numbers([None if key is None else key_value(key) for key in wholes], self.kind)


@dataclass(frozen=True)
class IntegerScale:
    """Integers, by the leading bits of the nearest float."""

    kind: pa.DataType
    has_levels = False

    def value_sql(self, column: str) -> str:
        return column

    def bucket_sql(self, column: str, level: int) -> str:
        return f"{order_key_sql(f'CAST({self.value_sql(column)} AS DOUBLE)')} >> {SHIFT}"

    def whole(self, kept: Any, bucket: int) -> int:
        return int(kept)

    def array(self, wholes: list[int | None]) -> pa.Array:
        return from_numbers(wholes, self.kind)


class DecimalScale(IntegerScale):
    """Decimals: their unscaled integers."""

    def whole(self, kept: Any, bucket: int) -> int:
        return int(kept.scaleb(self.kind.scale, _EXACT))

    def array(self, wholes: list[int | None]) -> pa.Array:
        values = [None if one is None else decimal.Decimal(one).scaleb(-self.kind.scale, _EXACT) for one in wholes]
        return pa.array(values, self.kind)


class DurationScale(IntegerScale):
    """Durations: numbers of ticks. (DuckDB's intervals keep microseconds, so finer ones are rounded to these.)"""

    def value_sql(self, column: str) -> str:
        return _TICKS_SQL[self.kind.unit].format(column)

    def array(self, wholes: list[int | None]) -> pa.Array:
        return from_numbers(wholes, pa.int64()).cast(self.kind)


@dataclass(frozen=True)
class TickScale:
    """Times and timestamps, by runs of ticks of their unit; dates, each day by itself (there are not many)."""

    kind: pa.DataType

    @property
    def has_levels(self) -> bool:
        return not pa.types.is_date(self.kind)

    def value_sql(self, column: str) -> str:
        if pa.types.is_date(self.kind):
            return f"({column} - DATE '1970-01-01')"
        return _TICKS_SQL[self.kind.unit].format(column)

    def bucket_sql(self, column: str, level: int) -> str:
        return f"{self.value_sql(column)} >> {level}"

    def whole(self, kept: Any, bucket: int) -> int:
        return int(kept)

    def array(self, wholes: list[int | None]) -> pa.Array:
        if pa.types.is_date(self.kind):
            return pa.array(wholes, pa.int32()).cast(pa.date32()).cast(self.kind)
        return pa.array(wholes, pa.int32() if self.kind.bit_width == 32 else pa.int64()).cast(self.kind)
