"""What a built-in aggregate is made of: SQL for its partial states, SQL to merge them, and a finish.

States live in Arrow tables: one row per group in the main table, one row per group and subkey (a bucket, a register)
in side tables. Everything in a state is an integer, a min/max or a position, so neither cut nor order can matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary

Bounds = Callable[[str], tuple[float, float] | None]
"""(min, max) of a float column where statistics tell it, else None. Kernels are handed a `look.Look`, which is one and
knows more."""

State = dict[str, pa.Table]
"""State of a grouped aggregation: table name -> table; ``"groups"`` is the main one."""

GROUPS = "groups"
"""The main table."""

SUM, SQUARES, ENDS, BUCKETS, REGISTERS = "sum", "squares", "ends", "buckets", "registers"
"""Ingredients of states that a pass over a column finds out (`compute.columns`). What is counted always is."""

HEAVY = frozenset({SQUARES, BUCKETS, REGISTERS})
"""Those that NumPy finds out faster than SQL."""

GROUP_ROW = "__group"
"""Column of the side tables that `Kernel.finish` gets: the row of ``groups`` that a row belongs to."""


@dataclass(frozen=True, slots=True)
class Value:
    """A state column: how it is made from rows, and how from states (both SQL aggregates; ``merge`` reads ``name``).

    Raw exact sums (see `compute.exact.limbs`) change their name on the way: ``partial`` and ``merge`` both give the raw
    form, and what is stored is limbs.
    """

    name: str
    partial: str
    merge: str


@dataclass(frozen=True, slots=True)
class Part:
    """What a kernel adds to one state table.

    ``table`` is ``"groups"`` or a name of its own (unique to the kernel, so prefixed by ``Kernel.key``). ``subkeys``
    are grouped by beside the group's keys (SQL over the relation). ``where`` (side tables only) drops rows first.
    ``relation`` (side tables only) reads another relation than the one being aggregated; it holds the key columns too.

    ``layers`` (main table only) are columns to derive first, level by level. ``guard`` (main table only) is an SQL
    aggregate that is true where ``values`` rest on a guess that did not hold; then ``fallback`` gives the part anew.
    """

    table: str
    values: tuple[Value, ...]
    subkeys: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    relation: str = ""
    layers: tuple[dict[str, str], ...] = ()
    guard: str = ""
    fallback: Callable[[], Part] | None = None


class Kernel(Protocol):
    """A built-in aggregate bound to the types of its columns. Picklable."""

    @property
    def key(self) -> str:
        """Prefix of its state columns, unique in the job: ``"a0"``, ``"a1"`` ..."""

    @property
    def name(self) -> str:
        """Of the result column."""

    @property
    def type(self) -> pa.DataType:
        """Of the result column."""

    @property
    def columns(self) -> tuple[str, ...]:
        """It reads."""

    @property
    def needs_position(self) -> bool:
        """Whether the relation must have ``__position``."""

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        """Parts for one partial state. May run a cheap query on ``relation`` first (which windows occur)."""

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        """Parts for merging states whose tables have these columns (only ``merge`` is used)."""

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array | pa.ChunkedArray:
        """The result, one value per row of ``groups``. Side tables have an int64 ``__group`` (row of ``groups``)."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a kernel makes of a column's summary: columns of the main table (of one row), exact sums for it (prefix ->
    total, and the exponent of its unit), and side tables, sorted by their subkeys."""

    groups: Mapping[str, tuple[Any, pa.DataType]] = field(default_factory=dict)
    sums: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    sides: Mapping[str, pa.Table] = field(default_factory=dict)


@runtime_checkable
class Columnar(Kernel, Protocol):
    """A kernel whose state, where there are no keys, can also be made from the summary of a column: the same bytes."""

    def ingredients(self) -> frozenset[str] | None:
        """What the summary must have (see `compute.columns.summary`); None where SQL alone will do."""

    def of_summary(self, found: Summary) -> Made:
        """The state. Aggregates of no column get the summary of any."""
