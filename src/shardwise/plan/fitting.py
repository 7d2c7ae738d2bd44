"""Plans that do not fit in memory, refused before any more work, with what is too much and the smallest change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from shardwise.engines.registry import parse_engine
from shardwise.errors import UsageError
from shardwise.plan import held
from shardwise.plan.bottleneck import bottleneck
from shardwise.plan.candidates import Ground, Way, memory_of
from shardwise.plan.explain import measures
from shardwise.plan.graphs import source_stage_name
from shardwise.plan.memory import COPIES, projected
from shardwise.plan.shards import Weights
from shardwise.plan.work import Work
from shardwise.sizes import format_size

SUBSTANTIAL = 0.25
"""Of what a worker holds; where batches are less of it, smaller ones change little."""

FILES = "write the result to files (write_parquet) instead of collecting it"

LEAST_ROWS = 1000
"""Of a batch that is advised: in smaller ones each row costs more."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the person allowed, and left open.

    Parameters
    ----------
    memory : int or None
        Bytes allowed; None: the limit is what this machine has free.
    workers : int
        That were asked for, or thought of first.
    alone : bool
        Whether the job may be done in this process.
    """

    memory: int | None
    workers: int = 1
    alone: bool = False


def refuse_what_does_not_fit(way: Way, ground: Ground, work: Work, room: Room) -> None:
    """Refuse a way, whose projected memory is over the limit.

    Raises
    ------
    UsageError
        Which stage needs how much, of what, what bounds the job, and what would fit.
    """
    simulated = _name(way) == "simulated"
    stage = "the collected result" if ground.result > way.memory / 2 else f"stage {source_stage_name(work)}"
    count = f"{way.choice.workers} worker{'' if way.choice.workers == 1 else 's'}"
    if not simulated and _name(way) != "inline" and way.choice.workers < room.workers:
        count += f", fewer than the {room.workers} asked for, which need more still"
    where = "on one host of the cluster" if simulated else f"at once with {count}"
    whose = "are allowed" if room.memory else f"are free on {'a host like ' if simulated else ''}this machine"
    bound = bottleneck(measures(way, ground, 0.0))
    raise UsageError(
        f"{stage} would hold about {format_size(way.memory)} {where}, but only {format_size(ground.limit)} {whose}; "
        f"the job is bound by {bound.name}, so it takes {bound.strategy}",
        _smallest_change(way, ground, work, room),
    )


def _name(way: Way) -> str:
    return parse_engine(way.choice.engine)[0]


def _smallest_change(way: Way, ground: Ground, work: Work, room: Room) -> str:
    """The first change whose own projection fits: a result in files, this process alone, fewer workers, shorter shards;
    else smaller batches, where these are much of it, and more memory."""
    name, workers, heaviest = _name(way), way.choice.workers, way.load.heaviest

    def fits(name: str, workers: int, weight: float) -> bool:
        return memory_of(ground, name, workers, weight) <= ground.limit

    if ground.result:
        rest = replace(ground, result=0)
        if memory_of(rest, name, workers, heaviest) <= ground.limit:
            return FILES
        if ground.result > ground.limit / 2:
            return f"{FILES}, and {_smallest_change(way, rest, work, room)}"
    if room.alone and name != "inline" and fits("inline", 1, heaviest):
        return f"use --engine inline: {format_size(memory_of(ground, 'inline', 1, heaviest))}"
    if name not in ("inline", "simulated"):  # of a host it makes no difference how many others there are
        for fewer in range(workers - 1, 0, -1):
            if fits(name, fewer, heaviest):
                return f"use --workers {fewer}: {format_size(memory_of(ground, name, fewer, heaviest))}"
    unit = max(Weights.of(work.pipeline.source.fragments).each, default=0.0) * work.part_batches
    less = heaviest / 2
    while ground.sized and less > max(unit, 1):  # a cut falls on the nearest multiple of a unit
        if fits(name, workers, less + unit / 2):
            return f"make shards smaller: --shard-size {format_size(_three_digits(less, math.floor))}"
        less /= 2
    more = f"allow --memory {format_size(_enough(way, ground, work))} or more"
    if not _is_batches(way, ground, work):
        return more
    return f"make batches smaller (batch_rows={work.pipeline.source.batch_rows // 4}), or {more}"


def _is_batches(way: Way, ground: Ground, work: Work) -> bool:
    """Whether batches are much of what a worker holds, and may be smaller."""
    rows = sum(task.rows for task in ground.sample.tried)
    source = work.pipeline.source
    if not rows or source.kind == "items" or source.batch_rows // 4 < LEAST_ROWS:
        return False
    batch = sum(task.size for task in ground.sample.tried) / rows * source.batch_rows
    return COPIES * batch >= SUBSTANTIAL * held.of_worker(ground.sample, way.load.heaviest)


def _enough(way: Way, ground: Ground, work: Work) -> float:
    """Bytes with which the same way is planned, and not refused."""
    name = _name(way)
    least = projected(work, "inline" if name == "inline" else "local", 1)  # what arithmetic wants before a sample
    return _three_digits(max(memory_of(ground, name, way.choice.workers, way.load.heaviest), least), math.ceil)


def _three_digits(size: float, to_whole: Callable[[float], int]) -> float:
    """As many as are printed, so that what is typed again is not less, or not more."""
    step = 10.0 ** max(0, math.floor(math.log10(max(size, 1))) - 2)
    return to_whole(size / step) * step
