"""Schemas: one for all files of a source, and the columns of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from shardwise.data.source import POSITION
from shardwise.errors import InputError, UsageError

NDIM = b"shardwise.ndim"
"""Says in the metadata of an array's schema how many dimensions it has: a column of one may be one of two."""

_TEXT = (pa.string(), pa.large_string(), pa.string_view())
_BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())


def plain(schema: pa.Schema) -> pa.Schema:
    """Drop the metadata of a schema and its fields: it describes one file or library, not the data."""
    return pa.schema([field.remove_metadata() for field in schema])


def settle(schemas: Iterable[tuple[str, pa.Schema]], columns: Sequence[str] | None = None) -> pa.Schema:
    """Find the one schema of several files.

    Parameters
    ----------
    schemas : iterable of (name, schema)
        One for each file; the order of the fields is the first file's.
    columns : sequence of str, optional
        Only these columns are wanted; others may differ between files.

    Returns
    -------
    pyarrow.Schema
        Types differ between files only where `common_type` says what both become.

    Raises
    ------
    UsageError
        If the first file lacks one of ``columns``.
    InputError
        If a file lacks a column of the first one, has one more, or has one of another type; or if names occur twice.

    Examples
    --------
    >>> one, two = pa.schema({"a": pa.int32()}), pa.schema({"a": pa.int64()})
    >>> settle([("1.parquet", one), ("2.parquet", two)]).field("a").type
    DataType(int64)
    """
    settled: pa.Schema | None = None
    first_name = ""
    seen: list[pa.Schema] = []
    for name, schema in schemas:
        if any(schema.equals(known) for known in seen):
            continue
        seen.append(schema)
        if settled is None:
            check_names(name, schema)
            settled, first_name = choose(schema, columns), name
        else:
            settled = _join(first_name, settled, name, schema, every_column=columns is None)
    return settled if settled is not None else pa.schema([])


def check_names(name: str, schema: pa.Schema) -> None:
    """Refuse column names that cannot be told apart or that Shardwise itself uses."""
    twice = sorted({column for column in schema.names if schema.names.count(column) > 1})
    if twice:
        raise InputError(f"{name}: column {twice[0]!r} occurs more than once", "give every column a name of its own")
    if POSITION in schema.names:
        raise InputError(f"{name}: the column name {POSITION!r} is Shardwise's own", "rename that column")


def choose(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """Keep ``columns`` only, in the order of the schema, without metadata."""
    if columns is None:
        return plain(schema)
    missing = [column for column in columns if column not in schema.names]
    if missing:
        raise UsageError(f"no column {missing[0]!r}", f"choose from {', '.join(map(repr, schema.names))}")
    wanted = set(columns)
    return plain(pa.schema([field for field in schema if field.name in wanted]))


def ordered(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    """Put names of columns in the order of the schema."""
    wanted = set(columns)
    return [name for name in schema.names if name in wanted]


def unambiguous(schema: pa.Schema) -> bool:
    """Whether DuckDB, which ignores case in names, can tell the columns apart."""
    return len({name.lower() for name in schema.names}) == len(schema)


def conform(table: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """Give a table exactly this schema; raise InputError naming the file where a value does not fit."""
    if table.schema.names != schema.names:
        table = table.select(schema.names)
    if table.schema.equals(schema, check_metadata=True):
        return table
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name}: {error}", "convert the column so that all files agree") from error


def common_type(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    """Find the type that holds every value of both exactly, or None.

    Integers widen; integers of up to 32 bits and float32 widen to float64; the encodings of text, and of bytes, are
    one type; a dictionary is its values; null is anything.
    """
    if one.equals(two) or pa.types.is_null(two):
        return one
    if pa.types.is_null(one):
        return two
    if pa.types.is_dictionary(one) or pa.types.is_dictionary(two):
        return common_type(_values(one), _values(two))
    for encodings in (_TEXT, _BYTES):
        if one in encodings and two in encodings:
            return one
    if _is_number(one) and _is_number(two):
        return _common_number(one, two)
    return None


def array_schema(dtype: np.dtype, columns: int | None) -> pa.Schema:
    """Describe an array as columns ``c0``, ``c1`` ...; ``columns`` None means one-dimensional."""
    if columns == 0:
        raise UsageError("the array has no columns", "give an array whose second dimension is at least 1")
    kind = pa.from_numpy_dtype(dtype.newbyteorder("="))
    fields = [pa.field(f"c{i}", kind) for i in range(1 if columns is None else columns)]
    return pa.schema(fields, metadata={NDIM: b"1" if columns is None else b"2"})


def array_shape(schema: pa.Schema) -> tuple[int, ...]:
    """Give ``shape[1:]`` of the array that a schema describes: ``()`` for one dimension."""
    return () if (schema.metadata or {}).get(NDIM) == b"1" else (len(schema),)


def array_columns(schema: pa.Schema, columns: Sequence[str] | None) -> list[int] | None:
    """Turn names of an array's columns into their numbers, in order; None for all of them."""
    if columns is None or len(schema) == len(set(columns) & set(schema.names)):
        return None
    return [schema.names.index(field.name) for field in choose(schema, columns)]


def numeric_dtype(dtype: np.dtype, name: str) -> np.dtype:
    """Give the native form of a dtype that a column can have; refuse structures, text, objects and complex numbers."""
    native = dtype.newbyteorder("=")
    if native.kind in "biuf" and native.itemsize <= 8:
        return native
    fix = "use the array of one field, a[name]" if dtype.names else "convert it with a.astype(float) or another number"
    raise UsageError(f"{name}: an array of dtype {dtype} has no numeric columns", fix)


def _join(first_name: str, settled: pa.Schema, name: str, schema: pa.Schema, every_column: bool) -> pa.Schema:
    check_names(name, schema)
    fields = [_join_field(first_name, field, name, schema) for field in settled]
    extra = [column for column in schema.names if column not in settled.names]
    if every_column and extra:
        raise InputError(
            f"{name}: column {extra[0]!r} is not in {first_name}",
            f"read the columns that all files have: columns={settled.names!r}",
        )
    return pa.schema(fields)


def _join_field(first_name: str, field: pa.Field, name: str, schema: pa.Schema) -> pa.Field:
    if field.name not in schema.names:
        raise InputError(
            f"{name}: column {field.name!r} of {first_name} is missing",
            "add it, or read other columns with columns=[...]",
        )
    other = schema.field(field.name)
    kind = common_type(field.type, other.type)
    if kind is None:
        raise InputError(
            f"{name}: column {field.name!r} is {other.type}, but {field.type} in {first_name}",
            "write both with the same type, or read other columns with columns=[...]",
        )
    return pa.field(field.name, kind, field.nullable or other.nullable)


def _values(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _common_number(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    wide = np.promote_types(one.to_pandas_dtype(), two.to_pandas_dtype())
    if wide.kind == "f" and any(pa.types.is_integer(kind) and kind.bit_width == 64 for kind in (one, two)):
        return None
    return pa.from_numpy_dtype(wide)
