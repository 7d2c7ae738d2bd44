"""What one pass over a column finds out: all that the states of its aggregates are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shardwise.compute.aggregates.kernel import BUCKETS, ENDS, REGISTERS, SQUARES, SUM
from shardwise.compute.columns.buckets import Buckets, Values, filled, float_places, joined, tick_buckets
from shardwise.compute.columns.sums import Sums, sums
from shardwise.compute.hyperloglog import REGISTERS as COUNT
from shardwise.data.buffers import from_numpy, to_numpy

_PARTS = 16
_FEW = 1 << 16
_LOOK = 1024


@dataclass(frozen=True, slots=True)
class Ends:
    """Least and greatest value (NaN is greater than any number); which zeros there were."""

    low: Any
    high: Any
    minus_zero: bool = False
    plus_zero: bool = False

    def plus(self, other: Ends) -> Ends:
        """The ends of both."""
        low = other.low if _is_nan(self.low) or other.low < self.low else self.low
        high = other.high if _is_nan(other.high) or other.high > self.high else self.high
        return Ends(low, high, self.minus_zero or other.minus_zero, self.plus_zero or other.plus_zero)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


@dataclass(slots=True)
class Summary:
    """What is known of the values seen so far.

    Parameters
    ----------
    needs : frozenset of str
        Ingredients.
    """

    needs: frozenset[str]
    rows: int = 0
    nulls: int = 0
    sums: Sums = field(default_factory=Sums)
    ends: Ends | None = None
    registers: npt.NDArray[np.uint8] | None = None  # of HyperLogLog
    _buckets: list[Buckets] = field(default_factory=list)
    _has_levels: bool = False

    def __post_init__(self) -> None:
        self.registers = np.zeros(COUNT, np.uint8) if REGISTERS in self.needs else None

    @property
    def buckets(self) -> Buckets | None:
        """Filled buckets, None where there are none."""
        if len(self._buckets) > 1:
            self._buckets = [joined(self._buckets, self._has_levels)]
        return self._buckets[0] if self._buckets else None

    def add(self, column: pa.Array) -> None:
        """See more values."""
        self.rows += len(column)
        self.nulls += column.null_count
        if not self.needs or column.null_count == len(column):
            return
        present = column.drop_null() if column.null_count else column
        if _is_text(present.type):
            self._add_text(present)
        else:
            self._add_numbers(present)

    def join(self, other: Summary) -> None:
        """See what another one has seen."""
        self.rows += other.rows
        self.nulls += other.nulls
        self.sums = self.sums.plus(other.sums)
        self.ends = other.ends if self.ends is None else self.ends.plus(other.ends) if other.ends else self.ends
        if self.registers is not None and other.registers is not None:
            np.maximum(self.registers, other.registers, out=self.registers)
        self._has_levels |= other._has_levels
        self._hold(other._buckets)

    def _hold(self, parts: list[Buckets]) -> None:
        self._buckets += parts
        if len(self._buckets) > _PARTS:
            self._buckets = [joined(self._buckets, self._has_levels)]

    def _see(self, ends: Ends) -> None:
        self.ends = ends if self.ends is None else self.ends.plus(ends)

    def _hash(self, present: pa.Array) -> None:
        if self.registers is not None:
            from shardwise.compute.columns.registers import fill  # here, as it imports PyArrow's compute functions

            fill(self.registers, present)

    def _add_text(self, present: pa.Array) -> None:
        import pyarrow.compute as pc

        if len(present) > _LOOK and len(pc.unique(present.slice(0, _LOOK))) <= _LOOK // 8:
            present = pc.unique(present)
        if ENDS in self.needs:
            found = pc.min_max(present)
            self._see(Ends(found["min"].as_py(), found["max"].as_py()))
        self._hash(present)

    def _add_numbers(self, present: pa.Array) -> None:
        values = numbers(present)
        if SUM in self.needs or SQUARES in self.needs:
            self.sums = self.sums.plus(sums(values, SQUARES in self.needs))
        if values.dtype.kind == "f":
            self._add_floats(values)
        else:
            self._add_integers(values, present.type)

    def _add_floats(self, values: Values) -> None:
        is_nan = np.isnan(values)
        odd = int(np.count_nonzero(is_nan))
        if odd:
            values = np.where(is_nan, values.dtype.type(np.nan), values)
        if ENDS in self.needs:
            self._see(_float_ends(values, values[~is_nan] if odd else values))
        if BUCKETS in self.needs:
            doubles = values.astype(np.float64, copy=False)
            self._hold([_float_buckets(doubles)])
        self._hash(from_numpy(values))

    def _add_integers(self, values: Values, kind: pa.DataType) -> None:
        low, high = int(values.min()), int(values.max())
        if ENDS in self.needs:
            self._see(Ends(low, high))
        if BUCKETS not in self.needs and self.registers is None:
            return
        if pa.types.is_timestamp(kind):
            self._add_ticks(values, kind)
            return
        counts = None
        if high - low < min(_FEW, len(values)):
            wide = values if values.dtype.itemsize == 8 else values.astype(np.int64)
            found = np.bincount((wide - wide.dtype.type(low)).astype(np.int64))
            places = np.flatnonzero(found)
            counts, values = found[places], (places.astype(wide.dtype) + wide.dtype.type(low)).astype(values.dtype)
        if BUCKETS in self.needs:
            self._hold([_integer_buckets(values, counts, pa.types.is_date(kind))])
        self._hash(_as_arrow(values, kind))

    def _add_ticks(self, values: Values, kind: pa.DataType) -> None:
        self._has_levels = True
        if BUCKETS in self.needs:
            self._hold([tick_buckets(values)])
        self._hash(_as_arrow(values, kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def can_summarize(kind: pa.DataType) -> bool:
    """Whether columns of a type have summaries.

    Examples
    --------
    >>> can_summarize(pa.int8()), can_summarize(pa.list_(pa.int8()))
    (True, False)
    """
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or kind in (pa.float32(), pa.float64(), pa.date32(), pa.timestamp("us"), pa.timestamp("ns"))
        or _is_text(kind)
    )


def numbers(array: pa.Array) -> Values:
    """The numbers of an array without nulls: booleans as bytes, dates as days, timestamps as ticks."""
    if pa.types.is_boolean(array.type):
        bits = np.frombuffer(array.buffers()[1], np.uint8)
        return np.unpackbits(bits, bitorder="little", count=array.offset + len(array))[array.offset :]
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    return to_numpy(array)


def _as_arrow(values: Values, kind: pa.DataType) -> pa.Array:
    """Numbers as values of the column: hashes depend on the type."""
    if pa.types.is_boolean(kind):
        return from_numpy(values)  # hashed as integers
    made = from_numpy(values)
    return made.view(kind) if pa.types.is_temporal(kind) else made


def _float_ends(values: Values, present: Values) -> Ends:
    """``present``: those that are not NaN."""
    if not len(present):
        return Ends(math.nan, math.nan)
    low, high = float(present.min()), float(present.max())
    minus = plus = False
    if low <= 0 <= high:
        zeros = np.signbit(present[present == 0])
        minus, plus = bool(zeros.any()), bool(not zeros.all())
    return Ends(low + 0.0, math.nan if len(present) < len(values) else high + 0.0, minus, plus)


def _float_buckets(values: Values) -> Buckets:
    return filled(values, float_places(values))


def _integer_buckets(values: Values, counts: Values | None, are_days: bool) -> Buckets:
    """``counts``: how often each value occurs, where the values are different and in order."""
    places = values.astype(np.int64) if are_days else float_places(values.astype(np.float64))
    kept = values.astype(np.int64) if are_days else values
    if counts is None:
        return filled(kept, places)
    return joined([Buckets(places, counts, kept, kept)])
