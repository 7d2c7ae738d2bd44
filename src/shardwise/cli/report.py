"""``shardwise report``: a run as one HTML page, as a trace, or as JSON."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shardwise.cli.output import print_json, put, tell
from shardwise.errors import StorageError, UsageError
from shardwise.sizes import format_size

LANGUAGES = ("en", "ja")


@click.command(name="report")
@click.argument("run")
@click.option("-o", "--output", metavar="FILE.html", help="Where the page goes: report-RUN.html; -: standard output.")
@click.option("--lang", type=click.Choice(LANGUAGES), help="Language of the page: that of the locale unless given.")
@click.option("--trace", metavar="FILE.json", help="Write a trace for Perfetto or chrome://tracing.")
@click.option(
    "--open", "show", type=click.Choice(["auto", "yes", "no"]), default="auto", help="Show the page in a browser."
)
@click.option("--json", "as_json", is_flag=True, help="Print what the page is drawn from, as one JSON document.")
def command(run: str, output: str | None, lang: str | None, trace: str | None, show: str, as_json: bool) -> None:
    """Write a run's report: one HTML page that needs nothing else.

    RUN is an id from `shardwise runs` (its first letters are enough) or a run directory. With --trace or --json, the
    page is written only where -o says so.
    """
    from shardwise.cli.show import open_run
    from shardwise.report.document import document

    if output == "-" and as_json:
        raise UsageError("--json and -o - both print on standard output", "name a file: -o FILE.html")
    if trace == "-":
        raise UsageError("a trace is not printed", "name a file: --trace FILE.json")
    say = tell if as_json or output == "-" else put  # standard output is the document's
    view = open_run(run)
    found = document(view)
    if trace:
        from shardwise.report.trace import write_trace

        write_trace(view, trace)
        say(_written(trace))
    if output or not (trace or as_json):
        _write_page(found, output or f"report-{view.id}.html", lang, show, say)
    if as_json:
        print_json(found)


def _write_page(found: dict[str, Any], output: str, lang: str | None, show: str, say: Callable[[str], None]) -> None:
    from shardwise.report.page import language_of_locale, render

    page = render(found, lang or language_of_locale())
    if output == "-":
        put(page)
        return
    written = _write(output, page)
    say(_written(output))
    if show == "yes" or (show == "auto" and _has_screen()):
        webbrowser.open(written.as_uri())


def _write(output: str, text: str) -> Path:
    """Put a file in its place as a whole.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    path = Path(output).absolute()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(
            f"{output} cannot be written: {error.strerror}", "name another file, or free space"
        ) from error
    return path


def _written(output: str) -> str:
    return f"Wrote {output} ({format_size(Path(output).stat().st_size)})."


def _has_screen() -> bool:
    """Whether a person sits there with a browser that has a window of its own."""
    windows = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return windows and sys.stdout.isatty()
