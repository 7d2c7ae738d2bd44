"""``shardwise logs``: what the tasks of a run said."""

from __future__ import annotations

import difflib

import click

from shardwise.cli.output import print_json, put, tell
from shardwise.errors import UsageError


@click.command(name="logs")
@click.argument("run")
@click.argument("task", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(run: str, task: str | None, as_json: bool) -> None:
    """Print what the tasks of a run said.

    That is what functions logged (ctx.log) and printed. RUN is an id from `shardwise runs` (its first letters are
    enough) or a run directory. TASK is a task's name, as the logs of all tasks show it.
    """
    from shardwise.cli.show import open_run
    from shardwise.report.tables import printable

    view = open_run(run)
    said = list(view.logs(task))
    if task is not None and not said:
        raise _silent(task, sorted({name for name, _, _ in view.logs()}))
    if as_json:
        rows = [{"task": name, "attempt": attempt, "line": line} for name, attempt, lines in said for line in lines]
        print_json({"rows": rows, "run": {"id": view.id, "dir": view.url, "status": view.status}})
        return
    if not said:
        tell(f"No task of run {view.id} said anything.")
    for name, attempt, lines in said:
        put(f"--- {name}, attempt {attempt}")
        for line in lines:
            put(printable(line))


def _silent(task: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(task, known, 1)
    if close:
        return UsageError(f"no task {task!r} said anything", f"did you mean {close[0]}?")
    some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    return UsageError(f"no task {task!r} said anything", f"those that did: {some or 'none'}")
