"""Why a way was chosen, in a few plain sentences, and what bounds the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shardwise.plan.bottleneck import INTERPRETED, Bottleneck, Measures, bottleneck
from shardwise.plan.candidates import Ground, Way
from shardwise.plan.costs import mean_of
from shardwise.run.policies import WORKER_BASE
from shardwise.sizes import format_duration

VECTORISE = 3.0
"""A function that takes so many times as long as reading is worth a word."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a plan says of itself."""

    reasons: tuple[str, ...]
    bottleneck: Bottleneck


def explain(best: Way, found: Sequence[Way], ground: Ground, interpreted: float = 0.0) -> Told:
    """Say why ``best`` was chosen among ``found``.

    Parameters
    ----------
    interpreted : float
        Steps of the interpreter that a row costs (``plan.interpreted``).
    """
    of = measures(best, ground, interpreted)
    bound = bottleneck(of)
    reasons = [*_compared(best, found), *_processes(best, found, ground)]
    if interpreted >= INTERPRETED and of.factor >= VECTORISE:
        reasons.append(
            f"the function takes {of.factor:.1f} x the cost of reading this data, row by row in the interpreter: "
            "vectorise before you add workers"
        )
    if of.between > of.computing + of.reading + of.writing:
        reasons.append("most of the time passes between tasks: make shards larger (--shard-size), or run inline")
    return Told(tuple(reasons), bound)


def measures(way: Way, ground: Ground, interpreted: float) -> Measures:
    """What is known of a way, in the terms of bottlenecks."""
    sample, tried = ground.sample, ground.sample.tried
    weights = way.load.weights
    readers = [task for task in way.load.tasks if not task.needs and not task.done]
    weight = sum(weights.between(task.first, task.last) for task in readers)
    tried_weight = sum(t.weight for t in tried) or 1.0
    scale = weight / tried_weight
    reading, writing = (sum(getattr(t, name) for t in tried) * scale for name in ("read", "write"))
    seconds = sum(way.costs.seconds(weights.between(t.first, t.last), way.choice.workers) for t in readers)
    merging = sample.merge * sum(len(task.needs) for task in way.load.tasks if not task.done)
    inputs = sum(t.read for t in tried)
    computing = max(0.0, seconds - reading - writing)
    here = way.choice.engine == "inline"
    return Measures(
        reading=min(reading, seconds),
        computing=computing,
        writing=min(writing, seconds),
        starting=0.0 if here else sample.start * way.choice.workers,
        merging=merging,
        carrying=0.0 if here else ground.carry,
        between=way.costs.between * len(readers),
        waiting=sample.idle * computing,
        carried=0 if here else ground.carried,
        crowding=way.costs.crowding,
        workers=way.choice.workers,
        model=_model(ground),
        memory=way.memory,
        limit=ground.limit,
        interpreted=interpreted,
        factor=sum(t.compute for t in tried) / inputs if inputs > 0 else 0.0,
    )


def _model(ground: Ground) -> int:
    """Bytes that a worker holds whatever it reads, beyond what every worker does."""
    peaks = [t.peak for t in ground.sample.tried if t.peak]
    data = mean_of(ground.sample.tried, "size")
    return max(0, int(min(peaks) - 3 * data) - WORKER_BASE) if peaks else 0


def _compared(best: Way, found: Sequence[Way]) -> list[str]:
    others = [one for one in found if one is not best and one.choice.engine != best.choice.engine]
    if not others:
        return []
    next_best = min(others, key=lambda one: one.forecast.seconds)
    mine, other = best.forecast.seconds, next_best.forecast.seconds
    what = f"{best.choice.engine} takes {format_duration(mine)}, {next_best.choice.engine} {format_duration(other)}"
    return [f"{what}" + ("" if mine <= other else ", which is not worth more processes")]


def _processes(best: Way, found: Sequence[Way], ground: Ground) -> list[str]:
    """What processes would add, where this process alone wins."""
    if best.choice.engine != "inline" or len(found) < 2:
        return []
    said = []
    if ground.native:
        said.append(f"its kernels use all {ground.cores} cores of this process already")
    if ground.carry > 0.1:
        said.append(f"bringing the data to other processes takes {format_duration(ground.carry)}")
    crowding = best.costs.crowding
    if crowding > 0.5:
        said.append(f"a second busy worker slows the first one by {crowding * 100:.0f} %: they share what is scarce")
    return ["no processes: " + "; ".join(said)] if said else []
