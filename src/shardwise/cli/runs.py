"""``shardwise runs``: which runs are kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import print_json, print_table, tell
from shardwise.cli.values import Parsed
from shardwise.errors import UsageError
from shardwise.sizes import format_size, parse_size

if TYPE_CHECKING:
    from shardwise.run.cache import RunInfo

SIZE_OR_NOTHING = Parsed("SIZE", lambda text: 0 if text.strip() == "0" else parse_size(text))


@click.command(name="runs")
@click.option("--prune", is_flag=True, help="Delete the oldest runs until the cache holds at most --limit.")
@click.option("--limit", type=SIZE_OR_NOTHING, help="For --prune: 20GB unless given; 0 deletes all but those running.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(prune: bool, limit: int | None, as_json: bool) -> None:
    """List the runs that are kept, or delete some.

    The latest comes first. A run is kept so that the same command answers at once, or goes on after a kill.
    Deleting it loses no result that was written elsewhere.
    """
    from shardwise.run import cache

    if limit is not None and not prune:
        raise UsageError("--limit says what --prune leaves", "give --prune too")
    if prune:
        deleted = cache.prune(cache.LIMIT if limit is None else limit)
        _show(deleted, as_json)
        if not as_json:
            freed = format_size(sum(run.size for run in deleted))
            tell(f"Deleted {len(deleted)} {'run' if len(deleted) == 1 else 'runs'}, {freed}.")
        return
    found = cache.list_runs()
    _show(found, as_json)
    if not as_json and found:
        size = format_size(sum(run.size for run in found))
        tell(f"{size} in {cache.runs_directory()}; shardwise show RUN tells more of one.")


def _show(runs: list[RunInfo], as_json: bool) -> None:
    if as_json:
        print_json({"rows": [_row(run) for run in runs]})
        return
    print_table([_for_people(run) for run in runs])


def _row(run: RunInfo) -> dict[str, Any]:
    return {
        "id": run.id,
        "status": run.status,
        "at": local_time(run.at).isoformat(),
        "bytes": run.size,
        "job": run.summary,
        "dir": run.url,
    }


def _for_people(run: RunInfo) -> dict[str, Any]:
    when = f"{local_time(run.at):%Y-%m-%d %H:%M}"
    return {
        "run": run.id,
        "status": run.status,
        "last written": when,
        "size": format_size(run.size),
        "job": run.summary,
    }


def local_time(at: float) -> datetime:
    """A moment in seconds since 1970 as the time of this place."""
    return datetime.fromtimestamp(round(at)).astimezone()
