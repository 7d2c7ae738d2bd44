"""Column types as people write them: ``"int64"``, ``"DECIMAL(9,2)"``, ``pa.float64()``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shardwise.errors import UsageError


def to_schema(given: Any) -> pa.Schema:
    """A schema from a schema, or from a mapping of name to type.

    Raises
    ------
    UsageError
        It is neither, or a type is unknown.

    Examples
    --------
    >>> to_schema({"a": "int64", "b": "DECIMAL(9,2)"})
    a: int64
    b: decimal128(9, 2)
    """
    if isinstance(given, pa.Schema):
        return given.remove_metadata()
    if isinstance(given, Mapping):
        return pa.schema([pa.field(str(name), to_type(kind)) for name, kind in given.items()])
    raise UsageError(f"schema is {type(given).__name__}", 'give a pyarrow.Schema or a dict: {"fare": "float64"}')


def to_type(given: Any) -> pa.DataType:
    """An Arrow type from an Arrow type, its name, or a name of SQL."""
    if isinstance(given, pa.DataType):
        return given
    if isinstance(given, str):
        try:
            return pa.type_for_alias(given)
        except ValueError:
            pass
        import duckdb

        try:
            with duckdb.connect() as con:
                kind: pa.DataType = con.sql("SELECT CAST(NULL AS " + _plain(given) + ")").to_arrow_table().field(0).type
                return kind
        except duckdb.Error:
            pass
    raise UsageError(f"{given!r} is not a type", 'for example "int64", "double", "string", "date", "DECIMAL(9,2)"')


def _plain(text: str) -> str:
    if any(c in text for c in ";-/*'"):
        raise UsageError(f"{text!r} is not a type", 'for example "int64", "double", "string", "date", "DECIMAL(9,2)"')
    return text
