"""The results of aggregates of one array column, from the ingredients of its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.arrays.moments import spread
from shardwise.compute.arrays.sketches import unique_estimate
from shardwise.compute.arrays.units import UNIT
from shardwise.compute.buckets import between, key_value, nearest_rank
from shardwise.compute.exact.rounding import quotient, root
from shardwise.errors import InputError


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an array when all rows are in.

    Parameters
    ----------
    name : str
        ``c0``, ``c1`` ...
    dtype : numpy.dtype
        Of the array.
    rows : int
        At least one where there are states.
    states : mapping of str to state
        Ingredient -> state of this column.
    """

    name: str
    dtype: np.dtype[Any]
    rows: int
    states: Mapping[str, Any]

    @property
    def floating(self) -> bool:
        return self.dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class Function:
    """An aggregate of arrays: the ingredients it needs, its result type, its value for a column with rows."""

    needs: tuple[str, ...]
    kind: Callable[[np.dtype[Any], Builtin], pa.DataType]
    value: Callable[[Column, Builtin], Any]


def _sum(column: Column, asked: Builtin) -> Any:
    total, odd = column.states["total"]
    if column.floating:
        return quotient(total, 1, -UNIT) if odd == 0 else odd
    if not -(2**63) <= total < 2**63:
        raise InputError(
            f"the sum of column {column.name!r} is {total}, which does not fit int64",
            "take its mean, or convert to floats",
        )
    return total


def _mean(column: Column, asked: Builtin) -> float:
    total, odd = column.states["total"]
    if odd != 0:
        return float(odd)
    return quotient(total, column.rows, -UNIT if column.floating else 0)


def _var(column: Column, asked: Builtin) -> float | None:
    return spread(column.states["moments"], column.rows, asked.option("ddof"), quotient)


def _std(column: Column, asked: Builtin) -> float | None:
    return spread(column.states["moments"], column.rows, asked.option("ddof"), root)


def _extreme(column: Column, state: str) -> Any:
    found = column.states[state]
    return column.dtype.type(key_value(found) if column.floating else found).item()


def _quantile(column: Column, asked: Builtin) -> Any:
    filled = column.states["buckets"].values()
    ends = np.cumsum([count for count, _, _ in filled])
    extremes = [(low, high) for _, low, high in filled]
    q = asked.option("q")
    wholes = []
    for one in q if isinstance(q, tuple) else (q,):
        rank = nearest_rank(one, column.rows)
        wholes.append(between(*extremes[int(np.searchsorted(ends, rank))], rank, column.rows))
    values = [key_value(whole) if column.floating else whole for whole in wholes]
    return values if isinstance(q, tuple) else values[0]


def _summed(dtype: np.dtype[Any], asked: Builtin) -> pa.DataType:
    return pa.float64() if dtype.kind == "f" else pa.int64()


def _own(dtype: np.dtype[Any], asked: Builtin) -> pa.DataType:
    return pa.from_numpy_dtype(dtype)


def _own_or_list(dtype: np.dtype[Any], asked: Builtin) -> pa.DataType:
    return pa.list_(_own(dtype, asked)) if isinstance(asked.option("q"), tuple) else _own(dtype, asked)


def _float64(dtype: np.dtype[Any], asked: Builtin) -> pa.DataType:
    return pa.float64()


def _int64(dtype: np.dtype[Any], asked: Builtin) -> pa.DataType:
    return pa.int64()


FUNCTIONS = {
    "count": Function((), _int64, lambda column, asked: column.rows),
    "count_null": Function((), _int64, lambda column, asked: 0),
    "sum": Function(("total",), _summed, _sum),
    "mean": Function(("total",), _float64, _mean),
    "var": Function(("moments",), _float64, _var),
    "std": Function(("moments",), _float64, _std),
    "min": Function(("low",), _own, lambda column, asked: _extreme(column, "low")),
    "max": Function(("high",), _own, lambda column, asked: _extreme(column, "high")),
    "approx_quantile": Function(("buckets",), _own_or_list, _quantile),
    "approx_n_unique": Function(
        ("registers",), _int64, lambda column, asked: unique_estimate(column.states["registers"])
    ),
}
