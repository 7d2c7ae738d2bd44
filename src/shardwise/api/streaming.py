"""Batches in order, as soon as each is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shardwise.api.options import Options
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.machine import usable_cores
from shardwise.compute.task import TaskSpec

if TYPE_CHECKING:
    from shardwise.api.job import Job


def stream(job: Job, given: dict[str, Any]) -> Iterator[Any]:
    """Run the pipeline in this process, batch by batch; the consumer's pace is the pace."""
    import tempfile

    options = Options.of(given)
    work = job.work(options)
    end = sum(fragment.batches for fragment in work.pipeline.source.fragments)
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        threads = options.workers or usable_cores()
        spec = TaskSpec("stream", "stream", 0, 0, "", 0, end, directory, threads=threads, memory=options.memory_bytes)
        attempt = ActiveAttempt(spec, None, print)
        for batch in work.pipeline.batches(attempt):
            yield batch.data
