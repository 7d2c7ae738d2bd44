"""What functions make of batches, said exactly, so that two processes can be compared; and what they make of halves.

Outputs are named ``STEP.FRAGMENT.BATCH.PART.FORMAT``: a step is the place of a function among the operations, or
``aN`` for the N-th aggregate of the person's own.

======== =====================================================================================================
part     what it is
======== =====================================================================================================
out      what the function returned for the batch; of an aggregate: its state, and what ``finish`` makes of it
cut      the halves' results, one below the other; of an aggregate: halves stepped, merged and finished
third    the same, cut behind a third: where the data repeats itself, halves may agree by chance
left     of an aggregate: ``finish(merge(merge(a, b), c))`` of three parts
right    of an aggregate: ``finish(merge(a, merge(b, c)))``
raised   the function raised on a half alone: what
drew     it drew from ``ctx.rng``, so that halves need not agree
======== =====================================================================================================
"""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.compute import itemstore
from shardwise.compute.context import BatchPosition, Context
from shardwise.compute.failure import failure_of
from shardwise.compute.operations import Map, MapItems
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt
from shardwise.compute.programs.collect import encode, join_arrays, join_tables
from shardwise.compute.shape import Shape, conform
from shardwise.data.kinds import is_array, is_table
from shardwise.data.source import Batch
from shardwise.errors import ShardwiseError

if TYPE_CHECKING:
    from shardwise.compute.custom import Aggregate

PIECES = {"cut": 2, "third": 3}
"""A batch is cut behind such a part of its rows."""

HALVES = "halves"
"""Stage of tasks that are also called on in halves."""


@dataclass(frozen=True, slots=True)
class WitnessProgram:
    """Calls the functions of a pipeline, and the person's own aggregates, on the first batches of each ordinal.

    Parameters
    ----------
    pipeline : Pipeline
        Whose functions are called.
    own : tuple of Aggregate
        The person's own aggregates, by group where the job groups.
    most : int
        Batches of an ordinal that are looked at.

    Notes
    -----
    Tasks of the stage ``HALVES`` call on halves as well, before the whole: what a function remembers of them it must
    not show.
    """

    pipeline: Pipeline
    own: tuple[Aggregate[Any], ...]
    most: int

    def execute(self, attempt: Attempt) -> None:
        """Look at the batches of ordinals [first, last)."""
        if self.pipeline.quarantine:
            self._guarded(attempt)
            return
        spec = attempt.spec
        for batch in itertools.islice(self.pipeline.source.read(spec.first, spec.last, None), self.most):
            self._see(batch, attempt)

    def _see(self, batch: Batch, attempt: Attempt) -> None:
        for place, op in enumerate(self.pipeline.operations):
            if isinstance(op, Map) and attempt.spec.stage == HALVES and len(batch.data) > 1:
                _Halves(self.pipeline, op, batch, attempt, f"{place}.{batch.fragment}.{batch.index}").give()
            batch = replace(batch, data=self.pipeline.apply(op, batch, attempt))
            if isinstance(op, (Map, MapItems)):
                _give(attempt, f"{place}.{batch.fragment}.{batch.index}.out", batch.data)
        self._step(batch, attempt)

    def _guarded(self, attempt: Attempt) -> None:
        """Rows that fail are left out, as the job does, so that only what comes out in the end can be seen."""
        last = max(
            (place for place, op in enumerate(self.pipeline.operations) if isinstance(op, (Map, MapItems))), default=0
        )
        tail = None if not self.own else lambda batch: self._stepped(batch, attempt)
        for batch in itertools.islice(self.pipeline.batches(attempt, tail=tail), self.most):
            _give(attempt, f"{last}.{batch.fragment}.{batch.index}.out", batch.data)
        bad = [[row.fragment, row.batch, row.row, row.type] for row in attempt.quarantine.rows]
        attempt.quarantine.rows.clear()
        _give(attempt, f"{last}.-1.0.out", [json.dumps(row) for row in bad])

    def _stepped(self, batch: Batch, attempt: Attempt) -> Batch:
        self._step(batch, attempt)
        return batch

    def _step(self, batch: Batch, attempt: Attempt) -> None:
        if not len(batch.data):
            return
        for number, aggregate in enumerate(self.own):
            name = f"a{number}.{batch.fragment}.{batch.index}"
            if attempt.spec.stage == HALVES and len(batch.data) > 1:
                try:
                    _give_joined(attempt, aggregate, batch.data, name)
                except Exception as error:
                    _give_raised(attempt, name, error)
            state = aggregate.step(aggregate.zero(), batch.data)
            _give(attempt, f"{name}.out", [_copy(state), aggregate.finish(_copy(state))])


@dataclass(frozen=True, slots=True)
class _Halves:
    """A function called on pieces of a batch, before it is called on the whole."""

    pipeline: Pipeline
    op: Map
    batch: Batch
    attempt: Attempt
    name: str

    def give(self) -> None:
        """Record what it makes of them, or what it raised."""
        rows = len(self.batch.data)
        try:
            made = {part: self._joined(rows // pieces) for part, pieces in PIECES.items() if rows >= pieces}
        except Exception as error:
            _give_raised(self.attempt, self.name, error)
            return
        for part, (joined, _) in made.items():
            _give(self.attempt, f"{self.name}.{part}", joined)
        if any(drew for _, drew in made.values()):
            self.attempt.give(f"{self.name}.drew.text", b"")

    def _joined(self, place: int) -> tuple[Any, bool]:
        """The results of two pieces, one below the other, and whether random numbers were drawn for them."""
        context = self._context()  # the second piece goes on drawing where the first one stopped
        joined = _joined([self._call(piece, context) for piece in _cut(self.batch.data, [place])])
        return joined, context._rng is not None

    def _context(self) -> Context:
        source = self.pipeline.source.fragments[self.batch.fragment].name
        position = BatchPosition(self.batch.fragment, self.batch.index, source)
        return Context(position, self.attempt.log, self.pipeline.seed)

    def _call(self, data: Any, context: Context) -> Any:
        from shardwise.compute.convert import receive, store

        op = self.op
        result = store(op.function(receive(_copy(data), op.function), context), op.function)
        if op.schema is None:
            return result
        return conform(result, Shape(op.kind, op.schema), op.function.name, f"a half of batch {self.batch.index}")


def _cut(data: Any, places: Sequence[int]) -> list[Any]:
    """Runs of rows of a batch, cut before these rows."""
    edges = itertools.pairwise([0, *places, len(data)])
    return [data.slice(start, end - start) if is_table(data) else data[start:end] for start, end in edges]


def _joined(parts: list[Any]) -> Any:
    if is_table(parts[0]):
        kept = [part for part in parts if part.num_columns] or parts[:1]
        return join_tables(kept)
    return join_arrays(parts) if is_array(parts[0]) else [item for part in parts for item in part]


def _copy(data: Any) -> Any:
    """What a function may change without anybody else seeing it."""
    if is_table(data):
        return data
    if is_array(data):
        return data.copy()
    import cloudpickle

    return pickle.loads(cloudpickle.dumps(data))


def _give_joined(attempt: Attempt, aggregate: Aggregate[Any], data: Any, name: str) -> None:
    """What an aggregate makes of a batch as a whole, of halves that are merged, and of thirds merged in two ways."""

    def state(rows: Any) -> Any:
        return aggregate.step(aggregate.zero(), rows)

    for part, pieces in PIECES.items():
        if len(data) >= pieces:
            one, two = (state(rows) for rows in _cut(data, [len(data) // pieces]))
            _give(attempt, f"{name}.{part}", [aggregate.finish(aggregate.merge(one, two))])
    if len(data) < 3:
        return
    a, b, c = (state(part) for part in _cut(data, [len(data) // 3, 2 * len(data) // 3]))
    copies = [_copy(kept) for kept in (a, b, c)]
    _give(attempt, f"{name}.left", [aggregate.finish(aggregate.merge(aggregate.merge(a, b), c))])
    a, b, c = copies
    _give(attempt, f"{name}.right", [aggregate.finish(aggregate.merge(a, aggregate.merge(b, c)))])


def _give_raised(attempt: Attempt, name: str, error: Exception) -> None:
    failure = failure_of(error)
    text = failure.message if isinstance(error, ShardwiseError) else f"{failure.type}: {failure.message}"
    attempt.give(f"{name}.raised.text", text.encode())


def _give(attempt: Attempt, name: str, data: Any) -> None:
    """Record data under its name and format."""
    if isinstance(data, list):
        kind, encoded = itemstore.encode(data)
        attempt.give(f"{name}.{kind}", encoded, len(data))
    else:
        kind, encoded, rows = encode([data])
        attempt.give(f"{name}.{kind}", encoded, rows)
