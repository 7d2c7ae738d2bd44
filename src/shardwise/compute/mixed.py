"""Aggregates of the person's own beside built-in ones, with or without keys."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shardwise.compute.aggregates.grouped import GroupedAggregation
from shardwise.compute.columns.shards import GATHERED_ROWS
from shardwise.compute.convert import to_table, values_column
from shardwise.compute.custom import Aggregate, CustomAggregation
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt
from shardwise.data.source import Batch
from shardwise.storage.signing import sign, verify

Key = tuple[Any, ...]


class ByGroup(Aggregate[dict[Key, Any]]):
    """An aggregate carried out for every group of a batch: its state is a dict of states."""

    def __init__(self, aggregate: Aggregate[Any], keys: tuple[str, ...]) -> None:
        self.aggregate = aggregate
        self.keys = keys

    def zero(self) -> dict[Key, Any]:
        """No group."""
        return {}

    def step(self, state: dict[Key, Any], batch: Any) -> dict[Key, Any]:
        """Step every group that occurs in the batch, with its rows in order."""
        table = to_table(batch)
        made = dict(state)
        for key, rows in _groups(table, self.keys):
            before = made[key] if key in made else self.aggregate.zero()
            made[key] = self.aggregate.step(before, table.take(rows))
        return made

    def merge(self, a: dict[Key, Any], b: dict[Key, Any]) -> dict[Key, Any]:
        """Merge the groups that both have."""
        both = dict(a)
        for key, state in b.items():
            both[key] = self.aggregate.merge(both[key], state) if key in both else state
        return both

    def finish(self, state: dict[Key, Any]) -> dict[Key, Any]:
        """Finish every group."""
        return {key: self.aggregate.finish(value) for key, value in state.items()}


def _groups(table: pa.Table, keys: tuple[str, ...]) -> Iterator[tuple[Key, list[int]]]:
    rows: dict[Key, list[int]] = {}
    for row, key in enumerate(zip(*(table.column(name).to_pylist() for name in keys))):
        rows.setdefault(canonical(key), []).append(row)
    yield from rows.items()


def canonical(key: Key) -> Key:
    """A key that equals itself: one NaN, one zero.

    Examples
    --------
    >>> canonical((float("nan"), -0.0, None))
    ('NaN', 0.0, None)
    """
    return tuple(
        "NaN" if isinstance(v, float) and math.isnan(v) else v + 0.0 if isinstance(v, float) else v for v in key
    )


@dataclass(frozen=True, slots=True)
class Stepped(Batch):
    """A batch with its state in each of the person's aggregates."""

    leaves: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class MixedAggregation:
    """Built-in aggregates in SQL, the others in Python, in one pass over the batches.

    ``names`` is the order of the result's columns behind the keys.
    """

    grouped: GroupedAggregation | None
    keys: tuple[str, ...]
    customs: tuple[tuple[str, CustomAggregation], ...]
    names: tuple[str, ...]

    def partial(self, pipeline: Pipeline, attempt: Attempt) -> bytes:
        """State of the shard."""
        forests: list[Any] = [{} for _ in self.customs]
        state: Any = None if self.grouped is None else self.grouped.empty()
        positions = self.grouped is not None and self.grouped.needs_position

        def step(batch: Batch) -> Batch:
            with attempt.phase("compute"):
                return Stepped(
                    batch.fragment, batch.index, batch.data, tuple(c.leaf(batch.data) for _, c in self.customs)
                )

        for held in _runs(pipeline.batches(attempt, None, positions, tail=step)):
            with attempt.phase("compute"):
                parts = [
                    custom.reduce((batch, batch.leaves[place]) for batch in held if isinstance(batch, Stepped))
                    for place, (_, custom) in enumerate(self.customs)
                ]
                forests = [c.merge([f, p]) for (_, c), f, p in zip(self.customs, forests, parts)]
                if self.grouped is not None:
                    state = self.grouped.merge(attempt.connection(), [state, self._tables(attempt, held)])
        return self._save(state, forests)

    def _tables(self, attempt: Attempt, held: list[Batch]) -> Any:
        assert self.grouped is not None
        con = attempt.connection()
        con.register("__gathered", pa.concat_tables([to_table(b.data) for b in held], promote_options="permissive"))
        try:
            return self.grouped.partial(con, "__gathered", lambda name: None)
        finally:
            con.unregister("__gathered")

    def _save(self, state: Any, forests: list[Any]) -> bytes:
        pieces = [b"" if self.grouped is None else self.grouped.save(state)]
        pieces += [custom.save(forest) for (_, custom), forest in zip(self.customs, forests)]
        return sign(b"".join(struct.pack("<q", len(piece)) + piece for piece in pieces))

    def _load(self, data: bytes) -> tuple[Any, list[Any]]:
        pieces = list(_pieces(verify(data)))
        state = None if self.grouped is None else self.grouped.load(pieces[0])
        return state, [custom.load(piece) for (_, custom), piece in zip(self.customs, pieces[1:])]

    def _merged(self, attempt: Attempt, states: Iterable[bytes]) -> tuple[Any, list[Any]]:
        loaded = [self._load(state) for state in states]
        forests = [custom.merge([f[i] for _, f in loaded]) for i, (_, custom) in enumerate(self.customs)]
        if self.grouped is None:
            return None, forests
        builtin = [state for state, _ in loaded]
        return (self.grouped.merge(attempt.connection(), builtin) if builtin else self.grouped.empty()), forests

    def merge(self, attempt: Attempt, states: Iterable[bytes]) -> bytes:
        """One state of several."""
        return self._save(*self._merged(attempt, states))

    def finish(self, attempt: Attempt, states: Iterable[bytes]) -> pa.Table:
        """Keys in order, then the columns in the order in which they were asked for."""
        state, forests = self._merged(attempt, states)
        results = {name: custom.finish(forest) for (name, custom), forest in zip(self.customs, forests)}
        if self.grouped is None:
            return pa.table({name: values_column([results[name]], name) for name in self.names})
        table = self.grouped.finish(attempt.connection(), state)
        keys = [canonical(key) for key in zip(*(table.column(k).to_pylist() for k in self.keys))] if self.keys else []
        columns = {k: table.column(k) for k in self.keys}
        for name in self.names:
            if name not in results:
                columns[name] = table.column(name)
            else:
                values = [results[name][key] for key in keys] if self.keys else [results[name]]
                columns[name] = values_column(values, name)
        return pa.table(columns)


def _pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<q", data, at)
        yield data[at + 8 : at + 8 + size]
        at += 8 + size


def _runs(batches: Iterator[Batch]) -> Iterator[list[Batch]]:
    held: list[Batch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += len(batch.data)
        if rows >= GATHERED_ROWS:
            yield held
            held, rows = [], 0
    if held:
        yield held
