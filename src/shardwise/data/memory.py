"""Tables and arrays that are in this process' memory. Workers get them as ``loans`` says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shardwise.data import loans
from shardwise.data.base import BaseSource, array_batch_rows, check_batch_rows, even_batches
from shardwise.data.schema import array_columns, array_schema, check_names, numeric_dtype, ordered, plain, unambiguous
from shardwise.data.source import BATCH_ROWS, POSITION, Batch, Fragment, Kind
from shardwise.errors import InternalError, UsageError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class _MemorySource(BaseSource):
    """One fragment of rows, of which those from ordinal ``offset`` on are held."""

    offset: int

    @property
    def remote_safe(self) -> bool:
        """Another process needs the rows sent: see ``part``."""
        return False

    def _rows(self, first: int, last: int, held: int) -> tuple[int, int]:
        """Turn ordinals into the rows [start, stop) of what is held."""
        start = (first - self.offset) * self.batch_rows
        rows = self.fragments[0].rows or 0
        stop = min(last * self.batch_rows, rows) - self.offset * self.batch_rows
        if first < last and not 0 <= start <= stop <= held:
            raise InternalError(f"ordinals [{first}, {last}) of a part that holds {held} rows from {self.offset} on")
        return start, max(start, stop)

    def __reduce__(self) -> Any:
        lent = loans.current()
        if lent is not None and lent.reach == "process":
            return loans.held, (loans.hold(self),)
        return _revive, (type(self), self._state(None if lent is None or lent.reach == "network" else lent))

    def _state(self, lent: loans.Loans | None) -> dict[str, Any]:
        """What travels; the data in a file of ``lent`` where there is one."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class FrameSource(_MemorySource):
    """A table in memory."""

    table: pa.Table
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    kind: Kind = "table"

    @property
    def schema(self) -> pa.Schema:
        """The table's own, without metadata."""
        return self.table.schema

    def part(self, first: int, last: int) -> FrameSource:
        """Keep ordinals [first, last) only; their numbers and positions stay, so that one shard can be sent."""
        start, stop = self._rows(first, last, self.table.num_rows)
        return replace(self, table=self.table.slice(start, stop - start), offset=first)

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Yield slices of the table, without copying."""
        table = self.table if columns is None else self.table.select(ordered(self.schema, columns))
        for _, begin, end in self.spans(first, last):
            for index in range(begin, end):
                start, stop = self._rows(index, index + 1, table.num_rows)
                yield Batch(0, index, table.slice(start, stop - start))

    def scan(
        self, con: duckdb.DuckDBPyConnection, first: int, last: int, columns: list[str], positions: bool
    ) -> str | None:
        """Register the slice with DuckDB, which reads it in place. ``__position`` also stands there where no column is
        wanted, so that rows can be counted."""
        if not unambiguous(self.schema):
            return None
        start, stop = self._rows(first, last, self.table.num_rows)
        table = self.table.select(ordered(self.schema, columns)).slice(start, stop - start)
        if positions or not columns:
            begin = first * self.batch_rows
            table = table.append_column(POSITION, pa.array(np.arange(begin, begin + stop - start)))
        name = f"__frame_{self.token}_{first}_{last}_{abs(hash(tuple(table.schema.names)))}"
        con.register(name, table)
        return f"SELECT * FROM {name}"

    def _state(self, lent: loans.Loans | None) -> dict[str, Any]:
        sink = pa.BufferOutputStream()  # only the rows that are held: a pickled slice would take the whole table along
        with pa.ipc.new_stream(sink, self.table.schema) as stream:
            stream.write_table(self.table)
        data = sink.getvalue()
        return {**super()._state(lent), "table": data.to_pybytes() if lent is None else lent.file(self, data)}


@dataclass(frozen=True)
class ArraySource(_MemorySource):
    """A NumPy array in memory; axis 0 is rows."""

    array: np.ndarray
    schema: pa.Schema
    kind: Kind = "array"

    def part(self, first: int, last: int) -> ArraySource:
        """Keep ordinals [first, last) only; their numbers and positions stay, so that one shard can be sent."""
        start, stop = self._rows(first, last, len(self.array))
        return replace(self, array=self.array[start:stop], offset=first)

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Yield slices of the array, without copying unless some columns only are wanted."""
        numbers = array_columns(self.schema, columns)
        for _, begin, end in self.spans(first, last):
            for index in range(begin, end):
                start, stop = self._rows(index, index + 1, len(self.array))
                rows = self.array[start:stop]
                rows.flags.writeable = False  # a function must not change what others see, or what a retry will
                yield Batch(0, index, rows if numbers is None else rows[:, numbers])

    def _state(self, lent: loans.Loans | None) -> dict[str, Any]:
        if lent is None:
            return super()._state(lent)
        array = np.ascontiguousarray(self.array)
        return {**super()._state(lent), "array": (lent.file(self, array.reshape(-1)), array.dtype, array.shape)}


def _revive(kind: type[_MemorySource], state: dict[str, Any]) -> _MemorySource:
    """A source as it travelled."""
    if kind is FrameSource:
        data = state["table"]
        with pa.memory_map(data) if isinstance(data, str) else pa.BufferReader(data) as file:
            state["table"] = pa.ipc.open_stream(file).read_all()
    elif isinstance(state["array"], tuple):
        path, dtype, shape = state["array"]
        empty = 0 in shape  # nothing can be mapped
        state["array"] = np.empty(shape, dtype) if empty else np.memmap(path, dtype, "r", shape=shape).view(np.ndarray)
    source = object.__new__(kind)
    source.__dict__.update(state)
    return source


def from_frame(frame: Any, *, batch_rows: int = BATCH_ROWS) -> FrameSource:
    """Make a source of a table in memory.

    Parameters
    ----------
    frame : object
        Anything with the Arrow C stream (``__arrow_c_stream__``): pandas and Polars data frames, PyArrow tables and
        readers, DuckDB relations. A reader is drawn once, here. The index of a pandas frame is not part of its data.
    batch_rows : int
        Rows of a batch.

    Returns
    -------
    FrameSource

    Raises
    ------
    UsageError
        If the object has no Arrow stream.

    Examples
    --------
    >>> from_frame(pa.table({"a": [1, 2, 3]}), batch_rows=2).fragments
    (Fragment(name='<frame>', batches=2, rows=3, size=None, in_order=False),)
    """
    check_batch_rows(batch_rows)
    table = to_table(frame)
    check_names("<frame>", table.schema)
    table = pa.Table.from_arrays(table.columns, schema=plain(table.schema))
    fragment = Fragment("<frame>", even_batches(table.num_rows, batch_rows), table.num_rows)
    return FrameSource((fragment,), batch_rows, 0, table)


def from_array(array: np.ndarray, *, batch_rows: int | None = None) -> ArraySource:
    """Make a source of a NumPy array in memory, without copying it.

    Parameters
    ----------
    array : numpy.ndarray
        Of one or two dimensions and any numeric dtype; axis 0 is rows.
    batch_rows : int, optional
        Rows of a batch; by default about 4 MiB, at most 131 072 rows, in batches of equal length.

    Returns
    -------
    ArraySource

    Raises
    ------
    UsageError
        If it is no array of one or two dimensions with numeric columns.

    Examples
    --------
    >>> from_array(np.ones((3, 2))).schema.names
    ['c0', 'c1']
    """
    if not isinstance(array, np.ndarray):
        raise UsageError(
            f"from_array got a {type(array).__name__}", "give a NumPy array, as in from_array(np.array(x))"
        )
    if array.ndim not in (1, 2):
        raise UsageError(f"from_array got {array.ndim} dimensions", "reshape it: array.reshape(len(array), -1)")
    native = numeric_dtype(array.dtype, "from_array")
    schema = array_schema(native, None if array.ndim == 1 else array.shape[1])
    if batch_rows is None:
        batch_rows = array_batch_rows(len(array), array.nbytes // max(1, len(array)))
    check_batch_rows(batch_rows)
    fragment = Fragment("<array>", even_batches(len(array), batch_rows), len(array), array.nbytes)
    return ArraySource((fragment,), batch_rows, 0, array.astype(native, copy=False), schema)


def to_table(frame: Any) -> pa.Table:
    """Take a table from anything that has the Arrow C stream; the index of a pandas frame is left behind."""
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        return pa.Table.from_pandas(frame, preserve_index=False)
    if not hasattr(frame, "__arrow_c_stream__"):
        lazy = " (call .collect() first)" if hasattr(frame, "collect") else ""
        raise UsageError(
            f"from_frame got a {type(frame).__module__}.{type(frame).__name__}, which has no Arrow stream{lazy}",
            "give a pandas, Polars or PyArrow table, or a list of items to from_items",
        )
    return pa.table(frame)
