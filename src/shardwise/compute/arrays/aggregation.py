"""Built-in aggregates of arrays by column (axis 0), in pieces.

Inside a batch sums run in NumPy, in an order that the batch's shape decides; batches are fixed by the data. Between
batches every state is made of integers, extremes and bit patterns, so neither cut nor order can matter.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.arrays.ingredients import INGREDIENTS
from shardwise.compute.arrays.lanes import Array
from shardwise.compute.arrays.results import FUNCTIONS, Column
from shardwise.data.buffers import from_numbers, from_numpy, from_values
from shardwise.data.source import Batch
from shardwise.errors import InputError, UsageError

ALL = "*"
"""As a column's name: every column; the result is a list with one value per column."""

ArrayState = dict[str, Any]
"""``rows``, ``dtype`` (empty without rows), and per ingredient one state for each of its columns."""


@dataclass(frozen=True, slots=True)
class ArrayAggregation:
    """Aggregates of the columns of an array.

    Parameters
    ----------
    aggregates : sequence of (str, Builtin)
        Names of the results and what is in them. Columns are called ``c0``, ``c1`` ...; ``"*"`` is all of them.
    columns : int
        How many columns the array has; 1 for a 1-D array.

    Raises
    ------
    UsageError
        An aggregate is not defined for arrays, or a column does not exist.

    Examples
    --------
    >>> from shardwise.compute.aggregates import mean
    >>> means = ArrayAggregation([("avg", mean("c1"))], 2)
    >>> means.finish(means.partial([Batch(0, 0, np.array([[1.0, 2.0], [3.0, 5.0]]))])).to_pylist()
    [{'avg': 3.5}]
    """

    aggregates: Sequence[tuple[str, Builtin]]
    columns: int

    def __post_init__(self) -> None:
        for _, asked in self.aggregates:
            if asked.function not in FUNCTIONS:
                raise UsageError(
                    f"{asked.function} is not defined for arrays", f"choose one of: {', '.join(sorted(FUNCTIONS))}"
                )
            for name in asked.columns:
                self._columns_of(name)

    def empty(self) -> ArrayState:
        """State of no rows."""
        return {"rows": 0, "dtype": ""}

    def partial(self, batches: Iterable[Batch], threads: int = 1) -> ArrayState:
        """State of some batches.

        Parameters
        ----------
        batches : iterable of Batch
            With arrays of shape (rows, columns) or (rows,), of booleans, integers or floats.
        threads : int, optional
            Batches worked on at once; the result does not depend on it.

        Returns
        -------
        dict
            A state.

        Raises
        ------
        InputError, UsageError
            A batch has another shape or type than the others, or a type that has no aggregates.
        """
        state = self.empty()
        for one in _mapped(self._of, batches, threads):
            state = self._both(state, one)
        return state

    def merge(self, states: Iterable[ArrayState]) -> ArrayState:
        """One state of several; their order and grouping do not matter.

        Parameters
        ----------
        states : iterable of dict
            None of them is changed.

        Returns
        -------
        dict
            A state.
        """
        merged = self.empty()
        for state in states:
            merged = self._both(merged, state)
        return merged

    def finish(self, state: ArrayState) -> pa.Table:
        """The result.

        Parameters
        ----------
        state : dict
            Of all batches.

        Returns
        -------
        pyarrow.Table
            One row. Without rows in the array counts are 0 and all else is null.

        Raises
        ------
        InputError
            A sum of integers does not fit int64; the message gives it.
        """
        dtype = np.dtype(state["dtype"] or np.float64)
        return pa.table({name: self._result(state, asked, dtype) for name, asked in self.aggregates})

    def save(self, state: ArrayState) -> bytes:
        """A state as bytes (JSON); equal states are equal bytes."""
        plain = {name: [INGREDIENTS[name].plain(one) for one in made] for name, made in _ingredients(state)}
        return json.dumps({"rows": state["rows"], "dtype": state["dtype"], **plain}, separators=(",", ":")).encode()

    def load(self, data: bytes) -> ArrayState:
        """A state from its bytes."""
        plain = json.loads(data)
        made = {name: [INGREDIENTS[name].revive(one) for one in found] for name, found in _ingredients(plain)}
        return {"rows": plain["rows"], "dtype": plain["dtype"], **made}

    def _of(self, batch: Batch) -> ArrayState:
        array = self._checked(batch)
        if not len(array):
            return self.empty()
        state: ArrayState = {"rows": len(array), "dtype": array.dtype.name}
        numbers, needed = (array.view(np.uint8) if array.dtype.kind == "b" else array), self._needed()
        if array.dtype.kind == "b" and "buckets" in needed:
            raise UsageError("approx_quantile of booleans is not defined", "take their mean: the share of true ones")
        for name, columns in needed.items():
            chosen = numbers if columns == list(range(self.columns)) else numbers[:, columns]
            state[name] = INGREDIENTS[name].of(chosen)
        return state

    def _checked(self, batch: Batch) -> Array:
        array = np.asarray(batch.data)
        where = f"batch {batch.index} of fragment {batch.fragment}"
        if array.ndim == 1:
            array = array.reshape(-1, 1)
        if array.ndim != 2 or array.shape[1] != self.columns:
            raise InputError(f"{where} has shape {array.shape}, not (rows, {self.columns})", "give 1-D or 2-D arrays")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise UsageError(
                f"arrays of {array.dtype} have no aggregates", "convert it to booleans, integers or floats before"
            )
        return np.asarray(array, array.dtype.newbyteorder("="))

    def _needed(self) -> dict[str, list[int]]:
        """Ingredient -> the columns that it is needed of."""
        needed: dict[str, set[int]] = {}
        for _, asked in self.aggregates:
            for name in FUNCTIONS[asked.function].needs:
                needed.setdefault(name, set()).update(self._columns_of(asked.columns[0]))
        return {name: sorted(columns) for name, columns in needed.items()}

    def _columns_of(self, name: str) -> list[int]:
        if name == ALL:
            return list(range(self.columns))
        if name[:1] == "c" and name[1:].isascii() and name[1:].isdigit() and int(name[1:]) < self.columns:
            return [int(name[1:])]
        raise UsageError(f"the array has no column {name!r}", f"choose one of c0 to c{self.columns - 1}, or {ALL!r}")

    def _both(self, a: ArrayState, b: ArrayState) -> ArrayState:
        if not a["rows"] or not b["rows"]:
            return a if a["rows"] else b
        if a["dtype"] != b["dtype"]:
            raise InputError(
                f"some batches hold {a['dtype']}, others {b['dtype']}", "convert all to one type before aggregating"
            )
        made = {name: [*map(INGREDIENTS[name].merge, found, b[name])] for name, found in _ingredients(a)}
        return {"rows": a["rows"] + b["rows"], "dtype": a["dtype"], **made}

    def _result(self, state: ArrayState, asked: Builtin, dtype: np.dtype[Any]) -> pa.Array:
        function = FUNCTIONS[asked.function]
        kind = function.kind(dtype, asked)
        if not function.needs:
            return _arrow([function.value(Column("", dtype, state["rows"], {}), asked)], kind)
        name = asked.columns[0]
        values = [self._value(state, asked, dtype, column) for column in self._columns_of(name)]
        made = _arrow(values, kind)
        edges = from_numpy(np.array([0, len(made)], np.int32))
        return pa.ListArray.from_arrays(edges, made) if name == ALL else made

    def _value(self, state: ArrayState, asked: Builtin, dtype: np.dtype[Any], column: int) -> Any:
        if not state["rows"]:
            return None
        needed, function = self._needed(), FUNCTIONS[asked.function]
        states = {name: state[name][needed[name].index(column)] for name in function.needs}
        return function.value(Column(f"c{column}", dtype, state["rows"], states), asked)


def _arrow(values: list[Any], kind: pa.DataType) -> pa.Array:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return from_numbers(values, kind) if is_number else from_values(values, kind)


def _ingredients(state: ArrayState) -> list[tuple[str, Any]]:
    return [(name, found) for name, found in state.items() if name in INGREDIENTS]


def _mapped(of: Any, batches: Iterable[Batch], threads: int) -> Iterator[ArrayState]:
    """Apply a function to batches, a few at once, in order; NumPy lets go of the interpreter while it adds."""
    if threads == 1:
        yield from map(of, batches)
        return
    with ThreadPoolExecutor(threads, "shardwise-array") as pool:
        waiting: deque[Future[ArrayState]] = deque()
        for batch in batches:
            waiting.append(pool.submit(of, batch))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
