"""Names, texts and options as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def literal(text: str) -> str:
    """Quote a text.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote a name.

    Examples
    --------
    >>> identifier('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def struct(fields: Iterable[tuple[str, str]]) -> str:
    """Write a struct of texts, as the option ``columns`` takes it."""
    return "{" + ", ".join(f"{literal(name)}: {literal(value)}" for name, value in fields) + "}"


def call(function: str, url: str, options: Mapping[str, str]) -> str:
    """Write the call of a table function; options are SQL already."""
    return f"{function}({literal(url)}, {', '.join(f'{name}={value}' for name, value in options.items())})"
