"""``shardwise replay``: a task, or one row of a quarantine, again, with everything it does visible."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import put, tell
from shardwise.errors import ShardwiseError, UsageError

if TYPE_CHECKING:
    from shardwise.api.job import Job
    from shardwise.run.view import RunView


@click.command(name="replay")
@click.argument("run")
@click.argument("task", required=False)
@click.option("--row", metavar="FILE:BATCH:ROW", help="Which row of the quarantine; the first unless given.")
@click.option("--list", "listed", is_flag=True, help="List the tasks of the run, with their numbers.")
@click.option("--job", "target", metavar="FILE.py[:JOB]", help="The job, where no command of ours made the run.")
@click.option("--anyway", is_flag=True, help="Also where the code or the data have changed since.")
@click.option("--pdb", "debug", is_flag=True, help="Stop in the debugger: see above.")
def command(
    run: str, task: str | None, row: str | None, listed: bool, target: str | None, anyway: bool, debug: bool
) -> None:
    """Do one task of a run again, or call its functions on a row in quarantine.

    It happens in this very process, so that a traceback is complete and a crash is a crash. The job comes from the
    command that made the run. RUN is an id from `shardwise runs` or a run directory.

    With TASK (a name such as partial-0-4, or its number): does it with the same inputs, and says whether its outputs
    have the digests that were committed, else (exit status 1) where they first differ. --pdb stops where a function
    raises; or, where the task was committed, so that it did not raise, in the first line of the function that is
    entered first.

    Without TASK: a row that is in quarantine, with the code as it is now.
    """
    from shardwise.cli.show import open_run

    view = open_run(run)
    if listed:
        from shardwise.cli.replay_task import show_tasks

        show_tasks(view)
    elif task is not None:
        from shardwise.cli.replay_task import replay_task

        if row is not None:
            raise UsageError("--row says which row of a quarantine; a task is done as a whole", "leave out one of both")
        replay_task(view, task, target, anyway, debug)
    else:
        replay_row(view, row, target, debug)


def replay_row(view: RunView, row: str | None, target: str | None, debug: bool) -> None:
    """Call the functions on one row."""
    from shardwise.api.quarantine import quarantine_of

    rows = quarantine_of(view).to_pylist()
    bad = _find(rows, row, view)
    where = f"{bad['file']}:{bad['batch']}:{bad['row'] if bad['scope'] == 'row' else '*'}"
    _introduce(bad)
    made = job_of_run(view, target)
    if made is None:
        put(_snippet(view, where, rows.index(bad)))
        return
    _replay(*made, where, debug)


def _find(rows: list[dict[str, Any]], row: str | None, view: RunView) -> dict[str, Any]:
    if not rows:
        raise UsageError(f"run {view.id} has no row in quarantine")
    if row is None:
        return rows[0]
    from shardwise.api.replay import Where

    where = Where.of(row)
    for bad in rows:
        same_file = where.file == str(bad["fragment"]) or bad["file"] == where.file
        same_file = same_file or bad["file"].endswith("/" + where.file)  # as it was typed: relative
        if same_file and bad["batch"] == where.batch and where.row in (bad["row"], None):
            return bad
    raise UsageError(f"{row} is not in quarantine", f"the first of {len(rows)} is {_name(rows[0])}")


def _name(bad: dict[str, Any]) -> str:
    return f"{bad['file']}:{bad['batch']}:{bad['row']}"


def _introduce(bad: dict[str, Any]) -> None:
    from shardwise.compute.logs import shorten
    from shardwise.report.tables import printable

    what = "all of its batch was given up" if bad["scope"] == "batch" else bad["kind"]
    tell(f"row   {_name(bad)}")
    tell(f"data  {printable(shorten(bad['data'], 2000))}")
    tell(f"then  {what}: {bad['type']}: {printable(bad['message'])}")


def job_of_run(view: RunView, target: str | None = None) -> tuple[Job, dict[str, Any], Path] | None:
    """The job as a file, or else the command that made the run, describes it; None where that was no command of ours.
    With it the values of the command line, and the directory where it was typed."""
    from shardwise.cli.main import cli

    if target is not None:
        from shardwise.cli.run import job_of

        return job_of({"target": target}), {"run_dir": view.url}, Path.cwd()
    typed = [line.data for line in view.events() if line.kind == "command"]
    if not typed:
        return None
    name, *arguments = typed[-1]["arguments"]
    directory = Path(typed[-1]["directory"])
    if not directory.is_dir():
        raise UsageError(f"{directory}, where the command was typed, is gone", "restore it")
    with contextlib.chdir(directory):
        found = cli.get_command(click.Context(cli), name)
        describes = getattr(importlib.import_module(f"shardwise.cli.{name}"), "job_of", None)
        if found is None or describes is None:
            return None
        values = found.make_context(name, list(arguments)).params
        return describes(values), values, directory


def _replay(job: Job, values: dict[str, Any], directory: Path, where: str, debug: bool) -> None:
    import faulthandler

    from shardwise.compute.failure import failure_of

    with contextlib.suppress(OSError, ValueError):  # standard error may be no file
        faulthandler.enable()
    names = ("seed", "run_dir", "first")
    options = {name: values[name] for name in names if values.get(name) is not None}
    try:
        with contextlib.chdir(directory):
            made = job.replay(where, **options)
    except (KeyboardInterrupt, UsageError):
        raise
    except BaseException as error:
        tell(str(error) if isinstance(error, ShardwiseError) else failure_of(error).traceback.rstrip())
        if debug:
            import pdb

            pdb.post_mortem(error.__traceback__)
        raise click.exceptions.Exit(1) from error
    tell("now   it passes: run the same command again to let it in (its code has changed, so it is another run)")
    put(str(made))


def _snippet(view: RunView, where: str, number: int) -> str:
    from shardwise.api.quarantine import FILE

    return (
        "# The run was not made by a shardwise command. In the program that made it, with its job:\n"
        f"job.replay({where!r})  # calls the functions on exactly that row, in your process\n"
        "# And the row itself:\n"
        "import pyarrow.parquet as pq\n"
        f"print(pq.read_table({view.url.rstrip('/') + '/' + FILE!r}).to_pylist()[{number}])"
    )
