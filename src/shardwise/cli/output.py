"""Where results go: a table or one JSON document on standard output, or a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from shardwise.sizes import format_count

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 100
"""A terminal shows so many rows of a result; pipes and files get all."""


def tell(line: str) -> None:
    """Say something that is not a result, on standard error."""
    click.echo(line, err=True)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    from shardwise.report.json_rows import dump

    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    click.echo(dump(document, ascii_only=encoding != "utf8"))


def print_table(table: pa.Table | list[dict[str, Any]], keys: int = 1) -> None:
    """Print rows on standard output, with a note on standard error where a terminal would drown in them."""
    from shardwise.report.tables import render, style_of

    rows = len(table)
    shown = table[:MOST_ROWS] if sys.stdout.isatty() else table
    text = render(shown, style_of(sys.stdout), max(1, keys))
    if text:
        click.echo(text)
    if rows == 0:
        tell("(no rows)")
    elif len(shown) < rows:
        tell(f"(the first {MOST_ROWS} of {format_count(rows)} rows; a pipe or file gets all of them)")
