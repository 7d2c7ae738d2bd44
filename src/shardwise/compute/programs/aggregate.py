"""Partial states of shards; merging them; the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardwise.compute.aggregation import Aggregation
from shardwise.compute.itemstore import ipc_bytes
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt

if TYPE_CHECKING:
    import pyarrow as pa

RESULT = "result.arrow"
"""Name of the output that holds a finished aggregation."""


@dataclass(frozen=True, slots=True)
class PartialProgram:
    """State of one shard."""

    pipeline: Pipeline
    aggregation: Aggregation

    def execute(self, attempt: Attempt) -> None:
        """Aggregate ordinals [first, last) of the source."""
        attempt.give("state", self.aggregation.partial(self.pipeline, attempt))


@dataclass(frozen=True, slots=True)
class MergeProgram:
    """One state of several: an inner node of the tree."""

    aggregation: Aggregation

    def execute(self, attempt: Attempt) -> None:
        """Merge the inputs, in order."""
        attempt.give("state", self.aggregation.merge(attempt, (bytes(data) for _, data in attempt.inputs())))


@dataclass(frozen=True, slots=True)
class FinishProgram:
    """The root of the tree: the result as one Arrow table."""

    aggregation: Aggregation

    def execute(self, attempt: Attempt) -> None:
        """Merge the inputs, in order, and finish."""
        table: pa.Table = self.aggregation.finish(attempt, (bytes(data) for _, data in attempt.inputs()))
        attempt.give(RESULT, ipc_bytes(table), table.num_rows)
