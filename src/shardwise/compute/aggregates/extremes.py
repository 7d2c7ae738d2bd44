"""``min`` and ``max``. Nulls are skipped; NaN is greater than any number, as in DuckDB; -0.0 is less than 0.0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, refuse_type
from shardwise.compute.aggregates.kernel import ENDS, GROUPS, Bounds, Kernel, Made, Part, Value
from shardwise.compute.aggregates.numbers import plain
from shardwise.compute.aggregates.storing import STORABLE, one_nan, restored, storable, stored
from shardwise.compute.exact.sql import quoted
from shardwise.data.buffers import from_numpy, is_valid, to_numpy

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary


@dataclass(frozen=True, slots=True)
class ExtremeKernel:
    """The least or greatest value; for floats also which zeros there were, as DuckDB holds them equal."""

    key: str
    name: str
    type: pa.DataType
    column: str
    function: str  # of SQL: min or max
    needs_position = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def _is_float(self) -> bool:
        return bool(pa.types.is_floating(self.type))

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        zero = "NULL::BOOLEAN" if self._is_float and not _may_be_zero(bounds(self.column)) else self._zero_sql()
        return self._parts(stored(self.column, self.type), zero)

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        return self._parts("NULL", "NULL")

    def _parts(self, value: str, zero: str) -> tuple[Part, ...]:
        best, zeros = f"{self.key}_v", f"{self.key}_z"
        found = one_nan(f"{self.function}({value})", self.type)
        kept = Value(best, found, one_nan(f"{self.function}({best})", self.type))
        if not self._is_float:
            return (Part(GROUPS, (kept,)),)
        return (Part(GROUPS, (kept, Value(zeros, zero, f"bool_or({zeros})"))),)

    def _zero_sql(self) -> str:
        """Whether the zero that wins over the other occurs."""
        x = quoted(self.column)
        return f"bool_or(CASE WHEN {x} = 0 THEN {'' if self.function == 'min' else 'NOT '}signbit({x}) END)"

    def ingredients(self) -> frozenset[str]:
        return frozenset({ENDS})

    def of_summary(self, found: Summary) -> Made:
        least, ends = self.function == "min", found.ends
        best = None if ends is None else ends.low if least else ends.high
        kind = pa.string() if pa.types.is_large_string(self.type) else self.type
        groups: dict[str, tuple[Any, pa.DataType]] = {f"{self.key}_v": (best, kind)}
        if self._is_float:
            zeros = ends is not None and (ends.minus_zero or ends.plus_zero)
            wins = ends is not None and (ends.minus_zero if least else ends.plus_zero)
            groups[f"{self.key}_z"] = (wins if zeros else None, pa.bool_())
        return Made(groups)

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        best = restored(groups[f"{self.key}_v"], self.type)
        if not self._is_float or not len(best):
            return best
        wins = np.array([bool(z) for z in groups[f"{self.key}_z"].to_pylist()])
        values = to_numpy(best)
        zero = -0.0 if self.function == "min" else 0.0
        signed = np.where(values == 0, np.where(wins, zero, -zero), values).astype(values.dtype)
        return from_numpy(signed, is_valid(best))


def _may_be_zero(bounds: tuple[float, float] | None) -> bool:
    return bounds is None or any(map(math.isnan, bounds)) or bounds[0] <= 0 <= bounds[1]


def bind_extreme(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``min`` or ``max``."""
    column = asked.columns[0]
    kind = plain(schema.field(column).type)
    if not storable(kind):
        raise refuse_type(asked.function, column, kind, STORABLE)
    return ExtremeKernel(key, name, kind, column, asked.function)
