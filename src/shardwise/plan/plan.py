"""What would happen: engine, workers, stages, shards, bytes, projected memory, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shardwise.records import plain
from shardwise.sizes import format_size


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: how many tasks, how many of them are committed already, and what they read."""

    name: str
    what: str
    tasks: int
    done: int
    batches: int
    rows: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``job.plan()`` returns; ``print`` it. ``to_json`` is what ``--plan --json`` prints.

    Attributes
    ----------
    engine, workers, threads
        Who works: the engine's URL, slots, and native threads in each.
    memory_bytes : int
        Projected memory of all processes together, at its highest.
    memory_limit : int or None
        What the person allowed.
    reasons : tuple of str
        Why it is so.
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

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return dict(plain(self))

    def __str__(self) -> str:
        lines = [
            self.job,
            f"engine   {self.engine}, {_count(self.workers, 'worker')}, {_count(self.threads, 'thread')} each",
        ]
        for stage in self.stages:
            size = "" if stage.size is None else f", {format_size(stage.size)}"
            rows = "" if stage.rows is None else f", {_count(stage.rows, 'row')}"
            done = f" ({stage.done:,} already committed)" if stage.done else ""
            batches = f", {_count(stage.batches, 'batch', 'batches')}" if stage.batches else ""
            lines.append(
                f"stage    {stage.name}: {_count(stage.tasks, 'task')}{done}{batches}{rows}{size}; {stage.what}"
            )
        limit = "" if self.memory_limit is None else f" of {format_size(self.memory_limit)} allowed"
        lines.append(f"memory   {format_size(self.memory_bytes)} projected{limit}")
        if self.run_dir:
            lines.append(f"run      {self.run_dir}")
        lines += [f"why      {reason}" for reason in self.reasons]
        return "\n".join(lines)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
