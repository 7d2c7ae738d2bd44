"""What flows between two operations: kind and columns, as far as they are known before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.compute.operations import Filter, Map, MapItems, Operation, Sample, Select, Tabulate, WithColumns
from shardwise.data.kinds import is_array, is_table
from shardwise.data.source import Kind
from shardwise.errors import ExpressionError, FunctionError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Shape:
    """Kind of the batches, and their schema where it is known (arrays: ``c0`` ... with the array's type)."""

    kind: Kind
    schema: pa.Schema | None

    @property
    def known(self) -> bool:
        """Whether what follows can be checked before a function has run."""
        return self.schema is not None


def unknown_column(name: str, names: list[str]) -> UsageError:
    """The error for a column that is not there."""
    import difflib

    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UsageError(f"there is no column {name!r}", f"{hint}columns: {', '.join(names) or '(none)'}")


def with_tabulate(source_kind: Kind, operations: tuple[Operation, ...], needs_table: bool) -> tuple[Operation, ...]:
    """Put ``Tabulate`` where items meet an operation on columns, or a job that needs columns."""
    out: list[Operation] = []
    kind = source_kind
    for op in operations:
        if kind == "items" and isinstance(op, (Select, Filter, WithColumns)):
            out.append(Tabulate())
            kind = "table"
        if isinstance(op, MapItems):
            kind = "items"
        elif isinstance(op, (Select, Filter, WithColumns, Map)):
            kind = "table"
        out.append(op)
    if kind == "items" and needs_table:
        out.append(Tabulate())
    return tuple(out)


def after(operation: Operation, shape: Shape) -> Shape:
    """Shape behind an operation; checks the operation's columns and expressions where the schema is known.

    Raises
    ------
    UsageError, ExpressionError
        A column does not exist, or an expression is not a row-wise one over the columns.
    """
    match operation:
        case Map(_, schema, kind):
            return Shape(kind, schema)
        case Tabulate(schema):
            return Shape("table", schema)
        case MapItems():
            return Shape("items", None)
        case Sample():
            return shape
    if shape.kind == "items":
        raise UsageError(f"{type(operation).__name__.lower()} needs columns, but the dataset holds items")
    if shape.schema is None:
        return Shape("table", None)
    return Shape("table", _relational(operation, shape.schema))


def _relational(operation: Operation, schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    from shardwise.compute.expressions import check_expression

    match operation:
        case Select(columns):
            for name in columns:
                if name not in schema.names:
                    raise unknown_column(name, schema.names)
            return pa.schema([schema.field(name) for name in columns])
        case Filter(expression):
            kind = check_expression(expression, schema)
            if not pa.types.is_boolean(kind):
                raise ExpressionError(
                    f"filter {expression!r} gives {kind}, not true or false", "compare it to something"
                )
            return schema
        case WithColumns(columns):
            fields = {f.name: f for f in schema}
            fields.update({name: pa.field(name, check_expression(expr, schema)) for name, expr in columns})
            return pa.schema(list(fields.values()))
    raise AssertionError(operation)


def through(source: Shape, operations: tuple[Operation, ...]) -> Shape:
    """Shape behind all operations."""
    shape = source
    for op in operations:
        shape = after(op, shape)
    return shape


def shape_of(data: Any) -> Shape | None:
    """Shape of a function's result; None when it tells nothing (no rows, no columns)."""
    import pyarrow as pa

    if is_array(data):
        from shardwise.data.schema import NDIM

        columns = 1 if data.ndim == 1 else data.shape[1]
        kind = pa.from_numpy_dtype(data.dtype)
        return Shape("array", pa.schema([pa.field(f"c{i}", kind) for i in range(columns)], {NDIM: str(data.ndim)}))
    return Shape("table", data.schema.remove_metadata()) if data.num_columns else None


def merge_shapes(known: Shape, seen: Shape) -> Shape:
    """Fill columns of type null from what a later batch shows."""
    if known.kind != seen.kind or known.schema is None or seen.schema is None or known.kind == "array":
        return known
    import pyarrow as pa

    fields = [
        seen.schema.field(f.name) if pa.types.is_null(f.type) and f.name in seen.schema.names else f
        for f in known.schema
    ]
    return replace(known, schema=pa.schema(fields))


def conform(data: Any, shape: Shape, function: str, where: str) -> Any:
    """Give a function's result the settled columns and types, or say which column does not fit.

    Raises
    ------
    FunctionError
        Another kind, other columns, or values that do not fit the settled type.
    """
    import pyarrow as pa

    assert shape.schema is not None
    if shape.kind == "array":
        return _conform_array(data, shape.schema, function, where)
    if not is_table(data):
        raise FunctionError(f"function {function!r} returned an array for {where}, but a frame before")
    if data.num_columns == 0 and data.num_rows == 0:
        return shape.schema.empty_table()
    if set(data.column_names) != set(shape.schema.names) or data.num_columns != len(shape.schema):
        missing = [n for n in shape.schema.names if n not in data.column_names]
        more = [n for n in data.column_names if n not in shape.schema.names]
        raise FunctionError(
            f"function {function!r} returned other columns for {where} than for the first batch: "
            f"missing {missing}, new {more}",
            "return the same columns for every batch",
        )
    columns = [_cast(data.column(f.name), f, function, where) for f in shape.schema]
    return pa.table(columns, schema=shape.schema)


def _cast(column: pa.ChunkedArray, field: pa.Field, function: str, where: str) -> pa.ChunkedArray:
    if column.type == field.type:
        return column
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FunctionError(
            f"function {function!r} returned column {field.name!r} as {column.type} for {where}, "
            f"but it was settled as {field.type}: {str(error).splitlines()[0]}",
            f'settle it: map(..., schema={{"{field.name}": "{column.type}"}})',
        ) from error


def _conform_array(data: Any, schema: pa.Schema, function: str, where: str) -> Any:
    seen = shape_of(data) if is_array(data) else None
    if seen is None or seen.schema is None or len(seen.schema) != len(schema):
        got = f"an array of shape {data.shape}" if is_array(data) else "a frame"
        raise FunctionError(
            f"function {function!r} returned {got} for {where}, but an array of {len(schema)} columns before",
            "return the same kind for every batch",
        )
    import numpy as np

    dtype = schema.field(0).type.to_pandas_dtype()
    if data.dtype != dtype and not np.can_cast(data.dtype, dtype, "safe"):
        raise FunctionError(
            f"function {function!r} returned {data.dtype} for {where}, but {np.dtype(dtype)} before",
            f"return .astype({str(np.dtype(dtype))!r})",
        )
    return data.astype(dtype, copy=False)
