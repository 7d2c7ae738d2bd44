"""Plain functions over items, many items at a time: a batch of its own for each item would cost more than the call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import GeneratorType
from typing import Any, TypeGuard

from shardwise.compute.operations import MapItems, Operation
from shardwise.compute.program import Attempt
from shardwise.data.items import ItemsSource
from shardwise.data.source import Batch, Source

RUN_SECONDS = 0.01
"""A run of items takes about this long, so that signs of life are as frequent as if each were counted."""

MOST_ITEMS = 4096
"""Items of a run at most."""


def applies(source: Source, operations: Sequence[Operation]) -> TypeGuard[ItemsSource]:
    """Whether nothing sees batches: items, and functions that do not ask for a ``Context``."""
    return isinstance(source, ItemsSource) and all(
        isinstance(op, MapItems) and op.function.context is None for op in operations
    )


def runs(source: ItemsSource, operations: Sequence[Operation], attempt: Attempt) -> Iterator[Batch]:
    """The results of the shard's items, in order, some items at a time (under the position of the first)."""
    functions = [op.function.ready() for op in operations if isinstance(op, MapItems)]
    at, last, step = attempt.spec.first, attempt.spec.last, 1
    while at < last:
        end = min(at + step, last)
        items: Sequence[Any] = source.items(at, end)
        started = time.monotonic()
        with attempt.phase("compute"):
            for function in functions:
                items = results(function, items)
        attempt.count(rows_in=end - at, batches=end - at)
        yield Batch(*source.place(at), items if isinstance(items, list) else list(items))
        at = end
        if time.monotonic() - started < RUN_SECONDS:
            step = min(2 * step, MOST_ITEMS)


def results(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """What a function returns for each item, or all that it yields."""
    made = [function(item) for item in items]
    if GeneratorType not in set(map(type, made)):
        return made
    flat: list[Any] = []
    for result in made:
        if isinstance(result, GeneratorType):
            flat.extend(result)
        else:
            flat.append(result)
    return flat
