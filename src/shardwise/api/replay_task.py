"""One task of a run again, in this process: the same program, ordinals, committed inputs and settled schema."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from shardwise.api.comparing import compared
from shardwise.api.debugging import watching
from shardwise.api.identity import content_document, job_document
from shardwise.api.options import Options
from shardwise.api.redundancy import Standing, with_addresses
from shardwise.api.replayed import Replayed
from shardwise.api.run_tasks import KnownTask, find_task
from shardwise.api.runs import remember_access
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.execute import PickledProgram
from shardwise.compute.machine import usable_cores
from shardwise.compute.packing import dump_program
from shardwise.compute.programs.settle import SettleProgram, settled_operations
from shardwise.compute.task import QUARANTINE, Output, TaskSpec
from shardwise.data.loans import Loans
from shardwise.errors import DifferentJob, StorageError, UsageError
from shardwise.plan.graphs import source_stage
from shardwise.run.difference import difference
from shardwise.run.fingerprint import fingerprint, unknown
from shardwise.run.view import RunView

if TYPE_CHECKING:
    from shardwise.api.job import Job
    from shardwise.compute.program import Program
    from shardwise.plan.work import Work


def replay_task(job: Job, task: str | int, anyway: bool = False, debug: bool = False, **given: Any) -> Replayed:
    """Do a task again and compare; see ``Job.replay_task``."""
    options = Options.of(given)
    job, work, document = _the_one(job, options)
    remember_access(work, options)
    view = _view(document, options)
    notes = _check_same(view, document, anyway)
    bare, work = work, work if work.settled else _settled(work, view)
    total = sum(fragment.batches for fragment in work.pipeline.source.fragments)
    known = find_task(view, str(task), total)
    program = SettleProgram(bare.pipeline) if known.stage == "settle" else _program(work, known)
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        outputs = _do(work, view, known, program, directory, debug)
        if known.commit is None:
            return Replayed(known.name, (), known.failures, tuple(notes))
        found = tuple(compared(work, known.commit, outputs, view.url, directory))
    if not all(one.same for one in found):
        notes += _surroundings()
    return Replayed(known.name, found, known.failures, tuple(notes))


# --- which run, and whether it is this job's -----------------------------------------------------------------------


def _the_one(job: Job, options: Options) -> tuple[Job, Work, dict[str, Any]]:
    """The job with its work and what identifies it: itself, or one that it reads from, if the run is that one's."""
    if options.run_dir is not None:
        wanted = RunView(options.run_dir, options.storage_options)
        wanted._load()
        for each in _with_earlier(job):
            work, document = _identified(each, options)
            if fingerprint(document)[:12] == wanted.id:
                return each, work, document
    work, document = _identified(job, options)
    return job, work, document


def _with_earlier(job: Job) -> Iterator[Job]:
    from shardwise.api.dataset import Later

    yield job
    if isinstance(job._source, Later):
        for earlier in job._source.jobs:
            yield from _with_earlier(earlier)


def _identified(job: Job, options: Options) -> tuple[Work, dict[str, Any]]:
    work = job.work(options)
    document = job_document(work, job.title)
    if document is None:
        document = job_document(work, job.title, content_document(work.pipeline.source)) or {}
    return work, document


def _view(document: dict[str, Any], options: Options) -> RunView:
    from shardwise.run import cache
    from shardwise.run.directory import RunDirectory

    if options.run_dir is None and not (cache.runs_directory() / fingerprint(document)[:12]).is_dir():
        raise UsageError(
            "no run of this job is kept, as its code, its data and its options are now",
            "name the run whose task you want: run_dir=...",
        )
    return RunDirectory.read(options.run_dir or cache.cached_run(document), options.storage_options)


def _check_same(view: RunView, document: dict[str, Any], anyway: bool) -> list[str]:
    """What is to be said of a job that is not beyond doubt the run's.

    Raises
    ------
    DifferentJob
        It is another one.
    """
    import json

    document = json.loads(json.dumps(document))
    if fingerprint(document) == fingerprint(view.job):
        return [f"these values cannot be compared: {', '.join(unknown(document))}"] if unknown(document) else []
    differs = difference(view.job, document)
    if anyway:
        return [f"since the run: {line}" for line in differs]
    listed = "\n".join(f"  - {line}" for line in differs)
    raise DifferentJob(
        f"the job is not the one that run {view.id} carried out:\n{listed}",
        "put back what it was; or do the task all the same with --anyway (anyway=True)",
    )


def _settled(work: Work, view: RunView) -> Work:
    """With the schemas that the run found; without them only ``settle`` can be done."""
    for commit in view.committed("settle"):
        output = commit.outputs[0]
        operations = settled_operations(work.pipeline.operations, _read(view, output))
        return replace(work, pipeline=replace(work.pipeline, operations=operations))
    return work


def _read(view: RunView, output: Output) -> bytes:
    if output.data is not None:
        return output.data
    from shardwise.storage import open_store

    return bytes(open_store(view.url).get(output.path))


# --- doing it ------------------------------------------------------------------------------------------------------


def _program(work: Work, task: KnownTask) -> Program:
    if not work.settled:
        raise UsageError(
            f"{task.name} needs to know the columns that the functions return, which the run had not settled",
            "replay its task of the stage `settle`: shardwise replay RUN --list",
        )
    if task.stage in ("merge", "finish"):
        from shardwise.compute.programs.aggregate import FinishProgram, MergeProgram

        return (MergeProgram if task.stage == "merge" else FinishProgram)(work.aggregation())
    stage = source_stage(work)
    if stage.name != task.stage:
        raise UsageError(f"the job has no stage {task.stage!r}", f"its tasks are of the stage {stage.name!r}")
    return stage.program


def _do(
    work: Work, view: RunView, task: KnownTask, program: Program, directory: str, debug: bool
) -> tuple[Output, ...]:
    """Do it, as a worker does, but let what it raises through."""
    loans = Loans("process")
    travelled = PickledProgram(dump_program(program, loans, (view.url,)))
    spec = TaskSpec(
        run=view.id,
        stage=task.stage,
        task=0,
        attempt=task.commit.attempt if task.commit is not None else 0,
        program="",
        first=task.first,
        last=task.last,
        directory=directory,
        inputs=_inputs(view, task),
        root=view.url,
        threads=threads_of(view),
    )
    attempt = ActiveAttempt(spec, None, _say)
    if work.guarded and task.commit is not None:
        from shardwise.api.recalled import suspects_in

        attempt.spec = replace(spec, suspects=suspects_in(work, task.commit.outputs, partial(_read, view), attempt))
    try:
        with watching(work, debug, stop_at_entry=task.commit is not None):
            travelled.execute(attempt)
        attempt.seal()
        return attempt.outputs()
    finally:
        attempt.close()


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _inputs(view: RunView, task: KnownTask) -> tuple[Output, ...]:
    """The committed outputs that it reads; for a merge that was never committed, those of all tasks that read the
    source: in whatever tree states are merged, it makes the same."""
    if task.stage not in ("merge", "finish"):
        return ()
    if task.commit is not None:
        known = Standing(view)
        commits = [found for found in map(known.get, task.commit.needs) if found is not None]
        if missing := [key for key in task.commit.needs if known.get(key) is None]:
            raise StorageError(
                f"{task.name} was made from {', '.join(missing[:3])}, which the run has no more",
                "run the same command again: what is lost is made again",
            )
    else:
        commits = [c for c in view.committed("partial") if task.first <= c.first and c.last <= task.last]
    named = (with_addresses(commit, view.url) for commit in commits)
    return tuple(output for commit in named for output in commit.outputs if output.name != QUARANTINE)


def threads_of(view: RunView) -> int:
    """Threads that native libraries had in its workers, as its plan says; else as many as a worker has here."""
    plans = [line.data for line in view.events() if line.kind == "plan"]
    if plans and isinstance(plans[-1].get("threads"), int):
        return max(1, int(plans[-1]["threads"]))
    workers = (view.finished or {}).get("workers", 1)
    return max(1, usable_cores() // max(1, int(workers)))


def _surroundings() -> list[str]:
    """In what this process is not like a worker, which may be why its output differs."""
    if os.environ.get("PYTHONHASHSEED", "random") == "random" and sys.flags.hash_randomization:
        return [
            "this process orders sets of strings at random, workers do not: with PYTHONHASHSEED=0, or by `shardwise "
            "replay`, that is no difference"
        ]
    return []
