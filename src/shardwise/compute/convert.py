"""Batches into what a function wants, and what it returns into columns."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.function import Function, Receives, refuse_result
from shardwise.data.buffers import from_array, from_values, from_values_of
from shardwise.errors import FunctionError, MissingExtra

VALUE = "value"
"""Column of results that have no name of their own: scalars, 1-D arrays, items that are not dicts."""


def extra(module: str, name: str) -> Any:
    """Import an optional library, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{module} is not installed", f'pip install "shardwise[{name}]"') from error


def array_names(columns: int) -> list[str]:
    """Names of the columns of an array: ``c0``, ``c1`` ..."""
    return [f"c{i}" for i in range(columns)]


def array_to_table(array: np.ndarray[Any, Any]) -> pa.Table:
    """Columns of a 1-D or 2-D array (axis 0 = rows); a 1-D array is one column."""
    flat = array.reshape(len(array), -1) if array.ndim != 1 else array[:, None]
    columns = [from_array(np.ascontiguousarray(flat[:, i])) for i in range(flat.shape[1])]
    return pa.table(columns, names=array_names(len(columns)))


def table_to_array(table: pa.Table, function: str = "") -> np.ndarray[Any, Any]:
    """A 2-D array of a table's columns, in the narrowest type that holds them all; nulls become NaN.

    Raises
    ------
    FunctionError
        A column is not a number or boolean.
    """
    for field in table.schema:
        kind = field.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise FunctionError(
                f"column {field.name!r} is {kind}: it cannot be part of the array that {function or 'numpy'} asks for",
                "select the numeric columns first, or let the function receive pa.Table",
            )
    if not table.num_columns:
        return np.empty((table.num_rows, 0))
    return np.column_stack([column.to_numpy() for column in table.columns])


def to_table(data: Any) -> pa.Table:
    """The columns of a batch of any kind."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, np.ndarray):
        return array_to_table(data)
    return items_to_table(data)


def items_to_table(items: list[Any]) -> pa.Table:
    """Columns of Python items: dicts by key (absent = null), tuples as ``c0`` ..., anything else as ``value``."""
    if items and all(isinstance(item, Mapping) for item in items):
        names = list(dict.fromkeys(name for item in items for name in item))
        return pa.table({str(n): values_column([item.get(n) for item in items], str(n)) for n in names})
    if items and all(isinstance(item, tuple) and len(item) == len(items[0]) for item in items):
        names = getattr(items[0], "_fields", None) or array_names(len(items[0]))
        return pa.table([values_column(list(c), n) for c, n in zip(zip(*items), names)], names=list(names))
    return pa.table({VALUE: values_column(items, VALUE)})


def values_column(values: list[Any], name: str) -> pa.Array:
    """One Arrow array of Python values.

    Raises
    ------
    FunctionError
        They have no common Arrow type.
    """
    kinds = set(map(type, values))
    of_numpy = [issubclass(kind, np.generic) for kind in kinds]
    if of_numpy and all(of_numpy):
        return from_array(np.array(values))
    try:
        if any(of_numpy):
            return from_values([v.item() if isinstance(v, np.generic) else v for v in values])
        return from_values_of(kinds, values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise FunctionError(
            f"results of column {name!r} cannot be stored as one Arrow type: {str(error).splitlines()[0]}",
            "return values of one type",
        ) from error


def receive(data: Any, function: Function) -> Any:
    """What the function is called with: the batch's data in the format that it asks for."""
    wants: Receives = function.receives
    if wants == "source":
        return _own(data)
    if wants == "list":
        return data.to_pylist() if isinstance(data, pa.Table) else list(data)
    if wants == "numpy":
        if isinstance(data, np.ndarray):
            return _own(data)
        return np.asarray(data) if isinstance(data, list) else table_to_array(data, function.name)
    table = to_table(data)
    if wants == "pandas":
        extra("pandas", "pandas")
        return table.to_pandas()
    if wants == "polars":
        return extra("polars", "polars").from_arrow(table)
    return table


def _own(data: Any) -> Any:
    """An array that the function may change: it may be a view of the person's own, or of a file."""
    return data.copy() if isinstance(data, np.ndarray) and not data.flags.writeable else data


def store(result: Any, function: Function) -> pa.Table | np.ndarray[Any, Any]:
    """What a ``map`` function returned, as columns (or as the array that it is)."""
    if isinstance(result, pa.Table):
        return result
    if isinstance(result, np.ndarray):
        if result.ndim > 2 or result.dtype.kind not in "biufmMSU":
            raise refuse_result(f"{function.name}", result)
        return result if result.ndim else result[None]
    if isinstance(result, pa.RecordBatch):
        return pa.Table.from_batches([result])
    if type(result).__module__.split(".")[0] == "pandas":
        return _from_pandas(result, function)
    if hasattr(result, "__arrow_c_stream__"):
        return pa.table(result)
    if isinstance(result, Mapping):
        return _from_mapping(result, function)
    if isinstance(result, list) and all(isinstance(row, Mapping) for row in result):
        return items_to_table(result) if result else pa.table({})
    if isinstance(result, (bool, int, float, complex, str, bytes, np.generic)) or _is_scalar(result):
        return items_to_table([result])
    raise refuse_result(function.name, result)


def _is_scalar(value: Any) -> bool:
    import datetime
    import decimal

    return isinstance(value, (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, pa.Scalar))


def _from_pandas(result: Any, function: Function) -> pa.Table:
    frame = result.to_frame() if hasattr(result, "to_frame") and result.ndim == 1 else result
    if any(not isinstance(name, str) for name in frame.columns):
        frame = frame.rename(columns=str)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise FunctionError(
            f"function {function.name!r} returned a DataFrame that Arrow cannot hold: {error.args[0]}",
            "give each column one type",
        ) from error
    return table.replace_schema_metadata(None)


def _from_mapping(result: Mapping[Any, Any], function: Function) -> pa.Table:
    columns = {str(name): value for name, value in result.items()}
    lengths = {n: len(v) for n, v in columns.items() if _is_column(v)}
    if not lengths:
        return items_to_table([columns])
    if len(set(lengths.values())) > 1:
        raise FunctionError(
            f"function {function.name!r} returned columns of different lengths: {lengths}", "make them equally long"
        )
    rows = next(iter(lengths.values()))
    return pa.table({n: _as_column(v, n) if n in lengths else values_column([v] * rows, n) for n, v in columns.items()})


def _is_column(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray, pa.Array, pa.ChunkedArray)) or hasattr(
        value, "__arrow_c_stream__"
    )


def _as_column(value: Any, name: str) -> Any:
    if isinstance(value, (list, tuple)):
        return values_column(list(value), name)
    if hasattr(value, "__arrow_c_stream__") and not isinstance(value, (pa.Array, pa.ChunkedArray)):
        return pa.chunked_array(value)
    return from_array(value) if isinstance(value, np.ndarray) else value
