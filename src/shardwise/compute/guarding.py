"""A pipeline's functions under guard: which operations belong to the chain, and how a row gets its number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shardwise.compute import relational
from shardwise.compute.convert import to_table
from shardwise.compute.operations import Filter, Map, MapItems, Operation, Sample, Tabulate
from shardwise.data.source import POSITION, Batch

if TYPE_CHECKING:
    from shardwise.compute.guard import Guard
    from shardwise.compute.pipeline import Pipeline
    from shardwise.compute.program import Attempt

Tell = Callable[[int], None]


def span(operations: Sequence[Operation], with_tail: bool) -> tuple[int, int]:
    """Where the chain begins and ends: from the first function to the last, or to the end where more of the person's
    code follows.

    Examples
    --------
    >>> span([Filter("a > 0"), Sample(0.5, 1)], with_tail=True)
    (2, 2)
    """
    functions = [place for place, op in enumerate(operations) if isinstance(op, (Map, MapItems))]
    begin = functions[0] if functions else len(operations)
    return begin, len(operations) if with_tail or not functions else functions[-1] + 1


def guard(
    pipeline: Pipeline,
    before: Sequence[Operation],
    chain: Sequence[Operation],
    behind: Sequence[Operation],
    tail: Callable[[Batch], Batch] | None,
    attempt: Attempt,
) -> Guard:
    """The guard of a chain. Items that become rows right behind it must fit: that is the function's affair too."""

    def call(batch: Batch, tell: Tell) -> Batch:
        for place, op in enumerate(chain):
            batch = replace(batch, data=pipeline.apply(op, batch, attempt, tell if place == 0 else None))
        if behind and isinstance(behind[0], Tabulate):
            pipeline.apply(behind[0], batch, attempt)
        return batch if tail is None else tail(batch)

    return _guard(pipeline, before, chain, attempt, call)


def _guard(
    pipeline: Pipeline,
    before: Sequence[Operation],
    chain: Sequence[Operation],
    attempt: Attempt,
    call: Callable[[Batch, Tell], Batch],
) -> Guard:
    from shardwise.compute.guard import Chain, Guard

    for op in chain:
        if isinstance(op, (Map, MapItems)):
            op.function.ready()  # a class that cannot be built is no row's fault

    def prepare(batch: Batch) -> Batch:
        for op in before:
            batch = replace(batch, data=pipeline.apply(op, batch, attempt))
        return batch

    def numbers(batch: Batch) -> np.ndarray[Any, Any]:
        return source_rows(pipeline, before, batch, attempt)

    exact = bool(chain) and isinstance(chain[0], MapItems)
    names = [fragment.name for fragment in pipeline.source.fragments]
    return Guard(Chain(prepare, numbers, call, exact), attempt.quarantine, names)


def guarded(
    guard: Guard, pipeline: Pipeline, stream: Iterator[Batch], attempt: Attempt, columns: list[str] | None
) -> Iterator[Batch]:
    """What the chain makes of a stream. Batches that have killed a worker come first: until it is known which rows
    did it, all other work of the attempt may be in vain."""
    quarantine = attempt.quarantine
    for fragment, index in dict.fromkeys((s.fragment, s.batch) for s in quarantine.spec.suspects):
        if (fragment, index) not in quarantine.searched and _is_of(pipeline, quarantine.spec, fragment, index):
            guard.search(one_batch(pipeline, fragment, index, columns))
    yield from guard.judged(stream)


def one_batch(pipeline: Pipeline, fragment: int, index: int, columns: list[str] | None = None) -> Batch:
    """Read one batch by its number."""
    ordinal = _ordinal(pipeline, fragment, index)
    batches = pipeline.source.read(ordinal, ordinal + 1, columns)
    return next(batch for batch in batches if batch.index == index)


def _ordinal(pipeline: Pipeline, fragment: int, index: int) -> int:
    fragments = pipeline.source.fragments
    starts = list(accumulate((f.batches for f in fragments), initial=0))
    return starts[fragment] + (0 if fragments[fragment].in_order else index)


def _is_of(pipeline: Pipeline, spec: Any, fragment: int, index: int) -> bool:
    return bool(spec.first <= _ordinal(pipeline, fragment, index) < spec.last)


def settling(
    pipeline: Pipeline, operations: list[Operation], stream: Iterator[Batch], attempt: Attempt
) -> Iterator[None]:
    """Send batches through the operations, and replace in the list those whose results show their schema."""
    from shardwise.compute.pipeline import settled

    def through(batch: Batch, begin: int, end: int, tell: Tell | None = None) -> Iterator[Batch]:
        for place in range(begin, end):
            batch = replace(
                batch, data=pipeline.apply(operations[place], batch, attempt, tell if place == begin else None)
            )
            yield batch

    def note(begin: int, made: Sequence[Any]) -> None:
        for place, data in enumerate(made, begin):
            operations[place] = settled(operations[place], data)

    def whole(batch: Batch) -> None:
        for place in range(len(operations)):
            (batch,) = through(batch, place, place + 1)
            note(place, [batch.data])

    if not (pipeline.quarantine and pipeline.has_functions):
        yield from map(whole, stream)
        return
    begin, _ = span(operations, with_tail=True)

    def call(batch: Batch, tell: Tell) -> Batch:
        return replace(batch, data=[made.data for made in through(batch, begin, len(operations), tell)])

    guard = _guard(pipeline, operations[:begin], operations[begin:], attempt, call)
    for batch in stream:
        for place in range(begin):  # items that become rows before the first function
            if isinstance(operations[place], Tabulate):
                *_, prepared = through(batch, 0, place + 1)
                note(place, [prepared.data])
        for made in guarded(guard, pipeline, iter([batch]), attempt, None):
            note(begin, made.data)
        yield None


def source_rows(
    pipeline: Pipeline, before: Sequence[Operation], batch: Batch, attempt: Attempt
) -> np.ndarray[Any, Any]:
    """For each row that reaches the functions: its number in the batch as the source has it."""
    rows = np.arange(len(batch.data), dtype=np.int64)
    for op in before:
        if isinstance(op, Sample):
            rows = pipeline.apply(op, replace(batch, data=rows), attempt)
        elif isinstance(op, Filter):
            numbered = to_table(batch.data).append_column(POSITION, pa.array(rows))
            rows = relational.apply(attempt.connection(), op, numbered).column(POSITION).to_numpy()
        batch = replace(batch, data=pipeline.apply(op, batch, attempt))
    return rows
