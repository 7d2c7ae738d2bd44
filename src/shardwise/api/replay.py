"""One row again, in this process, without anything that would catch what it does."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shardwise.api.runs import look_at
from shardwise.compute import guarding
from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.guard import take
from shardwise.compute.machine import usable_cores
from shardwise.compute.programs.settle import settled_operations
from shardwise.compute.task import TaskSpec
from shardwise.errors import UsageError
from shardwise.plan.work import AggregateTo, Work

if TYPE_CHECKING:
    from shardwise.api.job import Job
    from shardwise.api.options import Options


@dataclass(frozen=True, slots=True)
class Where:
    """A row: the file's name or number, the batch in it, and the row in the batch (None: all of the batch)."""

    file: str
    batch: int
    row: int | None

    @classmethod
    def of(cls, text: str) -> Where:
        """From ``FILE:BATCH:ROW``; the file's name may have colons.

        Examples
        --------
        >>> Where.of("s3://b/a.parquet:3:17")
        Where(file='s3://b/a.parquet', batch=3, row=17)
        """
        file, batch, row = ["", "", *text.rsplit(":", 2)][-3:]
        if not file or not batch.isdigit() or not (row.isdigit() or row == "*"):
            raise UsageError(
                f"{text!r} does not say FILE:BATCH:ROW", "copy it from the column `replay` of a quarantine"
            )
        return cls(file, int(batch), None if row == "*" else int(row))


def replay(job: Job, row: str, options: Options) -> Any:
    """Call the functions of a job on one row, and return what they make of it.

    Raises
    ------
    UsageError
        There is no such row, or it does not reach the functions.
    Exception
        Whatever they raise.
    """
    where = Where.of(row)
    work = job.work(replace(options, on_error="quarantine"))
    if not work.settled:
        work = _settled(work, job.title, options)
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        spec = TaskSpec("replay", "replay", 0, 0, "", 0, 0, directory, threads=usable_cores())
        attempt = ActiveAttempt(spec, None, print)
        try:
            return _call(work, where, attempt)
        finally:
            attempt.close()


def _settled(work: Work, title: str, options: Options) -> Work:
    """With the schemas that the run found, where it is kept."""
    with look_at(work, title, options) as ledger:
        for commit in ledger.committed("settle"):
            pipeline = work.pipeline
            operations = settled_operations(pipeline.operations, bytes(ledger.read(commit.outputs[0])))
            return replace(work, pipeline=replace(pipeline, operations=operations))
    return work


def _call(work: Work, where: Where, attempt: ActiveAttempt) -> Any:
    pipeline = work.pipeline
    own = _own_aggregates(work)
    begin, end = guarding.span(pipeline.operations, bool(own))
    batch = guarding.one_batch(pipeline, _fragment(work, where.file), where.batch)
    before = pipeline.operations[:begin]
    numbers = guarding.source_rows(pipeline, before, batch, attempt)
    for op in before:
        batch = replace(batch, data=pipeline.apply(op, batch, attempt))
    if where.row is not None:
        rows = np.flatnonzero(numbers == where.row)
        if not len(rows):
            raise UsageError(
                f"row {where.row} of batch {where.batch} of {where.file} does not reach the functions",
                "it does not exist, or an operation before them leaves it out",
            )
        batch = replace(batch, data=take(batch.data, rows))
    for op in pipeline.operations[begin:end]:
        batch = replace(batch, data=pipeline.apply(op, batch, attempt))
    return [aggregate.step(aggregate.zero(), batch.data) for aggregate in own] if own else batch.data


def _own_aggregates(work: Work) -> list[Any]:
    if not isinstance(work.target, AggregateTo):
        return []
    from shardwise.compute.mixed import ByGroup

    keys = work.target.keys
    own = [aggregate for _, aggregate in work.target.aggregates if not isinstance(aggregate, Builtin)]
    return [ByGroup(aggregate, keys) if keys else aggregate for aggregate in own]


def _fragment(work: Work, file: str) -> int:
    names = [fragment.name for fragment in work.pipeline.source.fragments]
    if file in names:
        return names.index(file)
    if file.isdigit() and int(file) < len(names):
        return int(file)
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    raise UsageError(f"the job does not read {file!r}", f"it reads {shown}")
