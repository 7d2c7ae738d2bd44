"""Row-wise SQL expressions in DuckDB's dialect: checked before any row is read.

DuckDB's own parser gives the tree and DuckDB's own binder the type, so nothing is accepted here that would fail later.
What the tree must not hold is what would make a row's value depend on more than the row: aggregates, windows,
subqueries, functions that change from call to call.
"""

from __future__ import annotations

import functools
import json

import pyarrow as pa

from shardwise.compute.expression_tree import Fault, Walk, connection, fold, parse, refusal, too_deep

_INPUT = "__input"


def quote(name: str) -> str:
    """Write a name as an SQL identifier.

    Parameters
    ----------
    name : str
        Any column or table name.

    Returns
    -------
    str
        The name in double quotes, with its own doubled.

    Examples
    --------
    >>> quote('料金 "税込"')
    '"料金 ""税込""\"'
    """
    return '"' + name.replace('"', '""') + '"'


def check_expression(text: str, schema: pa.Schema) -> pa.DataType:
    """Accept a row-wise deterministic expression and tell its type.

    Parameters
    ----------
    text : str
        One SQL expression in DuckDB's dialect.
    schema : pyarrow.Schema
        The columns that it may use; names are matched without regard to case, as DuckDB does.

    Returns
    -------
    pyarrow.DataType
        Type of the result.

    Raises
    ------
    ExpressionError
        It does not parse, uses an unknown column, has operands of wrong types, or is not row-wise and deterministic.

    Examples
    --------
    >>> schema = pa.schema([("distance", pa.float64()), ("hours", pa.int64())])
    >>> check_expression("distance / hours", schema)
    DataType(double)
    """
    return _bind(text, schema, referenced_columns(text, schema))


def referenced_columns(text: str, schema: pa.Schema) -> list[str]:
    """List the columns that an expression reads.

    Parameters
    ----------
    text : str
        One SQL expression.
    schema : pyarrow.Schema
        The columns that it may use.

    Returns
    -------
    list of str
        Names as the schema writes them, in its order.

    Raises
    ------
    ExpressionError
        It does not parse, is not row-wise and deterministic, or uses an unknown column.

    Examples
    --------
    >>> referenced_columns('B + "a"', pa.schema([("a", pa.int64()), ("b", pa.int64())]))
    ['a', 'b']
    """
    return list(_referenced(text, schema))


@functools.lru_cache(maxsize=256)
def _referenced(text: str, schema: pa.Schema) -> tuple[str, ...]:
    walk = Walk({fold(name) for name in schema.names})
    try:
        faults = list(walk.faults(parse(text)))
    except RecursionError:
        raise too_deep(text) from None
    for fault in faults:
        raise refusal(text, fault)
    for name, at in walk.columns:
        alike = [have for have in schema.names if fold(have) == name]
        if len(alike) > 1:
            fault = Fault(f"the columns {', '.join(map(repr, alike))} differ by case alone, which SQL ignores", at)
            raise refusal(text, fault, "rename one of them before")
    for name, at in walk.unknown:
        raise refusal(text, *_unknown(name, at, schema))
    used = {name for name, _ in walk.columns}
    return tuple(have for have in schema.names if fold(have) in used)


def _unknown(name: str, at: int, schema: pa.Schema) -> tuple[Fault, str]:
    import difflib

    folded = {fold(have): have for have in schema.names}
    close = difflib.get_close_matches(fold(name), folded, n=1)
    hint = f"; did you mean {quote(folded[close[0]])}?" if close else ""
    listed = ", ".join(schema.names[:30]) + (f" and {len(schema.names) - 30} more" if len(schema.names) > 30 else "")
    return Fault(f'no column "{name}"{hint}', at, len(name.encode())), f"use one of the columns: {listed or '(none)'}"


def _bind(text: str, schema: pa.Schema, columns: list[str]) -> pa.DataType:
    import duckdb

    cursor = connection().cursor()
    fields = [schema.field(schema.names.index(name)) for name in columns] or [pa.field("__none", pa.int64())]
    cursor.register(_INPUT, pa.schema(fields).empty_table())
    before = "SELECT ("
    query = f"{before}{text}\n) AS value FROM {_INPUT} LIMIT 0"
    try:
        cursor.execute("SET errors_as_json = true")
        cursor.execute(query)  # tells where an error is, which sql() does not
        return cursor.sql(query).to_arrow_table().schema.field(0).type
    except duckdb.Error as error:
        raise refusal(text, _told(str(error), len(before))) from None


def _told(message: str, offset: int) -> Fault:
    """What DuckDB says, in one line, and where."""
    start = message.find("{")
    if start < 0:
        return Fault(message.splitlines()[0])
    told = json.loads(message[start:])
    first, *rest = str(told["exception_message"]).splitlines()
    hints = [line for line in rest if line.startswith("Did you mean")]
    return Fault(" ".join([first, *hints]), int(told["position"]) - offset if "position" in told else -1)
