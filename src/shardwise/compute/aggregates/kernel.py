"""What a built-in aggregate is made of: SQL for its partial states, SQL to merge them, and a finish.

States live in Arrow tables: one row per group in the main table, one row per group and subkey (a bucket, a register)
in side tables. Everything in a state is an integer, a min/max or a position, so neither cut nor order can matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

Bounds = Callable[[str], tuple[float, float] | None]
"""(min, max) of a float column where statistics tell it, else None."""

State = dict[str, pa.Table]
"""State of a grouped aggregation: table name -> table; ``"groups"`` is the main one."""


@dataclass(frozen=True, slots=True)
class Value:
    """A state column: how it is made from rows, and how from states (both SQL aggregates; ``merge`` reads ``name``)."""

    name: str
    partial: str
    merge: str


@dataclass(frozen=True, slots=True)
class Part:
    """What a kernel adds to one state table.

    ``table`` is ``"groups"`` or a name of its own (unique to the kernel, so prefixed by ``Kernel.key``). ``subkeys``
    are grouped by beside the group's keys (SQL over the relation). ``where`` (side tables only) drops rows first.
    ``relation`` (side tables only) reads another relation than the one being aggregated; it holds the key columns too.
    """

    table: str
    values: tuple[Value, ...]
    subkeys: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    relation: str = ""


class Kernel(Protocol):
    """A built-in aggregate bound to the types of its columns. Picklable."""

    key: str  # prefix of its state columns, unique in the job: "a0", "a1" ...
    name: str  # of the result column
    type: pa.DataType  # of the result column
    columns: tuple[str, ...]  # it reads
    needs_position: bool  # whether the relation must have ``__position``

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        """Parts for one partial state. May run a cheap query on ``relation`` first (which windows occur)."""

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        """Parts for merging states whose tables have these columns (only ``merge`` is used)."""

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array | pa.ChunkedArray:
        """The result, one value per row of ``groups``. Side tables have an int64 ``__group`` (row of ``groups``)."""
