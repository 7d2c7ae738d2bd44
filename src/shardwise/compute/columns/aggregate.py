"""The partial state of aggregates without keys from Arrow columns: each column is passed over once, for all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.kernel import GROUPS, Columnar, Made, State
from shardwise.compute.aggregates.storing import without_garbage
from shardwise.compute.columns.summary import Summary
from shardwise.compute.exact.limbs import limbs_of
from shardwise.data.buffers import from_numbers


class ColumnPass:
    """The columns of some kernels, and what has to be found out of each.

    Parameters
    ----------
    kernels : sequence of Columnar
        All of which give ``ingredients``.
    columns : sequence of str
        That are read; where kernels read none, any one that tells the rows.
    """

    def __init__(self, kernels: Sequence[Columnar], columns: Sequence[str]) -> None:
        self._kernels = kernels
        self._needs: dict[str, frozenset[str]] = dict.fromkeys(columns, frozenset())
        for kernel in kernels:
            for column in kernel.columns:
                self._needs[column] |= kernel.ingredients() or frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """That are read."""
        return tuple(self._needs)

    def state(self, runs: Sequence[Iterable[pa.Table]]) -> State:
        """State of the rows of all runs, each of which has a thread of its own, and all or some of the columns."""
        stop = threading.Event()
        if len(runs) == 1:
            found = [self._summaries(runs[0], stop)]
        else:
            with ThreadPoolExecutor(len(runs), "shardwise-column") as pool, _set_on_error(stop):
                found = list(pool.map(self._summaries, runs, [stop] * len(runs)))
        summaries = {name: Summary(needs) for name, needs in self._needs.items()}
        for one in found:
            for name, summary in one.items():
                summaries[name].join(summary)
        return self._state(summaries)

    def _summaries(self, tables: Iterable[pa.Table], stop: threading.Event) -> dict[str, Summary]:
        """Of the columns that the tables have."""
        summaries: dict[str, Summary] = {}
        for table in tables:
            if stop.is_set():
                break
            for name in self._needs.keys() & set(table.column_names):
                if name not in summaries:
                    summaries[name] = Summary(self._needs[name])
                for chunk in table.column(name).chunks:
                    summaries[name].add(chunk)
        return summaries

    def _state(self, summaries: dict[str, Summary]) -> State:
        anything = next(iter(summaries.values()))
        made = [k.of_summary(summaries[k.columns[0]] if k.columns else anything) for k in self._kernels]
        state = {GROUPS: _groups(made)}
        for one in made:
            state.update(one.sides)
        return {name: without_garbage(table) for name, table in state.items()}


@contextmanager
def _set_on_error(stop: threading.Event) -> Iterator[None]:
    """Threads need not go on where one has failed, or somebody pressed Ctrl-C."""
    try:
        yield
    except BaseException:
        stop.set()
        raise


def _groups(made: Iterable[Made]) -> pa.Table:
    """The one row of the main table: exact sums last, by name."""
    columns: dict[str, pa.Array] = {}
    sums: dict[str, tuple[int, int]] = {}
    for one in made:
        columns |= {name: _array(value, kind) for name, (value, kind) in one.groups.items()}
        sums |= one.sums
    for prefix in sorted(sums):
        total, exponent = sums[prefix]
        limbs = limbs_of(total, prefix, exponent)
        columns |= {name: from_numbers([limbs[name]], pa.int64()) for name in limbs}
    return pa.table(columns or {"is_row": _array(True, pa.bool_())})


def _array(value: Any, kind: pa.DataType) -> pa.Array:
    """One value; None is null. (``pa.array`` would import pandas.)"""
    if pa.types.is_temporal(kind):
        return from_numbers([value], pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return from_numbers([value], kind)
    valid = None if value is not None else pa.py_buffer(b"\0")
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, 1, [valid, pa.py_buffer(bytes([bool(value)]))])
    text = (value or "").encode()
    offsets = pa.py_buffer(np.array([0, len(text)], np.int32))
    return pa.Array.from_buffers(kind, 1, [valid, offsets, pa.py_buffer(text)])
