"""How values of a type are put into buckets in SQL, and what value stands for a bucket.

A scale works in a domain of its own that sorts as the values do: order keys for floats, ticks for times, the numbers
themselves for integers and decimals. Extremes are kept in that domain, exactly.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from shardwise.compute.buckets import SHIFT, key_value, middle_key, order_key, order_key_sql, tick_middle

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

    def extreme_sql(self, column: str) -> str:
        """What to take min and max of."""

    def exact(self, extreme: Any, bucket: int) -> Any:
        """A min or max, and the bucket it is in, as a value of the scale's domain."""

    def bucket_sql(self, column: str, level: int) -> str:
        """The value's bucket, a BIGINT."""

    def middle(self, bucket: int, level: int) -> Any:
        """What stands for a bucket, in the scale's domain."""

    def array(self, values: list[Any]) -> pa.Array:
        """Values of the domain (or None) as an array of the type."""


def scale_of(kind: pa.DataType) -> Scale | None:
    """The scale for a column's type; None for types whose values have no distances.

    Examples
    --------
    >>> scale_of(pa.int64())
    NumberScale(kind=DataType(int64))
    """
    types = pa.types
    if types.is_float32(kind) or types.is_float64(kind):
        return FloatScale(kind)
    if types.is_integer(kind) or (types.is_decimal(kind) and 0 <= kind.scale <= kind.precision <= 38):
        return NumberScale(kind)
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

    def extreme_sql(self, column: str) -> str:
        return column

    def exact(self, extreme: Any, bucket: int) -> int:
        if extreme == 0:  # DuckDB takes either zero, as they are equal
            return -1 if bucket < 0 else 0
        return int(order_key(np.array([extreme], np.float64))[0])

    def bucket_sql(self, column: str, level: int) -> str:
        return f"{order_key_sql(f'CAST({column} AS DOUBLE)')} >> {SHIFT}"

    def middle(self, bucket: int, level: int) -> int:
        return middle_key(bucket)

    def array(self, values: list[Any]) -> pa.Array:
        return pa.array([None if key is None else key_value(key) for key in values], self.kind)


@dataclass(frozen=True)
class NumberScale:
    """Integers and decimals, by the leading bits of the nearest float."""

    kind: pa.DataType
    has_levels = False

    def extreme_sql(self, column: str) -> str:
        return column

    def exact(self, extreme: Any, bucket: int) -> Any:
        return extreme

    def bucket_sql(self, column: str, level: int) -> str:
        return f"{order_key_sql(f'CAST({self.extreme_sql(column)} AS DOUBLE)')} >> {SHIFT}"

    def middle(self, bucket: int, level: int) -> Any:
        if bucket < 0:
            return -self.middle(~bucket, level)
        number = Fraction(key_value(middle_key(bucket)))
        if not pa.types.is_decimal(self.kind):
            return math.floor(number)  # a bucket that holds one integer gives that integer
        units = math.floor(number * 10**self.kind.scale + Fraction(1, 2))
        return decimal.Decimal(units).scaleb(-self.kind.scale, _EXACT)

    def array(self, values: list[Any]) -> pa.Array:
        return pa.array(values, self.kind)


class DurationScale(NumberScale):
    """Durations: numbers of ticks. (DuckDB's intervals keep microseconds, so finer ones are rounded to these.)"""

    def extreme_sql(self, column: str) -> str:
        return _TICKS_SQL[self.kind.unit].format(column)

    def array(self, values: list[Any]) -> pa.Array:
        return pa.array(values, pa.int64()).cast(self.kind)


@dataclass(frozen=True)
class TickScale:
    """Times and timestamps, by runs of ticks of their unit; dates, each day by itself (there are not many)."""

    kind: pa.DataType

    @property
    def has_levels(self) -> bool:
        return not pa.types.is_date(self.kind)

    def extreme_sql(self, column: str) -> str:
        if pa.types.is_date(self.kind):
            return f"({column} - DATE '1970-01-01')"
        return _TICKS_SQL[self.kind.unit].format(column)

    def exact(self, extreme: Any, bucket: int) -> Any:
        return extreme

    def bucket_sql(self, column: str, level: int) -> str:
        return f"{self.extreme_sql(column)} >> {level}"

    def middle(self, bucket: int, level: int) -> int:
        return tick_middle(bucket, level)

    def array(self, values: list[Any]) -> pa.Array:
        if pa.types.is_date(self.kind):
            return pa.array(values, pa.int32()).cast(pa.date32()).cast(self.kind)
        return pa.array(values, pa.int32() if self.kind.bit_width == 32 else pa.int64()).cast(self.kind)
