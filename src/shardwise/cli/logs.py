"""``shardwise logs``: what the tasks of a run said."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from shardwise.cli.output import print_json, put, tell
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.report.causal import LogLine


@click.command(name="logs")
@click.argument("run")
@click.argument("task", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(run: str, task: str | None, as_json: bool) -> None:
    """Print what the tasks of a run said.

    That is what functions logged (ctx.log) and printed, on all hosts, in one order: lines come after what caused them,
    whatever the hosts' clocks say. RUN is an id from `shardwise runs` (its first letters are enough) or a run
    directory. TASK is a task's name, as the logs of all tasks show it, or its number in `shardwise replay RUN --list`.
    """
    from shardwise.cli.show import open_run
    from shardwise.report.causal import logs_in_order

    view = open_run(run)
    if task is not None and task.isdigit():
        from shardwise.api.run_tasks import find_task

        task = find_task(view, task).name
    said = logs_in_order(view, task)
    if task is not None and not said:
        raise _silent(task, sorted({name for name, _ in view.speakers()}))
    if as_json:
        rows = [
            {"at": one.at, "task": one.task, "attempt": one.attempt, "host": one.host, "line": one.line} for one in said
        ]
        print_json({"rows": rows, "run": {"id": view.id, "dir": view.url, "status": view.status}})
        return
    if not said:
        tell(f"No task of run {view.id} said anything.")
    _print(said)


def _print(said: list[LogLine]) -> None:
    """Lines with their times; who is speaking stands above them, each time another one begins."""
    from datetime import datetime

    from shardwise.report.tables import printable

    speaker = ("", "")
    for one in said:
        if speaker != (one.task, one.attempt):
            speaker = (one.task, one.attempt)
            where = f", on {one.host}" if one.host else ""
            put(f"--- {one.task}, attempt {one.attempt}{where}")
        at = datetime.fromtimestamp(one.at).astimezone()
        put(f"{at:%H:%M:%S.%f}"[:-3] + f"  {printable(one.line)}")


def _silent(task: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(task, known, 1)
    if close:
        return UsageError(f"no task {task!r} said anything", f"did you mean {close[0]}?")
    some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    return UsageError(f"no task {task!r} said anything", f"those that did: {some or 'none'}")
