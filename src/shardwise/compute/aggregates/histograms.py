"""``histogram`` over bounds given beforehand, so that counts are exact in any cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, refuse_type
from shardwise.compute.aggregates.kernel import GROUP_ROW, Bounds, Kernel, Part
from shardwise.compute.aggregates.numbers import number, plain
from shardwise.compute.aggregates.summing import counted
from shardwise.compute.exact.sql import literal, quoted
from shardwise.data.buffers import to_numpy

if TYPE_CHECKING:
    import duckdb

_BIN = pa.struct([("lo", pa.float64()), ("hi", pa.float64()), ("count", pa.int64())])


@dataclass(frozen=True, slots=True)
class HistogramKernel:
    """Counts per bin in a side table; bin -1 is below all, and behind the last come above and NaN."""

    key: str
    name: str
    column: str
    edges: tuple[float, ...]
    type = pa.struct([("bins", pa.list_(_BIN)), ("below", pa.int64()), ("above", pa.int64()), ("nan", pa.int64())])
    needs_position = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def _bins(self) -> int:
        return len(self.edges) - 1

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        x = f"{quoted(self.column)}::DOUBLE"
        last = literal(self.edges[-1])
        inside = _search(x, self.edges, 0, self._bins)
        bins = (
            f"CASE WHEN isnan({x}) THEN {self._bins + 1} WHEN {x} < {literal(self.edges[0])} THEN -1 "
            f"WHEN {x} > {last} THEN {self._bins} ELSE {inside} END::INTEGER"
        )
        return (self._part({f"{self.key}_bin": bins}, f"{quoted(self.column)} IS NOT NULL"),)

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        return (self._part({f"{self.key}_bin": f"{self.key}_bin"}, ""),)

    def _part(self, subkeys: Mapping[str, str], where: str) -> Part:
        return Part(f"{self.key}_bins", (counted(f"{self.key}_n", "count(*)"),), subkeys, where)

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        side, width = sides[f"{self.key}_bins"], self._bins + 3
        counts = np.zeros(groups.num_rows * width, np.int64)
        places = to_numpy(side[GROUP_ROW]) * width + to_numpy(side[f"{self.key}_bin"]) + 1
        counts[places] = to_numpy(side[f"{self.key}_n"])
        table = counts.reshape(groups.num_rows, width)
        edges = np.array(self.edges)
        flat = pa.StructArray.from_arrays(
            [
                pa.array(np.tile(edges[:-1], groups.num_rows)),
                pa.array(np.tile(edges[1:], groups.num_rows)),
                pa.array(table[:, 1:-2].ravel()),
            ],
            fields=list(_BIN),
        )
        ends = pa.array(np.arange(groups.num_rows + 1, dtype=np.int32) * self._bins)
        bins = pa.ListArray.from_arrays(ends, flat)
        apart = [pa.array(table[:, place].copy()) for place in (0, -2, -1)]
        return pa.StructArray.from_arrays([bins, *apart], fields=list(self.type))


def _search(x: str, edges: tuple[float, ...], first: int, last: int) -> str:
    """SQL of the bin in [first, last) that x lies in, by halving; a bin holds its lower edge, the last one both."""
    if last - first == 1:
        return str(first)
    middle = (first + last) // 2
    lower, upper = _search(x, edges, first, middle), _search(x, edges, middle, last)
    return f"CASE WHEN {x} < {literal(edges[middle])} THEN {lower} ELSE {upper} END"


def bind_histogram(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Bind ``histogram``."""
    column = asked.columns[0]
    kind = plain(schema.field(column).type)
    if number(column, kind) is None or pa.types.is_boolean(kind):
        raise refuse_type("histogram", column, kind, "integers, floats and decimals")
    return HistogramKernel(key, name, column, asked.option("edges"))
