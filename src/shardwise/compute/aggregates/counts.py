"""``count`` and ``count_null``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.kernel import GROUPS, Bounds, Kernel, Made, Part
from shardwise.compute.aggregates.summing import counted
from shardwise.compute.exact.sql import quoted

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary


@dataclass(frozen=True, slots=True)
class CountKernel:
    """One count."""

    key: str
    name: str
    columns: tuple[str, ...]
    sql: str
    of_nulls: bool = False
    type = pa.int64()
    needs_position = False

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        return (Part(GROUPS, (counted(f"{self.key}_n", self.sql),)),)

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        return (Part(GROUPS, (counted(f"{self.key}_n", ""),)),)

    def ingredients(self) -> frozenset[str]:
        return frozenset()

    def of_summary(self, found: Summary) -> Made:
        count = found.nulls if self.of_nulls else found.rows - (found.nulls if self.columns else 0)
        return Made({f"{self.key}_n": (count, pa.int64())})

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.ChunkedArray:
        return groups[f"{self.key}_n"]


def bind_count(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Rows, or values that are not null."""
    return CountKernel(key, name, asked.columns, f"count({quoted(asked.columns[0])})" if asked.columns else "count(*)")


def bind_count_null(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    """Nulls."""
    return CountKernel(key, name, asked.columns, f"(count(*) - count({quoted(asked.columns[0])}))", True)
