"""Conversions that refuse what DuckDB's readers would bend: a later value must fit the type that the first ones gave.

DuckDB 2.0 reads ``1.5`` into a BIGINT column as 2, ``2020-01-01 10:00`` into a DATE column as 2020-01-01, and drops
the offset of ``10:00:00+09``, without a word. So these columns are read as text, and converted where the text is what
the value is written as (the usual case, which is quick), or at least looks as the type should.
"""

from __future__ import annotations

from shardwise.data.text.sql import identifier, literal

_NUMBER = r"\s*[+-]?(\d[\d_]*|0[xX][0-9a-fA-F_]+|0[bB][01_]+)\s*"
_DAY = r"\s*-?\d+[-/. ]\d+[-/. ]\d+"
_CLOCK = r"\d+:\d+(:\d+(\.\d*)?)?"
_PATTERNS = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), _NUMBER),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), _NUMBER),
    "BOOLEAN": "true|false",
    "DATE": _DAY + r"\s*",
    "TIME": rf"\s*{_CLOCK}\s*",
    "TIMESTAMP": rf"{_DAY}([ T]{_CLOCK}[Zz]?)?\s*",
}


def is_checked(kind: str) -> bool:
    """Whether a column of this type is read as text first."""
    return kind in _PATTERNS


def checked_column(name: str, kind: str) -> str:
    """SQL that converts a text column to ``kind``, or fails."""
    return f"{checked(identifier(name), kind)} AS {identifier(name)}"


def checked(text: str, kind: str) -> str:
    """SQL that converts the text that ``text`` gives to ``kind``, or fails."""
    value = f"CAST({text} AS {kind})"
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN CAST({value} AS VARCHAR) = {text} THEN {value} "
        f"WHEN regexp_full_match({text}, {literal(_PATTERNS[kind])}) THEN {value} "
        f"ELSE error('Could not convert string \"' || {text} || '\" to ''{kind}''') END"
    )
