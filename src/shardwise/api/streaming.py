"""Batches in order, as soon as each is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shardwise.api.options import Options
from shardwise.api.quarantine import Allowance, keep_rows
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.machine import usable_cores
from shardwise.compute.task import TaskSpec
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.api.job import Job


def stream(job: Job, given: dict[str, Any]) -> Iterator[Any]:
    """Run the pipeline in this process, batch by batch; the consumer's pace is the pace."""
    import tempfile

    options = Options.of(given)
    if options.redundancy > 1:
        raise UsageError("a stream does every batch once", "run the job with redundancy=2, or stream with check=True")
    work = job.work(options)
    if options.check:
        from shardwise.api.check import check_sample

        check_sample(work, options).enforce()
    if work.guarded and options.run_dir is None:
        raise UsageError(
            "a stream keeps nothing, so there is no place for what on_error='quarantine' leaves out",
            "give run_dir=...: a directory for quarantine/rows.parquet",
        )
    end = sum(fragment.batches for fragment in work.pipeline.source.fragments)
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        allowance = Allowance.of(options.max_quarantined)
        threads = options.workers or usable_cores()
        spec = TaskSpec("stream", "stream", 0, 0, "", 0, end, directory, threads=threads, memory=options.memory_bytes)
        attempt = ActiveAttempt(spec, None, print)
        try:
            for batch in work.pipeline.batches(attempt):
                if work.guarded:
                    allowance.check(len(attempt.quarantine.rows), None)
                yield batch.data
            if work.guarded:
                allowance.check(len(attempt.quarantine.rows), attempt.metrics(0.0).rows_in)
        finally:
            if work.guarded and options.run_dir is not None:
                keep_rows(options.run_dir, attempt.quarantine.rows)
