"""Why a way was chosen, in a few plain sentences, and what bounds the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from shardwise.engines.registry import CLUSTER_URLS, parse_engine
from shardwise.plan.bottleneck import INTERPRETED, Bottleneck, Measures, bottleneck
from shardwise.plan.candidates import BETTER, Ground, Way
from shardwise.plan.costs import fit, mean_of
from shardwise.plan.sample import Phase, Sample, Tried
from shardwise.run.policies import WORKER_BASE
from shardwise.sizes import format_duration

VECTORISE = 3.0
"""A function that takes so many times as long as reading is worth a word."""

_NEAR = ("inline", "local")

LONG = 3600.0
"""Seconds on this machine that make a cluster worth a word,"""

SPREADS = ("computation", "I/O", "stages", "memory bandwidth")
"""where the job is bound by what further machines bring along."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a plan says of itself."""

    reasons: tuple[str, ...]
    bottleneck: Bottleneck


def explain(best: Way, found: Sequence[Way], ground: Ground, interpreted: float = 0.0, kept: str = "") -> Told:
    """Say why ``best`` was chosen among ``found``.

    Parameters
    ----------
    interpreted : float
        Steps of the interpreter that a row costs (``plan.interpreted``).
    kept : str
        Why it was not chosen by time; empty: it was.
    """
    of = measures(best, ground, interpreted)
    bound = bottleneck(of)
    reasons = [*_compared(best, found, ground, kept), *_processes(best, found, ground)]
    if interpreted >= INTERPRETED and of.factor >= VECTORISE:
        reasons.append(
            f"the function takes {of.factor:.1f} x the cost of reading this data, row by row in the interpreter: "
            "vectorise before you add workers"
        )
    if of.between > of.computing + of.reading + of.writing:
        inline = "" if _is_here(best) else ", or run inline"
        reasons.append(f"most of the time passes between tasks: make shards larger (--shard-size){inline}")
    if best.forecast.seconds > LONG and bound.name in SPREADS and parse_engine(best.choice.engine)[0] in _NEAR:
        urls = ", ".join(CLUSTER_URLS)
        reasons.append(f"this machine takes long: a cluster spreads the shards over more of them (--engine {urls})")
    return Told(tuple(reasons), bound)


def measures(way: Way, ground: Ground, interpreted: float) -> Measures:
    """What is known of a way, in the terms of bottlenecks."""
    sample, weights = ground.sample, way.load.weights
    readers = way.readers
    seconds = sum(way.costs.seconds(weights.between(t.first, t.last), way.choice.workers) for t in readers)
    reading, writing = (min(1.0, part_of_time(sample, name)) * seconds for name in ("read", "write"))
    computing = max(0.0, seconds - reading - writing)
    parts = {"read": reading, "compute": computing, "write": writing}
    here = _is_here(way)
    return Measures(
        reading=reading,
        computing=computing,
        writing=writing,
        starting=0.0 if here else max(0.0, sample.start - ground.carry) * way.choice.workers,
        merging=sample.merge * sum(len(task.needs) for task in way.load.tasks if not task.done),
        carrying=0.0 if here else ground.carry * way.choice.workers,
        between=way.costs.between * len(readers),
        waiting=ground.idle(way.load.heaviest) * computing,
        carried=0 if here else ground.carried,
        crowding=_crowding(sample, max(parts, key=lambda name: parts[name])),
        workers=way.choice.workers,
        cores=ground.cores,
        native=ground.native and here,
        model=_model(ground),
        memory=way.memory,
        limit=ground.limit,
        interpreted=interpreted,
        factor=_times_reading(sample),
    )


def part_of_time(sample: Sample, name: str) -> float:
    """Part of a task's seconds that goes into ``read``, ``compute`` or ``write``: the middle one of the warm tasks, so
    that one task that was slow for reasons of its own says nothing of the others.

    Examples
    --------
    >>> from shardwise.plan.sample import Phase, Tried
    >>> tried = (Tried(1.0, 1.0, read=0.1), Tried(1.0, 1.0, read=0.3), Tried(1.0, 9.0, read=8.0))
    >>> part_of_time(Sample("inline", 1, (Phase(1, 11.0, tried),)), "read")
    0.3
    """
    parts = [float(getattr(t, name)) / t.seconds for phase in sample.warm for t in phase.tried if t.seconds > 0]
    return median(parts) if parts else 0.0


def _times_reading(sample: Sample) -> float:
    """How many times as long as reading the function takes; 0 where nothing is read."""
    reading = part_of_time(sample, "read")
    return part_of_time(sample, "compute") / reading if reading > 0 else 0.0


def _crowding(sample: Sample, name: str) -> float:
    """Part by which a further busy worker of the sample slows what most of the time goes into. Computing is
    slowed where processors themselves take longer for it, waiting for memory, say; who only waits for one is not."""

    def own(task: Tried) -> float:
        return (name == "compute" and task.cpu) or float(getattr(task, name))

    def of(phase: Phase) -> Phase:
        return replace(phase, tried=tuple(replace(task, seconds=own(task)) for task in phase.tried))

    return fit(replace(sample, phases=tuple(map(of, sample.phases)))).crowding


def _is_here(way: Way) -> bool:
    return way.choice.engine == "inline"


def _model(ground: Ground) -> int:
    """Bytes that a function holds whatever it reads, beyond what every worker does, or this process did before."""
    sample = ground.sample
    peaks = [t.peak for t in sample.tried if t.peak]
    if ground.native or not peaks:
        return 0
    data = mean_of(sample.tried, "size")
    others = max(WORKER_BASE, sample.before) if sample.engine == "inline" else WORKER_BASE
    return max(0, int(min(peaks) - 3 * data) - others)


def _compared(best: Way, found: Sequence[Way], ground: Ground, kept: str) -> list[str]:
    """What the next best takes, and why it is not the one where it is sooner done."""
    others = [one for one in found if one is not best and one.choice.engine != best.choice.engine]
    others.sort(key=lambda one: one.forecast.seconds)
    fitting = [one for one in others if one.memory <= ground.limit]
    said = [
        f"{one.choice.engine} would take {format_duration(one.forecast.seconds)}, but does not fit in memory"
        for one in others[:1]
        if one not in fitting and one.forecast.seconds < best.forecast.seconds
    ]
    if not fitting:
        return said
    rival = fitting[0]
    mine, other = best.choice.engine, rival.choice.engine
    what = f"{mine} takes {format_duration(best.forecast.seconds)}, {other} {format_duration(rival.forecast.seconds)}"
    if best.forecast.seconds <= rival.forecast.seconds:
        return [what, *said]
    if not kept:
        return [f"{what}: less than {BETTER * 100:.0f} % sooner is not worth more processes", *said]
    why = f"the run stays with {mine}, as {kept}"
    if not _is_here(best) and not _is_here(rival):
        why = "with what was asked for the number of workers is not chosen by time"
    ask = "" if _is_here(rival) else f"; --engine {other} asks for that"
    return [f"{what}, but {why}{ask}", *said]


def _processes(best: Way, found: Sequence[Way], ground: Ground) -> list[str]:
    """What processes would add, where this process alone wins."""
    if not _is_here(best) or len(found) < 2:
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
