"""Aggregates of arrays behind the face that all aggregations have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.arrays.aggregation import ArrayAggregation
from shardwise.compute.arrays.results import FUNCTIONS
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt


@dataclass(frozen=True, slots=True)
class ArrayFace:
    """Aggregates by column (axis 0) in NumPy."""

    arrays: ArrayAggregation

    @classmethod
    def of(cls, aggregates: Sequence[tuple[str, Builtin]], schema: pa.Schema) -> ArrayFace:
        """Bound to an array with these columns."""
        return cls(ArrayAggregation(tuple(aggregates), len(schema)))

    @staticmethod
    def can(aggregates: Sequence[tuple[str, Builtin]]) -> bool:
        """Whether all of them are defined for arrays; the others see the array as a table."""
        return all(aggregate.function in FUNCTIONS for _, aggregate in aggregates)

    def partial(self, pipeline: Pipeline, attempt: Attempt) -> bytes:
        """State of the attempt's shard."""
        with attempt.phase("compute"):
            return self.arrays.save(self.arrays.partial(pipeline.batches(attempt), attempt.spec.threads))

    def merge(self, attempt: Attempt, states: Iterable[bytes]) -> bytes:
        """One state of several."""
        return self.arrays.save(self.arrays.merge(self.arrays.load(state) for state in states))

    def finish(self, attempt: Attempt, states: Iterable[bytes]) -> pa.Table:
        """One row."""
        return self.arrays.finish(self.arrays.merge(self.arrays.load(state) for state in states))
