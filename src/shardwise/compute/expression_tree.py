"""The tree of an SQL expression as DuckDB's parser gives it, and what must not stand in one."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from shardwise.compute.caret import point_at
from shardwise.errors import ExpressionError

if TYPE_CHECKING:
    import duckdb

_ROW_WISE_CLASSES = frozenset(
    ("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA")
    + ("OPERATOR", "TYPE")
)
_REFUSED_CLASSES = {
    "SUBQUERY": "a subquery reads other rows",
    "WINDOW": "a window function reads other rows",
    "STAR": "a star stands for many columns",
    "PARAMETER": "a parameter has no value here",
    "POSITIONAL_REFERENCE": "a column is referred to by name, not by number",
    "DEFAULT": "DEFAULT has no meaning here",
}
# DuckDB lists these as consistent, or not at all, though they read the clock or the session.
_UNLISTED = frozenset(
    ("current_time", "current_timestamp", "current_date", "localtime", "localtimestamp", "current_localtime")
    + ("current_localtimestamp", "current_user", "session_user", "user", "current_role", "current_catalog")
    + ("current_schema",)
)
_FIX = 'write an expression of one row\'s columns, such as "distance / hours" or "fare > 0 AND zone = \'A\'"'


class Fault(NamedTuple):
    """Why an expression is refused, and at which byte of its text (negative where unknown)."""

    reason: str
    at: int = -1
    length: int = 1


def refusal(text: str, fault: Fault, fix: str = _FIX) -> ExpressionError:
    return ExpressionError(f"the expression is refused: {fault.reason}\n{point_at(text, fault.at, fault.length)}", fix)


def too_deep(text: str) -> ExpressionError:
    return refusal(
        text,
        Fault("too many operations lie inside each other, as each term of a sum does in the next"),
        "give parts of it names of their own with with_columns, and put those together in a second with_columns",
    )


def fold(name: str) -> str:
    """DuckDB compares identifiers without regard to the case of ASCII letters."""
    return name.encode().lower().decode()


@functools.cache
def connection() -> duckdb.DuckDBPyConnection:
    """A database of nothing that can reach nothing; each use takes a cursor of its own."""
    import duckdb

    con = duckdb.connect(":memory:", config={"threads": 1, "autoinstall_known_extensions": "false"})
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_external_access = false")
    return con


# ---------------------------------------------------------------------------------------------------------- parsing


def parse(text: str) -> Any:
    """The expression's tree. Its locations count bytes from the start of the text."""
    if not text.strip():
        raise ExpressionError("the expression is empty", _FIX)
    if ";" in text and len(_extract(text)) > 1:
        raise refusal(text, Fault("a semicolon ends the expression and another statement follows"))
    bare = _serialize("SELECT ", text, "\n")
    _serialize("SELECT (", text, "\n)")
    if _serialize("SELECT (", text, ")", must_parse=False) is None:
        raise refusal(text, Fault("a comment swallows what follows it"), "leave the comment out, or write /* ... */")
    plain = _serialize("SELECT ", "NULL", "")
    if len(bare["select_list"]) != 1:
        raise refusal(
            text, Fault("there are several expressions, with commas between them"), "give each a name of its own"
        )
    if {**bare, "select_list": []} != {**plain, "select_list": []}:
        raise refusal(text, Fault("there are clauses after the expression (FROM, WHERE, ORDER BY ...)"))
    if bare["select_list"][0].get("alias"):
        raise refusal(
            text, Fault("the expression has a name of its own (AS)"), 'name it on the left: name="expression"'
        )
    return bare["select_list"][0]


def _extract(text: str) -> list[Any]:
    import duckdb

    try:
        return list(connection().cursor().extract_statements("SELECT " + text))
    except duckdb.Error:
        return []


def _serialize(before: str, text: str, after: str, must_parse: bool = True) -> Any:
    cursor = connection().cursor()
    sql = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
    tree = json.loads(cursor.execute(sql, [before + text + after]).fetchone()[0])
    if not tree["error"]:
        return _relocated(tree["statements"][0]["node"], len(before))
    if not must_parse:
        return None
    at = int(tree.get("position", -1)) - len(before)
    reason = tree.get("error_message", "it does not parse").splitlines()[0]
    if reason.startswith("Max expression depth"):
        raise too_deep(text)
    if at >= len(text.encode()):
        at, reason = len(text.rstrip().encode()), "it ends too early"
    raise refusal(text, Fault(reason, at))


def _relocated(node: Any, offset: int) -> Any:
    if isinstance(node, list):
        return [_relocated(child, offset) for child in node]
    if isinstance(node, dict):
        moved = {key: _relocated(child, offset) for key, child in node.items()}
        if "query_location" in moved:
            moved["query_location"] -= offset
        return moved
    return node


# ---------------------------------------------------------------------------------------------------------- walking


class Walk:
    """One walk over a tree: gathers columns, and yields what must not be there."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.columns: list[tuple[str, int]] = []
        self.unknown: list[tuple[str, int]] = []

    def faults(self, node: Any, scope: frozenset[str] = frozenset()) -> Iterator[Fault]:
        if isinstance(node, list):
            for child in node:
                yield from self.faults(child, scope)
        if not isinstance(node, dict):
            return
        kind = node.get("class", "")
        at, length = int(node.get("query_location", -1)), int(node.get("query_location_length", 1))
        if kind and kind not in _ROW_WISE_CLASSES:
            yield Fault(_REFUSED_CLASSES.get(kind, f"{kind} is not row-wise"), at, length)
        elif kind == "COLUMN_REF":
            yield from self._column(node["column_names"], at, length, scope)
        elif kind == "LAMBDA":
            yield from self._lambda(node, at, scope)
        else:
            if kind == "FUNCTION":
                yield from self._function(node, at, length, scope)
            if node.get("type") == "GROUPING_FUNCTION":
                yield Fault("GROUPING needs groups", at, length)
            for child in node.values():
                yield from self.faults(child, scope)

    def _column(self, path: list[str], at: int, length: int, scope: frozenset[str]) -> Iterator[Fault]:
        name = fold(path[0])
        if name in scope:
            return
        if name in self.known:
            self.columns.append((name, at))
        elif len(path) == 1 and (reason := _impure(name, 0)):
            yield Fault(reason, at, length)
        else:
            self.unknown.append((path[0], at))

    def _lambda(self, node: Any, at: int, scope: frozenset[str]) -> Iterator[Fault]:
        if node.get("syntax_type") == "LAMBDA_KEYWORD":
            parameters = Walk(set())
            list(parameters.faults(node["lhs"]))
            scope |= {fold(name) for name, _ in parameters.unknown}
            yield from self.faults(node["expr"], scope)
            return
        path = node["lhs"].get("column_names", [])
        if len(path) == 1 and fold(path[0]) not in self.known | scope:
            yield Fault(f'write "lambda {path[0]}: ..." instead of the arrow (or no column "{path[0]}")', at)
        yield from self.faults([node["lhs"], node["expr"]], scope)

    def _function(self, node: Any, at: int, length: int, scope: frozenset[str]) -> Iterator[Fault]:
        *owner, name = node["qualified_name"]["path"]
        if owner:  # "column.function()"
            yield from self._column(owner, at, length, scope)
        reason = _impure(fold(name), len(node.get("arguments", ())) + len(owner))
        if reason:
            yield Fault(reason, at, length)


# --------------------------------------------------------------------------------------------------------- functions


def _impure(name: str, arguments: int) -> str:
    """Why a function is not a deterministic one of its row; empty if it is, or if there is none of this name."""
    if name == "unnest":
        return "unnest() makes several rows of one"
    if name in _UNLISTED or (name == "age" and arguments == 1):
        return f"{name} depends on the clock or the session, not on the row"
    for kind, stability, macro in _functions().get(name, ()):
        if kind == "aggregate":
            return f"{name}() is an aggregate: it reads many rows"
        if kind == "window":
            return f"{name}() is a window function: it reads other rows"
        if stability == "VOLATILE":
            return f"{name}() gives another value at each call or acts on the session"
        if stability == "CONSISTENT_WITHIN_QUERY":
            return f"{name}() depends on the clock or the session, not on the row"
        for fault in Walk(set()).faults(_serialize("SELECT ", macro, "")["select_list"]) if macro else ():
            return f"{name}() is not row-wise: {fault.reason}"
    return ""


@functools.cache
def _functions() -> dict[str, list[tuple[str, str | None, str | None]]]:
    """Every function that could stand in an expression: name -> its kinds."""
    found: dict[str, list[tuple[str, str | None, str | None]]] = {}
    rows = (
        connection()
        .cursor()
        .execute(
            "SELECT DISTINCT lower(function_name), function_type, stability, macro_definition FROM duckdb_functions()"
            " WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') ORDER BY ALL"
        )
    )
    for name, kind, stability, macro in rows.fetchall():
        found.setdefault(name, []).append((kind, stability, macro))
    return found
