"""From a source through operations to batches: lazily, one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.compute import item_runs
from shardwise.compute.context import BatchPosition, Context
from shardwise.compute.operations import Map, MapItems, Operation, Relational, Sample, Tabulate
from shardwise.compute.program import Attempt
from shardwise.compute.shape import Shape, conform, merge_shapes, shape_of, through
from shardwise.data.kinds import is_array, is_table
from shardwise.data.source import POSITION, Batch, Source
from shardwise.errors import FunctionError

if TYPE_CHECKING:
    import pyarrow as pa

GATHERED_ITEMS = 4096
"""Items that become one table where nothing behind sees batches; the answer does not depend on it."""

SETTLING_BATCHES = 16
"""Batches that are looked at for the type of a column that has only nulls so far."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A source and the operations on it. Picklable; travels inside programs.

    ``settled`` pipelines have a schema on every ``Map`` and ``Tabulate``, to which results are conformed.
    ``quarantine``: rows that make functions fail are left out and recorded.
    """

    source: Source
    operations: tuple[Operation, ...]
    seed: int = 0
    quarantine: bool = False

    @property
    def start(self) -> Shape:
        """Shape of the source."""
        return Shape(self.source.kind, self.source.schema)

    @property
    def shape(self) -> Shape:
        """Shape of what comes out, as far as it is known."""
        return through(self.start, self.operations)

    @property
    def relational(self) -> bool:
        """Whether DuckDB could do all of it in one query."""
        return self.source.kind == "table" and all(isinstance(op, Relational) for op in self.operations)

    @property
    def has_functions(self) -> bool:
        """Whether Python functions of the user run in it."""
        return any(isinstance(op, (Map, MapItems)) for op in self.operations)

    def fused(self, attempt: Attempt, columns: list[str], positions: bool) -> str | None:
        """SQL of the shard's rows with these columns (at least), or None where batches must be read."""
        if not self.relational or self.source.schema is None:
            return None
        from shardwise.compute import relational  # here, as jobs over items need neither it nor PyArrow

        operations, source_columns = relational.prune(self.operations, self.start, columns)
        wanted = self._readable(source_columns) or self.source.schema.names
        spec = attempt.spec
        scan = self.source.scan(attempt.connection(), spec.first, spec.last, wanted, positions)
        return None if scan is None else relational.fused(operations, f"({scan})", wanted, positions)

    def batches(
        self,
        attempt: Attempt,
        wanted: list[str] | None = None,
        positions: bool = False,
        tail: Callable[[Batch], Batch] | None = None,
    ) -> Iterator[Batch]:
        """The shard's batches, all operations done, with the columns ``wanted`` at least. ``positions``: tables get
        the column ``__position``. ``tail``: more that a person wrote, done to every batch in the end."""
        if not positions and tail is None and not self.quarantine and item_runs.applies(self.source, self.operations):
            yield from item_runs.runs(self.source, self.operations, attempt)
            return
        from shardwise.compute import relational

        operations, columns = relational.prune(self.operations, self.start, wanted)
        readable = self._readable(columns)
        stream = self._read(attempt, readable)
        done, gathers = 0, tail is None  # what a person wrote sees batches as they are, not as shards gather them
        if self.quarantine and (self.has_functions or tail is not None):
            from shardwise.compute import guarding

            begin, done = guarding.span(operations, tail is not None)
            guard = guarding.guard(self, operations[:begin], operations[begin:done], operations[done:], tail, attempt)
            stream = guarding.guarded(guard, self, stream, attempt, readable)
            tail = None
        for place, op in enumerate(operations[done:], done):
            stream = self._step(op, operations[place:], stream, attempt, positions, gathers)
        if tail is not None:
            stream = map(tail, stream)
        if positions:
            stream = (b if _has_position(b) else replace(b, data=_positioned(b)) for b in stream)
        yield from stream

    def _readable(self, columns: list[str] | None) -> list[str] | None:
        """What to ask the source for. ``count()`` needs no column; any one tells the rows."""
        if self.source.kind != "table" or self.source.schema is None or columns is None:
            return None
        return columns or self.source.schema.names[:1]

    def _read(self, attempt: Attempt, columns: list[str] | None) -> Iterator[Batch]:
        batches = self.source.read(attempt.spec.first, attempt.spec.last, columns)
        while True:
            with attempt.phase("read"):
                batch = next(batches, None)
            if batch is None:
                return
            attempt.count(rows_in=len(batch.data), bytes_in=getattr(batch.data, "nbytes", 0), batches=1)
            yield batch

    def _step(
        self,
        op: Operation,
        rest: tuple[Operation, ...],
        batches: Iterator[Batch],
        attempt: Attempt,
        positions: bool,
        gathers: bool,
    ) -> Iterator[Batch]:
        if gathers and isinstance(op, Tabulate) and not any(isinstance(o, (Map, MapItems, Sample)) for o in rest):
            return _tabulate_gathered(op, batches, positions)
        return (replace(batch, data=self.apply(op, batch, attempt)) for batch in batches)

    def apply(self, op: Operation, batch: Batch, attempt: Attempt, tell: Callable[[int], None] | None = None) -> Any:
        """One operation on one batch. ``tell``: is given the number of the item that ``map_items`` calls on next."""
        match op:
            case Map():
                return self._map(op, batch, attempt)
            case MapItems(function):
                context = self._context(batch, attempt)
                with attempt.phase("compute"):
                    items = _items(batch.data) if tell is None else _told(_items(batch.data), tell)
                    return [result for item in items for result in function.results(item, context)]
            case Tabulate(schema):
                return rows_of(batch.data, schema, where(batch))
            case Sample(fraction, seed):
                return _sampled(batch, fraction, seed)
            case _:
                from shardwise.compute import relational
                from shardwise.compute.convert import to_table

                with attempt.phase("compute"):
                    return relational.apply(attempt.connection(), op, to_table(batch.data))

    def _map(self, op: Map, batch: Batch, attempt: Attempt) -> Any:
        from shardwise.compute.convert import receive, store

        with attempt.phase("compute"):
            given = receive(batch.data, op.function)
            result = store(op.function(given, self._context(batch, attempt)), op.function)
        if op.schema is None:
            return result
        return conform(result, Shape(op.kind, op.schema), op.function.name, where(batch))

    def _context(self, batch: Batch, attempt: Attempt) -> Context:
        name = self.source.fragments[batch.fragment].name
        return Context(BatchPosition(batch.fragment, batch.index, name), attempt.log, self.seed)

    def settle(self, attempt: Attempt) -> tuple[Operation, ...]:
        """The operations with the schemas that the first rows show."""
        from shardwise.compute import guarding

        operations = list(self.operations)
        stream: Iterable[Any] = guarding.settling(self, operations, self._read(attempt, None), attempt)
        for looked, _ in enumerate(stream):
            if not any(_unsettled(op) for op in operations) or (
                looked >= SETTLING_BATCHES and all(getattr(op, "schema", True) is not None for op in operations)
            ):
                break
        return tuple(_or_empty(op) for op in operations)


def _items(data: Any) -> Iterable[Any]:
    items: Iterable[Any] = data.to_pylist() if is_table(data) else data
    return items


def _told(items: Iterable[Any], tell: Callable[[int], None]) -> Iterator[Any]:
    for row, item in enumerate(items):
        tell(row)
        yield item


def where(batch: Batch) -> str:
    """A batch in words."""
    return f"batch {batch.index} of fragment {batch.fragment}"


def _has_position(batch: Batch) -> bool:
    return is_table(batch.data) and POSITION in batch.data.column_names


def _positioned(batch: Batch) -> pa.Table:
    import numpy as np

    from shardwise.compute.convert import to_table
    from shardwise.data.buffers import from_array

    table = to_table(batch.data)
    rows = np.arange(table.num_rows, dtype=np.int64) + batch.position()
    return table.append_column(POSITION, from_array(rows))


def _sampled(batch: Batch, fraction: float, seed: int) -> Any:
    import numpy as np

    from shardwise.compute.hashing import position_fraction  # imports pyarrow.compute
    from shardwise.data.buffers import from_array

    keep = position_fraction(seed, np.arange(len(batch.data), dtype=np.int64) + batch.position()) < fraction
    if is_table(batch.data):
        return batch.data.filter(from_array(keep))
    if is_array(batch.data):
        return batch.data[keep]
    return [item for item, kept in zip(batch.data, keep.tolist()) if kept]


def rows_of(items: list[Any], schema: pa.Schema | None, where: str) -> pa.Table:
    """Items as rows, with the settled schema where there is one."""
    from shardwise.compute.convert import items_to_table

    if schema is None:
        return items_to_table(items)
    if not items:
        return schema.empty_table()
    return conform(items_to_table(items), Shape("table", schema), "items", where)


def _tabulate_gathered(op: Tabulate, batches: Iterator[Batch], positions: bool) -> Iterator[Batch]:
    """Many one-item batches as one table; rows carry their own positions where they are asked for."""
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        if len(held) >= GATHERED_ITEMS:
            yield _gather(op, held, positions)
            held = []
    if held:
        yield _gather(op, held, positions)


def _gather(op: Tabulate, held: list[Batch], positions: bool) -> Batch:
    table = rows_of([item for batch in held for item in batch.data], op.schema, where(held[0]))
    if positions:
        import pyarrow as pa

        from shardwise.data.buffers import from_values

        each = [batch.position(row) for batch in held for row in range(len(batch.data))]
        table = table.append_column(POSITION, from_values(each, pa.int64()))
    return replace(held[0], data=table)


def _unsettled(op: Operation) -> bool:
    if not isinstance(op, (Map, Tabulate)):
        return False
    if op.schema is None:
        return True
    from pyarrow.types import is_null

    return any(is_null(f.type) for f in op.schema)


def settled(op: Operation, data: Any) -> Operation:
    """The operation with the schema that its result shows, as far as it was not known."""
    if not isinstance(op, (Map, Tabulate)) or not _unsettled(op):
        return op
    seen = shape_of(data) if len(data) or isinstance(op, Map) else None
    if seen is None:
        return op
    if op.schema is not None:
        kind = op.kind if isinstance(op, Map) else "table"
        seen = merge_shapes(Shape(kind, op.schema), seen)
    return replace(op, schema=seen.schema, kind=seen.kind) if isinstance(op, Map) else replace(op, schema=seen.schema)


def _or_empty(op: Operation) -> Operation:
    if isinstance(op, Map) and op.schema is None:
        raise FunctionError(
            f"no batch shows what columns function {op.function.name!r} returns", "give them: map(..., schema={...})"
        )
    if isinstance(op, Tabulate) and op.schema is None:
        import pyarrow as pa

        return replace(op, schema=pa.schema([pa.field("value", pa.null())]))
    return op
