"""Aggregates of arrays behind the face that all aggregations have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.arrays.aggregation import ArrayAggregation, ArrayState
from shardwise.compute.arrays.results import FUNCTIONS
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt
from shardwise.data.source import Batch, Source

if TYPE_CHECKING:
    import pyarrow as pa

RUNS_PER_THREAD = 4
"""Runs of batches that a shard is cut into for each thread: the last ones to end are then short."""


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
            if pipeline.operations:  # perhaps the person's own, which see one batch after the other
                return self.arrays.save(self.arrays.partial(pipeline.batches(attempt), attempt.spec.threads))
            return self.arrays.save(self.arrays.merge(self._runs(pipeline.source, attempt)))

    def _runs(self, source: Source, attempt: Attempt) -> Iterator[ArrayState]:
        """States of runs of the shard's batches. Each thread reads its own, so that threads meet once a run."""
        spec = attempt.spec
        count = max(1, min(spec.last - spec.first, RUNS_PER_THREAD * spec.threads))
        edges = [spec.first + (spec.last - spec.first) * i // count for i in range(count + 1)]

        def of_run(span: tuple[int, int]) -> tuple[ArrayState, list[tuple[int, int]]]:
            sizes: list[tuple[int, int]] = []
            return self.arrays.partial(_noted(source.read(*span), sizes)), sizes

        with ThreadPoolExecutor(spec.threads, "shardwise-array") as pool:
            for state, sizes in pool.map(of_run, pairwise(edges)):
                rows, size = map(sum, zip(*sizes)) if sizes else (0, 0)
                attempt.count(rows_in=rows, bytes_in=size, batches=len(sizes))
                yield state

    def merge(self, attempt: Attempt, states: Iterable[bytes]) -> bytes:
        """One state of several."""
        return self.arrays.save(self.arrays.merge(self.arrays.load(state) for state in states))

    def finish(self, attempt: Attempt, states: Iterable[bytes]) -> pa.Table:
        """One row."""
        return self.arrays.finish(self.arrays.merge(self.arrays.load(state) for state in states))


def _noted(batches: Iterable[Batch], sizes: list[tuple[int, int]]) -> Iterator[Batch]:
    """The same batches; their rows and bytes are noted."""
    for batch in batches:
        sizes.append((len(batch.data), batch.data.nbytes))
        yield batch
