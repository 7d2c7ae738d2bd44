"""``shardwise show``: what one run is, how far it came, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.jobs import plural
from shardwise.cli.output import print_json, print_table, put
from shardwise.cli.runs import local_time
from shardwise.compute.task import QUARANTINE
from shardwise.sizes import format_count, format_duration, format_size

if TYPE_CHECKING:
    from shardwise.run.commits import Commit
    from shardwise.run.view import RunView

_SECONDS = ("read_seconds", "compute_seconds", "write_seconds")


@click.command(name="show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(run: str, as_json: bool) -> None:
    """Show one run: state, stages, and their cost.

    RUN is an id from `shardwise runs` (its first letters are enough) or a run directory.
    """
    view = open_run(run)
    stages = [_stage(name, commits) for name, commits in _by_stage(view).items()]
    if as_json:
        print_json({"rows": stages, "run": _run(view)})
        return
    _print_facts(view)
    if stages:
        put("")
        print_table([_for_people(stage) for stage in stages])


def open_run(name: str) -> RunView:
    """A run by its id or place.

    Raises
    ------
    UsageError
        There is no such run.
    """
    from shardwise.run.cache import find_run
    from shardwise.run.directory import RunDirectory

    return RunDirectory.read(find_run(name))


def _run(view: RunView) -> dict[str, Any]:
    return {
        **(view.finished or {}),
        "id": view.id,
        "dir": view.url,
        "status": view.status,
        "at": local_time(view.at).isoformat(),
        "job": str(view.job.get("summary", "")),
        "retries": len(_events(view, "retry")),
        "failure": _failure(view),
    }


def _events(view: RunView, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in view.events() if line.kind == kind]


def _failure(view: RunView) -> dict[str, Any] | None:
    """Why the run stands where it does, unless it is done."""
    if view.status in ("done", "running", "planned"):
        return None
    ends = [line.data for line in view.events() if line.kind in ("failed", "interrupted")]
    return ends[-1] if ends else None


def _failed_task(view: RunView) -> str:
    """The task that ended a run, where its journal names one."""
    if view.status != "failed":
        return ""
    from shardwise.api.run_tasks import tasks_of

    failed = [task for task in tasks_of(view) if task.commit is None and task.failures]
    return max(failed, key=lambda task: len(task.failures)).name if failed else ""


def _by_stage(view: RunView) -> dict[str, list[Commit]]:
    """Commits of each stage. The journal names an inner node of a tree by its range, which is no stage of its own."""
    stages: dict[str, list[Commit]] = {}
    for name in view.stages:
        for commit in view.committed(name):
            stages.setdefault(name.removesuffix(f"-{commit.first}-{commit.last}"), []).append(commit)
    return stages


def _stage(name: str, commits: list[Commit]) -> dict[str, Any]:
    metrics = [commit.metrics for commit in commits]
    return {
        "stage": name,
        "tasks": len(commits),
        "rows_in": sum(m.rows_in for m in metrics),
        "bytes_in": sum(m.bytes_in for m in metrics),
        "rows_out": sum(o.rows for commit in commits for o in commit.outputs if o.name != QUARANTINE),
        "quarantined": sum(o.rows for commit in commits for o in commit.outputs if o.name == QUARANTINE),
        "bytes_out": sum(output.size for commit in commits for output in commit.outputs),
        "seconds": sum(m.seconds for m in metrics),
        **{key: sum(getattr(m, key) for m in metrics) for key in _SECONDS},
        "peak_memory": max((m.peak_memory for m in metrics), default=0),
    }


def _for_people(stage: dict[str, Any]) -> dict[str, Any]:
    return {
        "stage": stage["stage"],
        "tasks": stage["tasks"],
        "rows read": stage["rows_in"],
        "read": format_size(stage["bytes_in"]),
        "rows out": stage["rows_out"],
        "out": format_size(stage["bytes_out"]),
        "work": format_duration(stage["seconds"]),
        "peak memory": format_size(stage["peak_memory"]),
    }


def _print_facts(view: RunView) -> None:
    run = _run(view)
    facts = {"run": run["id"], "status": run["status"], "job": run["job"], "directory": run["dir"]}
    facts["last written"] = f"{local_time(view.at):%Y-%m-%d %H:%M:%S}"
    if view.finished:
        workers = plural(run["workers"], "worker")
        facts["took"] = f"{format_duration(run['seconds'])}, {workers}, engine {run['engine']}"
    if run["retries"]:
        facts["retries"] = format_count(run["retries"])
    bad = sum(_stage(name, commits)["quarantined"] for name, commits in _by_stage(view).items())
    if bad:
        facts["quarantine"] = f"{plural(bad, 'row')}; shardwise replay {run['id']} shows the first one fail"
    if run["failure"]:
        facts["ended by"] = f"{run['failure'].get('code', '')} {run['failure'].get('message', '')}".strip()
    if failed := _failed_task(view):
        facts["to see it fail"] = f"shardwise replay {run['id']} {failed} --pdb"
    if view.status in ("failed", "interrupted"):
        facts["to go on"] = "run the same command again"
    if view.status == "planned":
        facts["to run it"] = "the same command without --plan: what was tried is not done again"
    width = max(len(name) for name in facts)
    for name, text in facts.items():
        put(f"{name.ljust(width)}  {text}")
