"""Where results go: a table or one JSON document on standard output, or a file."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from shardwise.errors import StorageError
from shardwise.sizes import format_count

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 100
"""A terminal shows so many rows of a result; pipes and files get all."""


def tell(line: str) -> None:
    """Say something that is not a result, on standard error."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def put(text: str) -> None:
    """Print a part of the result on standard output.

    Raises
    ------
    StorageError
        It cannot be written, as on a full disk.
    click.exceptions.Exit
        Its reader went away, such as ``head``: it has what it wanted, and nobody is to be told.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        raise click.exceptions.Exit(0) from None
    except OSError as error:
        _silence()
        message = f"standard output cannot be written: {error.strerror}"
        raise StorageError(message, "free space where it goes, or send it elsewhere") from error


def _silence() -> None:
    """Lead standard output nowhere, so that the interpreter does not stumble over it again as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    from shardwise.report.json_rows import dump

    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    put(dump(document, ascii_only=encoding != "utf8"))


def print_table(table: pa.Table | list[dict[str, Any]], keys: int = 1) -> None:
    """Print rows on standard output, with a note on standard error where a terminal would drown in them."""
    from shardwise.report.tables import render, style_of

    rows = len(table)
    shown = table[:MOST_ROWS] if sys.stdout.isatty() else table
    text = render(shown, style_of(sys.stdout), max(1, keys))
    if text:
        put(text)
    if rows == 0:
        tell("(no rows)")
    elif len(shown) < rows:
        tell(f"(the first {MOST_ROWS} of {format_count(rows)} rows; a pipe or file gets all of them)")
