"""Synthetic rows as a source: a function draws each batch from a generator of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.data.base import BaseSource, check_batch_rows, even_batches
from shardwise.data.memory import to_table
from shardwise.data.schema import array_columns, array_schema, check_names, choose, conform, numeric_dtype, plain
from shardwise.data.source import BATCH_ROWS, Batch, Fragment, Kind
from shardwise.errors import FunctionError, UsageError

_NAME = "<generated>"


@dataclass(frozen=True)
class GeneratedSource(BaseSource):
    """Batches that ``function(rng, n)`` or ``function(rng, n, start)`` makes when they are read."""

    rows: int
    seed: int
    function: Callable[..., Any]

    @property
    def kind(self) -> Kind:
        """What the function makes: ``"array"`` or ``"table"``."""
        return "array" if isinstance(self._sample, np.ndarray) else "table"

    @property
    def schema(self) -> pa.Schema:
        """That of batch 0, which is made for it once."""
        if isinstance(self._sample, np.ndarray):
            columns = None if self._sample.ndim == 1 else self._sample.shape[1]
            return array_schema(numeric_dtype(self._sample.dtype, _NAME), columns)
        return plain(self._sample.schema)

    @property
    def remote_safe(self) -> bool:
        """Another process makes the same rows."""
        return True

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Make the batches; each depends on the seed and its number alone."""
        numbers = array_columns(self.schema, columns)
        wanted = choose(self.schema, columns)
        for fragment, begin, end in self.spans(first, last):
            for index in range(begin, end):
                data = self._make(index)
                if not isinstance(data, np.ndarray):
                    data = conform(data, self.schema, f"{_NAME} batch {index}").select(wanted.names)
                yield Batch(fragment, index, data if numbers is None or self.kind == "table" else data[:, numbers])

    def identity(self) -> dict[str, Any]:
        """Give the numbers; the caller, who can fingerprint code, fills in ``function``."""
        return {
            "format": "generated",
            "rows": self.rows,
            "seed": self.seed,
            "batch_rows": self.batch_rows,
            "function": None,
        }

    @cached_property
    def _sample(self) -> pa.Table | np.ndarray:
        """What batch 0 is, without its rows."""
        data = self._make(0) if self.rows else self._call(0, 0)
        return np.empty_like(data[:0]) if isinstance(data, np.ndarray) else data.schema.empty_table()

    @cached_property
    def _takes_start(self) -> bool:
        return len(inspect.signature(self.function).parameters) > 2

    def _make(self, batch: int) -> pa.Table | np.ndarray:
        count = min(self.batch_rows, self.rows - batch * self.batch_rows)
        data = self._call(batch, count)
        if len(data) != count:
            raise FunctionError(
                f"{_NAME} batch {batch}: the function was asked for {count} rows and gave {len(data)}",
                "return as many rows as its second argument says",
            )
        return data

    def _call(self, batch: int, count: int) -> pa.Table | np.ndarray:
        start = (batch * self.batch_rows,) if self._takes_start else ()
        return _as_rows(self.function(batch_rng(self.seed, batch), count, *start))


def generate(
    rows: int, function: Callable[..., Any], *, seed: int = 0, batch_rows: int = BATCH_ROWS
) -> GeneratedSource:
    """Describe rows that a function makes.

    Parameters
    ----------
    rows : int
        How many.
    function : callable
        ``function(rng, n)`` or ``function(rng, n, start)`` gives the next ``n`` rows: a dict of columns, a table, or
        an array of one or two dimensions. ``rng`` is a ``numpy.random.Generator``, ``start`` the number of the first
        row. It must depend on nothing else.
    seed : int
        Not negative; with the number of the batch it determines ``rng`` (NumPy's ``SeedSequence`` with that number as
        spawn key, and PCG64).
    batch_rows : int
        Rows of a batch; another number draws other values.

    Returns
    -------
    GeneratedSource
        Nothing is made until its schema or a batch is asked for.

    Examples
    --------
    >>> source = generate(5, lambda rng, n, start: {"id": range(start, start + n)}, batch_rows=3)
    >>> [batch.data["id"].to_pylist() for batch in source.read(0, 2)]
    [[0, 1, 2], [3, 4]]
    """
    check_batch_rows(batch_rows)
    if rows < 0 or seed < 0:
        raise UsageError(f"generate got rows={rows}, seed={seed}", "give numbers that are not negative")
    return GeneratedSource((Fragment(_NAME, even_batches(rows, batch_rows), rows),), batch_rows, rows, seed, function)


def batch_rng(seed: int, batch: int) -> np.random.Generator:
    """Make the generator of one batch: independent of all others, and the same wherever it is made."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(batch,))))


def _as_rows(made: Any) -> pa.Table | np.ndarray:
    if isinstance(made, np.ndarray):
        if made.ndim not in (1, 2):
            raise FunctionError(f"{_NAME}: an array of {made.ndim} dimensions", "return one of one or two dimensions")
        return made.astype(numeric_dtype(made.dtype, _NAME), copy=False)
    if isinstance(made, Mapping):
        table = pa.table({name: pa.array(column) for name, column in made.items()})
    elif hasattr(made, "__arrow_c_stream__"):
        table = to_table(made)
    else:
        raise FunctionError(
            f"{_NAME}: the function returned a {type(made).__name__}", "return a dict of columns, a table or an array"
        )
    check_names(_NAME, table.schema)
    return pa.Table.from_arrays(table.columns, schema=plain(table.schema))
