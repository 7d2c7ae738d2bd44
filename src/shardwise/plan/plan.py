"""What would happen: engine, workers, stages, shards, bytes, predicted time and memory, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shardwise.plan.bottleneck import Bottleneck
from shardwise.records import plain
from shardwise.sizes import format_duration, format_size


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: how many tasks, how many of them are committed already, what they read, and what they will take."""

    name: str
    what: str
    tasks: int
    done: int
    batches: int
    rows: int | None = None
    size: int | None = None
    seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way to carry the job out: seconds and bytes as predicted, and whether it fits in memory. A shard is so many
    bytes, or so many batches (``shard_batches``) of what does not say its size."""

    engine: str
    workers: int
    shard_bytes: int | None
    shard_batches: int | None
    seconds: float
    seconds_low: float
    seconds_high: float
    memory_bytes: int
    fits: bool = True
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``job.plan()`` returns; ``print`` it. ``to_dict`` is what ``--plan --json`` prints.

    Attributes
    ----------
    engine, workers, threads
        Who works: the engine's URL, slots, and native threads in each.
    seconds, seconds_low, seconds_high : float or None
        That a run is predicted to take from now on, and an interval that holds four runs in five. None: nothing of the
        job was tried, so nothing is known.
    memory_bytes : int
        Projected memory of all processes together, at its highest; of several hosts, that of the one with most.
    hosts : int
        Simulated ones, like this one; 1 where nothing is simulated.
    memory_limit : int or None
        What the person allowed.
    reasons : tuple of str
        Why it is so.
    bottleneck : Bottleneck or None
        What bounds it, and the strategy that follows.
    alternatives : tuple of Alternative
        What else was thought of.
    sample : dict or None
        What was tried: ``tasks``, ``share`` of the data, ``seconds``.
    """

    job: str
    engine: str
    workers: int
    threads: int
    stages: tuple[StagePlan, ...]
    memory_bytes: int
    memory_limit: int | None = None
    run_dir: str = ""
    reasons: tuple[str, ...] = field(default_factory=tuple)
    seconds: float | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    bottleneck: Bottleneck | None = None
    alternatives: tuple[Alternative, ...] = ()
    sample: dict[str, Any] | None = None
    hosts: int = 1

    @property
    def is_simulated(self) -> bool:
        """Whether it is for a cluster that is not there."""
        return self.engine.startswith("simulated:")

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return dict(plain(self))

    def __str__(self) -> str:
        lines = [
            self.job,
            f"engine   {self.engine}, {_count(self.workers, 'worker')}, {_count(self.threads, 'thread')} each",
            *map(_stage_line, self.stages),
        ]
        if self.seconds is not None:
            lines.append(f"time     {_interval(self.seconds, self.seconds_low, self.seconds_high)} predicted")
        limit = "" if self.memory_limit is None else f" of {format_size(self.memory_limit)} allowed"
        each = f" per host ({_count(self.hosts, 'host')})" if self.is_simulated else ""
        lines.append(f"memory   {format_size(self.memory_bytes)} projected{each}{limit}")
        if self.sample:
            kept = "committed" if self.run_dir else "not kept, so a run does it again"
            tried = f"{_count(self.sample['tasks'], 'task')}, {self.sample['share'] * 100:.1f} % of the data"
            lines.append(f"sample   {tried}, in {format_duration(self.sample['seconds'])}; {kept}")
        if self.run_dir:
            lines.append(f"run      {self.run_dir}")
        if self.bottleneck:
            lines += [f"bound by {self.bottleneck.name}: {self.bottleneck.why}", f"so       {self.bottleneck.strategy}"]
        lines += [f"why      {reason}" for reason in self.reasons]
        return "\n".join(lines + _table(self.alternatives))


def _stage_line(stage: StagePlan) -> str:
    size = "" if stage.size is None else f", {format_size(stage.size)}"
    rows = "" if stage.rows is None else f", {_count(stage.rows, 'row')}"
    done = f" ({stage.done:,} already committed)" if stage.done else ""
    batches = f", {_count(stage.batches, 'batch', 'batches')}" if stage.batches else ""
    takes = "" if stage.seconds is None else f", {format_duration(stage.seconds)}"
    return f"stage    {stage.name}: {_count(stage.tasks, 'task')}{done}{batches}{rows}{size}{takes}; {stage.what}"


def _table(alternatives: tuple[Alternative, ...]) -> list[str]:
    """Alternatives as aligned lines; the one that is planned has a star."""
    if len(alternatives) < 2:
        return []
    rows = [("", "engine", "workers", "shard", "time", "memory")]
    for way in alternatives:
        star = "*" if way.chosen else ""
        took = _interval(way.seconds, way.seconds_low, way.seconds_high)
        memory = format_size(way.memory_bytes) + ("" if way.fits else ", too much")
        batches = _count(way.shard_batches or 0, "batch", "batches")
        shard = batches if way.shard_bytes is None else format_size(way.shard_bytes)
        rows.append((star, way.engine, str(way.workers), shard, took, memory))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)]


def _interval(seconds: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return format_duration(seconds)
    return f"{format_duration(seconds)} ({format_duration(low)} to {format_duration(high)})"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
