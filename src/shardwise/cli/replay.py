"""``shardwise replay``: one row of a quarantine again, with everything it does visible."""

from __future__ import annotations

import contextlib
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
@click.option("--row", metavar="FILE:BATCH:ROW", help="Which row; the first in quarantine unless given.")
@click.option("--pdb", "debug", is_flag=True, help="Stop in the debugger where the function raises.")
def command(run: str, row: str | None, debug: bool) -> None:
    """Call a job's functions again on one row that is in quarantine.

    It happens in this very process, so that a traceback is complete and a crash is a crash. The job comes from the
    command that made the run, with the code as it is now. RUN is an id from `shardwise runs` or a run directory.
    """
    from shardwise.api.quarantine import quarantine_of
    from shardwise.cli.show import open_run

    view = open_run(run)
    rows = quarantine_of(view).to_pylist()
    bad = _find(rows, row, view)
    where = f"{bad['file']}:{bad['batch']}:{bad['row'] if bad['scope'] == 'row' else '*'}"
    _introduce(bad)
    made = _job_of(view)
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


def _job_of(view: RunView) -> tuple[Job, dict[str, Any], Path] | None:
    """The job as the command that made the run describes it; None where that was no command of ours."""
    typed = [line.data for line in view.events() if line.kind == "command"]
    if not typed:
        return None
    name, *arguments = typed[-1]["arguments"]
    directory = Path(typed[-1]["directory"])
    if not directory.is_dir():
        raise UsageError(f"{directory}, where the command was typed, is gone", "restore it")
    from shardwise.cli.main import cli

    with contextlib.chdir(directory):
        found = cli.get_command(click.Context(cli), name)
        if found is None:
            return None
        values = found.make_context(name, list(arguments)).params
        if name == "map":
            from shardwise.cli.map import job_of

            return job_of(values), values, directory
        if name == "run":
            from shardwise.cli.scripts import find_job, load_script, split_target

            path, job = split_target(values["target"])
            return find_job(load_script(path), path, job), values, directory
    return None


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
