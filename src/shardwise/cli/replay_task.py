"""``shardwise replay RUN TASK``: a task again, in this process, made as much like a worker as a process can be."""

from __future__ import annotations

import bdb
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import print_table, put, tell
from shardwise.errors import ShardwiseError, StorageError, UsageError

if TYPE_CHECKING:
    from shardwise.api.run_tasks import KnownTask
    from shardwise.run.view import RunView


def show_tasks(view: RunView) -> None:
    """Print the tasks of a run."""
    from shardwise.api.run_tasks import tasks_of

    print_table([_row(number, task) for number, task in enumerate(tasks_of(view))])


def _row(number: int, task: KnownTask) -> dict[str, Any]:
    from shardwise.compute.task import QUARANTINE
    from shardwise.sizes import format_duration

    commit = task.commit
    outputs = commit.outputs if commit is not None else ()
    return {
        "number": number,
        "task": task.name,
        "committed": "yes" if commit is not None else "no",
        "rows": sum(output.rows for output in outputs if output.name != QUARANTINE),
        "took": format_duration(commit.metrics.seconds) if commit is not None else "",
        "failed attempts": len(task.failures),
    }


def replay_task(view: RunView, task: str, target: str | None, anyway: bool, debug: bool) -> None:
    """Do a task again; say whether it comes out the same.

    Raises
    ------
    click.exceptions.Exit
        With status 1: it raises, or comes out different.
    """
    _be_like_a_worker(view)
    from shardwise.cli.replay import job_of_run

    made = job_of_run(view, target)
    if made is None:
        raise UsageError(
            "the run was not made by a shardwise command, so the job is not known",
            f"name it: --job FILE.py:JOB; or, in the program that made it: job.replay_task({task!r})",
        )
    job, _, directory = made
    known = view.job.get("options", {})
    options = {"seed": known.get("seed", 0), "on_error": known.get("on_error", "fail"), "run_dir": view.url}
    try:
        with contextlib.chdir(directory):
            again = job.replay_task(task, anyway=anyway, debug=debug, **options)
    except (KeyboardInterrupt, UsageError, StorageError):
        raise
    except bdb.BdbQuit:
        raise click.exceptions.Exit(1) from None
    except BaseException as error:
        _tell_failure(view, task, error)
        raise click.exceptions.Exit(1) from error
    put(str(again))
    if not again.same:
        raise click.exceptions.Exit(1)


def _tell_failure(view: RunView, task: str, error: BaseException) -> None:
    from shardwise.api.run_tasks import find_task
    from shardwise.compute.failure import failure_of

    tell(str(error) if isinstance(error, ShardwiseError) else failure_of(error).traceback.rstrip())
    with contextlib.suppress(UsageError):
        known = find_task(view, task)
        tell(f"task {known.name} fails{'' if known.failures else '; in the run no failure of it is on record'}")
        for failure in known.failures:
            tell(f"  in the run it failed: {failure}")


def _be_like_a_worker(view: RunView) -> None:
    """Begin this process anew with the environment of a worker: the order of sets of strings and the threads of native
    libraries are settled when an interpreter starts. Nothing is done where this is not the process of a command."""
    from shardwise.api.command import TYPED
    from shardwise.api.replay_task import threads_of
    from shardwise.compute.worker import restore_environment
    from shardwise.engines.children import environment

    if "SHARDWISE_WORKER_ENVIRONMENT" in os.environ:
        restore_environment()
        return
    typed = TYPED.get()
    if typed is None or list(typed.arguments) != sys.argv[1:]:
        return
    seeds = [line.data.get("hash_seed") for line in view.events() if line.kind == "command"]
    command = [sys.executable, "-P", "-m", "shardwise.cli.main", *typed.arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment(threads_of(view), seeds[-1] if seeds else None))
