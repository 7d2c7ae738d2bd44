"""``shardwise watch``: a run's report, live, on loopback."""

from __future__ import annotations

import webbrowser
from typing import Any

import click

from shardwise.cli.output import put, tell
from shardwise.cli.report import LANGUAGES


@click.command(name="watch")
@click.argument("run")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="On 127.0.0.1; any unless given.")
@click.option("--lang", type=click.Choice(LANGUAGES), help="Language of the page: that of the locale unless given.")
@click.option("--open", "show", is_flag=True, help="Show the page in a browser.")
def command(run: str, port: int, lang: str | None, show: bool) -> None:
    """Serve a run's report on this machine, while the run goes on and after.

    RUN is an id from `shardwise runs` (its first letters are enough) or a run directory. The address that is printed
    holds a secret: who knows it sees the run, nobody else does. Ctrl-C ends it, and not the run.
    """
    from shardwise.report.page import language_of_locale
    from shardwise.report.watch import Watch
    from shardwise.run.cache import find_run

    url = find_run(run)
    with Watch(lambda: _look(url), lang or language_of_locale(), port) as watch:
        put(watch.url)
        tell("Ctrl-C ends this page; the run goes on.")
        if show:
            webbrowser.open(watch.url)
        try:
            watch.serve()
        except KeyboardInterrupt:
            tell("")


def _look(url: str) -> dict[str, Any]:
    from shardwise.report.document import document
    from shardwise.run.directory import RunDirectory

    return document(RunDirectory.read(url))
