"""``shardwise run``: a job that a Python file describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shardwise.cli.options import RunOptions, run_options
from shardwise.errors import UsageError


@click.command(name="run")
@click.argument("target", metavar="FILE.py[:JOB]")
@run_options
def command(target: str, options: RunOptions) -> None:
    """Run the job that a Python file defines.

    The job stands at the top level of the file; its result is printed.

    \b
    Example: shardwise run speeds.py, where speeds.py is
      import shardwise as sw
      job = sw.read_parquet("trips/*.parquet").group_by("zone").aggregate(sw.mean("speed"))
    """
    from shardwise.cli.jobs import end, print_plan, run_job, show_result
    from shardwise.cli.scripts import find_job, load_script, split_target

    if options.batch_rows is not None:
        raise UsageError("--batch-rows cannot change a job of a file", "say batch_rows=... where the file reads data")
    path, name = split_target(target)
    job = find_job(load_script(path), path, name)
    if options.plan:
        print_plan(job, options)
        return
    result = run_job(job, options)
    show_result(result, options)
    end(result)


def job_of(values: Mapping[str, Any]) -> Any:
    """The job that the values of a command line describe."""
    from shardwise.cli.scripts import find_job, load_script, split_target

    path, name = split_target(values["target"])
    return find_job(load_script(path), path, name)
