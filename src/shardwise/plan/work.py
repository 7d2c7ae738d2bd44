"""A job as the planner sees it: a pipeline, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardwise.compute.pipeline import Pipeline

if TYPE_CHECKING:
    from shardwise.compute.aggregation import Aggregation

PART_BATCHES = 8
"""Batches of tables and arrays in an output file (about a million rows)."""

PART_ITEMS = 32
"""Items in an output file."""


@dataclass(frozen=True, slots=True)
class AggregateTo:
    """One value, or one per group, by name."""

    keys: tuple[str, ...]
    aggregates: tuple[tuple[str, Any], ...]
    needs_schema = True


@dataclass(frozen=True, slots=True)
class DescribeTo:
    """A summary of every column."""

    needs_schema = True


@dataclass(frozen=True, slots=True)
class CollectTo:
    """All rows or items, in order."""

    needs_schema = False


@dataclass(frozen=True, slots=True)
class WriteTo:
    """Files in a directory. ``part_batches``: batches of a file, None = as suits the kind."""

    directory: str
    format: str
    overwrite: bool = False
    part_batches: int | None = None
    needs_schema = True


Target = AggregateTo | DescribeTo | CollectTo | WriteTo


@dataclass(frozen=True, slots=True)
class Work:
    """A pipeline and its target. ``earlier``: results of the jobs that it reads from."""

    pipeline: Pipeline
    target: Target
    earlier: tuple[Any, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether everything that has to be known of the columns is known."""
        return not self.target.needs_schema or self.pipeline.shape.schema is not None

    @property
    def runs_functions(self) -> bool:
        """Whether code that a person wrote has a say in the answer."""
        from shardwise.compute.aggregates.base import Builtin  # here, as jobs that only map need none of it

        aggregates = self.target.aggregates if isinstance(self.target, AggregateTo) else ()
        return self.pipeline.has_functions or not all(isinstance(a, Builtin) for _, a in aggregates)

    @property
    def is_native(self) -> bool:
        """Whether all of it is DuckDB's work: aggregates of tables, and no code that a person wrote."""
        return self.pipeline.relational and self.target.needs_schema and not self.runs_functions

    @property
    def rows(self) -> int | None:
        """Rows of the source, where all of its files say so without being read."""
        known = [fragment.rows for fragment in self.pipeline.source.fragments]
        return None if None in known else sum(rows for rows in known if rows is not None)

    @property
    def guarded(self) -> bool:
        """Whether rows that make a person's code fail are left out."""
        if not self.pipeline.quarantine or self.pipeline.has_functions or not isinstance(self.target, AggregateTo):
            return self.pipeline.quarantine and self.pipeline.has_functions
        from shardwise.compute.aggregates.base import Builtin

        return any(not isinstance(aggregate, Builtin) for _, aggregate in self.target.aggregates)

    @property
    def part_batches(self) -> int:
        """Ordinals that a shard's length must be a multiple of."""
        if not isinstance(self.target, WriteTo):
            return 1
        return self.target.part_batches or (PART_ITEMS if self.pipeline.source.kind == "items" else PART_BATCHES)

    def aggregation(self) -> Aggregation:
        """The aggregation bound to the columns.

        Raises
        ------
        UsageError
            An aggregate does not suit its column.
        """
        from shardwise.compute.choose_aggregation import choose  # here, as jobs that only map need none of it

        if isinstance(self.target, DescribeTo):
            from shardwise.compute.description import describing

            return choose(self.pipeline, (), describing(self.pipeline.shape.schema))
        assert isinstance(self.target, AggregateTo)
        return choose(self.pipeline, self.target.keys, self.target.aggregates)
