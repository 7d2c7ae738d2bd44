"""``argmin``, ``argmax`` and ``top_k``: values of rows chosen by another column; of equal ones the lowest position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shardwise.compute.aggregates.base import Builtin, refuse_type
from shardwise.compute.aggregates.kernel import GROUPS, Bounds, Kernel, Part, Value
from shardwise.compute.aggregates.numbers import plain
from shardwise.compute.aggregates.storing import STORABLE, one_nan, restored, storable, stored
from shardwise.compute.exact.sql import quoted
from shardwise.data.source import POSITION

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class ArgKernel:
    """The best ``by``, the first position that has it, and the column's value there."""

    key: str
    name: str
    type: pa.DataType
    column: str
    by: str
    by_type: pa.DataType
    is_max: bool
    needs_position = True

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.by)

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        by = one_nan(stored(self.by, self.by_type), self.by_type)
        value = quoted(self.column) if pa.types.is_floating(self.type) else stored(self.column, self.type)
        return self._parts(one_nan(value, self.type), by, quoted(POSITION))

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        return self._parts(*(f"{self.key}_{word}" for word in "vbp"))

    def _parts(self, value: str, by: str, position: str) -> tuple[Part, ...]:
        order = f"row({by}, {'-' if self.is_max else ''}{position})"
        row = f"struct_pack(v := {value}, b := {by}, p := {position})"
        best = f"{'arg_max' if self.is_max else 'arg_min'}({row}, {order}) FILTER (WHERE {by} IS NOT NULL)"
        taken = (f"struct_extract({best}, '{word}')" for word in "vbp")
        return (Part(GROUPS, tuple(Value(f"{self.key}_{word}", sql, sql) for word, sql in zip("vbp", taken))),)

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        return restored(groups[f"{self.key}_v"], self.type)


@dataclass(frozen=True, slots=True)
class TopKernel:
    """The k greatest rows as a list per group: ``by``, position (negated, so that all sorts downwards), value."""

    key: str
    name: str
    value_type: pa.DataType
    column: str
    by: str
    by_type: pa.DataType
    k: int
    needs_position = True

    @property
    def type(self) -> pa.DataType:
        return pa.list_(self.value_type)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.by)

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        by = one_nan(stored(self.by, self.by_type), self.by_type)
        value = quoted(self.column) if pa.types.is_floating(self.value_type) else stored(self.column, self.value_type)
        place = f"-{quoted(POSITION)}"
        row = f"struct_pack(b := {by}, p := {place}, v := {one_nan(value, self.value_type)})"
        return self._parts(f"arg_max({row}, row({by}, {place}), {self.k}) FILTER (WHERE {by} IS NOT NULL)")

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        return self._parts("")

    def _parts(self, partial: str) -> tuple[Part, ...]:
        rows = f"{self.key}_t"
        merge = f"list_slice(list_sort(flatten(list({rows}) FILTER (WHERE {rows} IS NOT NULL)), 'DESC'), 1, {self.k})"
        return (Part(GROUPS, (Value(rows, partial, merge),)),)

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        lists = groups[f"{self.key}_t"].combine_chunks()
        rows = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
        sizes = pc.fill_null(pc.list_value_length(rows), 0).to_numpy()
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        flat = rows.flatten()
        return pa.ListArray.from_arrays(pa.array(ends), restored(pc.struct_field(flat, [2]), self.value_type))


def _kinds(asked: Builtin, schema: pa.Schema) -> list[pa.DataType]:
    kinds = [plain(schema.field(column).type) for column in asked.columns]
    for column, kind in zip(asked.columns, kinds):
        if not storable(kind):
            raise refuse_type(asked.function, column, kind, STORABLE)
    return kinds


def bind_arg(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``argmin`` or ``argmax``."""
    kind, by_kind = _kinds(asked, schema)
    return ArgKernel(key, name, kind, asked.columns[0], asked.columns[1], by_kind, asked.function == "argmax")


def bind_top(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``top_k``."""
    kinds = _kinds(asked, schema)
    return TopKernel(key, name, kinds[0], asked.columns[0], asked.columns[-1], kinds[-1], asked.option("k"))
