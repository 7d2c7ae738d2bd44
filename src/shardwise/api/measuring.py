"""The same part of a job, carried out by different numbers of workers, under a clock.

Each measurement is a run of its own in a fresh directory that is deleted at once; what a job would write goes there,
too. So neither the person's cache nor an output directory is touched, and nothing is answered from an earlier run.

Tasks are the same whatever the number of workers.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shardwise.api.job import Job
from shardwise.api.options import Options
from shardwise.api.scale_sample import Sample
from shardwise.api.timed_engine import TimedEngine, Try, timed
from shardwise.plan.scaling import Footprint, Measured
from shardwise.plan.shards import Weights
from shardwise.plan.work import Work, WriteTo
from shardwise.storage import open_store

if TYPE_CHECKING:
    from shardwise.engines.registry import Place

_BEFORE, _AFTER = ("settle",), ("merge", "finish")


class Session:
    """Some workers of an engine, for several measurements.

    Parameters
    ----------
    bench : Bench
        What is measured.
    engine : TimedEngine
    workers : int

    Attributes
    ----------
    footprint : Footprint
        Of the last measurement.
    busy_seconds : float
        Of all tasks of the last measurement together.
    """

    def __init__(self, bench: Bench, engine: TimedEngine, workers: int) -> None:
        self._bench, self._engine, self._workers = bench, engine, workers
        self._first = 0.0
        self.footprint = Footprint(0, 0)
        self.busy_seconds = 0.0

    def warm(self, sample: Sample) -> None:
        """Have each worker carry out a task, for which it imports what it needs."""
        self._bench.run(self._engine, self._workers, sample.part(min(self._workers, sample.tasks)))
        self._first = max(_seconds(self._reads))

    def measure(self, sample: Sample) -> Measured:
        """Carry out a sample."""
        before = self._engine.processor_seconds()
        began, ended = self._bench.run(self._engine, self._workers, sample)
        after = self._engine.processor_seconds()
        reads = self._reads
        self.footprint = Footprint(max(t.peak for t in reads), sum(t.size for t in reads))
        self.busy_seconds = sum(_seconds(reads))
        busy = None
        if before is not None and after is not None:
            threads = self._workers if self._engine.is_inline else 1
            busy = (after - before).busy(threads * sum(_seconds(self._engine.tries)))
        start = self._engine.start + max(0.0, self._first - _middle(_seconds(reads)))
        return _measured(self._engine.tries, reads, self._workers, start, (began, ended), busy)

    @property
    def _reads(self) -> list[Try]:
        return [t for t in self._engine.tries if t.stage not in (*_BEFORE, *_AFTER)]


def _measured(
    tries: Sequence[Try], reads: Sequence[Try], workers: int, start: float, run: tuple[float, float], busy: float | None
) -> Measured:
    began, ended = run
    first, last = min(t.sent for t in reads), max(t.ended for t in reads)
    settling = sum(t.ended - t.sent for t in tries if t.stage == "settle")
    merged = max([last, *(t.ended for t in tries if t.stage == "merge")])
    finished = max([merged, *(t.ended for t in tries if t.stage == "finish")])
    return Measured(
        workers,
        start,
        max(0.0, first - began - settling),
        settling,
        last - first,
        merged - last,
        finished - merged,
        ended - finished,
        len(reads),
        busy,
    )


def _seconds(tries: Sequence[Try]) -> list[float]:
    return [t.ended - t.sent for t in tries]


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


class Bench:
    """A job, made so that it can be carried out again and again without leaving anything.

    Parameters
    ----------
    job : Job
    options : Options
        Of all runs.
    place : str
        A directory of our own, deleted in the end.

    Attributes
    ----------
    work : Work
        The job, as the planner sees it.
    """

    def __init__(self, job: Job, options: Options, place: str) -> None:
        self._options, self._place, self._runs = options, place, 0
        self._job = self._standing_alone(job)
        self.work: Work = self._job.work(options)
        weights = Weights.of(self.work.pipeline.source.fragments)
        self._weights = weights if weights.total > 0 else replace(weights, each=(1.0,) * len(weights.each))

    def weight(self, sample: Sample) -> float:
        """Of the data of a sample: stored bytes, or batches where sizes are not known."""
        parts = zip(self._weights.starts, self._weights.starts[1:], self._weights.each)
        return sum(max(0, min(end, sample.end) - start) * each for start, end, each in parts)

    @property
    def whole(self) -> float:
        """Weight of all of the data."""
        return self._weights.total

    @contextlib.contextmanager
    def session(self, engine: Place, workers: int) -> Iterator[Session]:
        """Workers, until the block ends."""
        with timed(engine, workers) as clock:
            yield Session(self, clock, workers)

    def run(self, engine: TimedEngine, workers: int, sample: Sample) -> tuple[float, float]:
        """Carry a sample out in a fresh directory; returns when it began and ended."""
        from shardwise.api.runner import run

        self._runs += 1
        name = f"run-{self._runs}"
        job = self._writing_to(f"{self._place}/{name}/output")
        options = replace(
            self._options,
            engine=engine,
            workers=workers,
            first=sample.share,
            shard_size=max(1, round(self.weight(sample) / sample.tasks)),
            run_dir=f"{self._place}/{name}/run" if self._is_kept(engine) else None,
            speculate=False,
            progress="none",
        )
        engine.forget()
        try:
            began = time.monotonic()
            result = run(job, options)
            if not isinstance(self.work.target, WriteTo):
                _ = result.data
            return began, time.monotonic()
        finally:
            open_store(self._place, self._options.storage_options).delete_tree(name)

    def _is_kept(self, engine: TimedEngine) -> bool:
        """Whether such a run would have a directory: data in memory has none, unless something is written of it."""
        lasting = isinstance(self.work.target, WriteTo) or self.work.guarded or engine.reach == "network"
        return lasting or self.work.pipeline.source.identity() is not None

    def _writing_to(self, directory: str) -> Job:
        job, target = self._job, self._job._target
        if not isinstance(target, WriteTo):
            return job
        return Job(job._source, job._operations, replace(target, directory=directory, overwrite=False))

    def _standing_alone(self, job: Job) -> Job:
        """The same on the results of the jobs that it reads from, which are carried out now."""
        from shardwise.api.dataset import Later
        from shardwise.api.runner import run

        source = job._source
        if not isinstance(source, Later):
            return job
        results = []
        for number, earlier in enumerate(source.jobs):
            options = replace(self._options, run_dir=f"{self._place}/earlier-{number}", first=None, progress="none")
            results.append(run(self._standing_alone(earlier), options))
        return Job(source.make(*results), job._operations, job._target)


@contextlib.contextmanager
def bench(job: Job, options: Options) -> Iterator[Bench]:
    """A bench whose directory lies below ``options.run_dir``, or among temporary files, until the block ends."""
    name = f"shardwise-scale-{secrets.token_hex(6)}"
    parent = (options.run_dir or tempfile.gettempdir()).rstrip("/")
    try:
        yield Bench(job, options, f"{parent}/{name}")
    finally:
        open_store(parent, options.storage_options).delete_tree(name)
