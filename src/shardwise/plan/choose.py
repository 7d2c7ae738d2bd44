"""Which engine, how many workers, how large the shards: arithmetic on what is known without running anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shardwise.compute.machine import usable_cores
from shardwise.engines.registry import parse_engine
from shardwise.errors import UsageError
from shardwise.plan.memory import projected, share
from shardwise.plan.shards import Weights
from shardwise.plan.work import CollectTo, Work
from shardwise.sizes import format_size

NATIVE_SHARD = (384 << 20, 512 << 20)
"""Stored bytes of a shard that native kernels do by themselves: a query costs about 25 ms whatever it reads, and one
over so much a quarter of a second, which is all that a killed driver loses."""

FUNCTION_SHARD = (256 << 10, 64 << 20)
"""Stored bytes of a shard that goes through Python functions."""

PARSED_SHARD = (32 << 20, 128 << 20)
"""Stored bytes of a shard of text: it is parsed once, into a table that is kept while it is aggregated."""

NATIVE_SHARDS = 4
"""So many shards per slot where DuckDB works on all threads: there is nothing to balance, only to resume from."""

SHARDS_PER_SLOT = 8
"""So many shards per slot keep all slots busy until the end, whatever the last ones cost."""

START_SECONDS = 0.2
"""Until worker processes have taken their first task: they start, import, and are sent the program."""

IF_SHORT = f"inline after all, if the first tasks show that it takes less than {START_SECONDS:g} s more"
"""Said of a choice that is still open."""

MOST_ITEMS = 512
"""Items of a shard at most, where nothing is known of what one costs."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who works on what, and why."""

    engine: str
    workers: int
    threads: int
    target: float  # weight of a shard
    memory: int | None  # bytes a worker may use
    reasons: tuple[str, ...]
    undecided: bool = False  # the first tasks may show that this process alone is sooner done

    def alone(self, why: str) -> Choice:
        """Everything in this process."""
        return replace(
            self, engine="inline", workers=1, threads=usable_cores(), memory=None, reasons=(why,), undecided=False
        )

    def beside(self, why: str) -> Choice:
        """As it stands: worker processes."""
        return replace(self, reasons=(*self.reasons, why), undecided=False)


def choose(
    work: Work,
    engine: str,
    workers: int | None,
    memory: int | None,
    shard_size: int | None,
    end: int,
    far: bool = False,
    room: int | None = None,
) -> Choice:
    """Settle what the person left open. ``far``: the engine's workers may be on other hosts; ``room``: slots that it
    could lend, where that is known.

    Raises
    ------
    UsageError
        The memory allowed is less than one worker needs.
    """
    reasons: list[str] = []
    lent = None if room is None else min(room, max(end, 1))  # no more than there are tasks
    name, slots = _engine(work, engine, workers or lent, end, reasons, watched=memory is not None)
    if memory is not None:
        slots = _fitting(work, name, slots, memory, reasons)
    cores, total = usable_cores(), Weights.of(work.pipeline.source.fragments).total
    if far:
        why = f"the cluster has room for {room}" if room else f"{'--workers' if workers else 'as many cores are here'}"
        reasons.append(f"{slots} slots of one thread each are asked for ({why}), and used as they come")
        target = shard_weight(work, slots, shard_size, total)
        return Choice(engine, slots, 1, target, None if memory is None else share(memory, slots), tuple(reasons))
    threads = (workers if name == "inline" and workers else cores) if name == "inline" else max(1, cores // slots)
    target = shard_weight(work, slots, shard_size, total)
    ceiling = memory if name == "inline" else share(memory, slots)
    url = f"{name}:{slots}" if name == "local" else name
    undecided = engine == "auto" and workers is None and memory is None and name != "inline" and not work.guarded
    if undecided:
        reasons.append(IF_SHORT)
    return Choice(url, slots, threads, target, ceiling, tuple(reasons), undecided)


def kept(choice: Choice, memory: int | None, timeout: object | None) -> str:
    """Why a choice stands that is not open, whatever other ways would take: what was asked for besides."""
    if parse_engine(choice.engine)[0] == "inline":
        return "no worker process was tried"
    if memory is not None:
        return "only worker processes can be held to a limit of memory"
    if timeout is not None:
        return "only a worker process can be ended when its time is up"
    return "a row that kills a process must not kill this one"


def _engine(
    work: Work, engine: str, workers: int | None, end: int, reasons: list[str], watched: bool
) -> tuple[str, int]:
    if engine != "auto":
        name, argument = parse_engine(engine)
        if name == "inline":
            return name, 1
        slots = int(argument) if argument.isdigit() else usable_cores()
        return name, workers or slots
    cores = workers or usable_cores()
    if not work.pipeline.has_functions and not work.guarded:
        reasons.append("inline: everything runs in native kernels, which use all threads of this process")
        return "inline", 1
    if work.guarded:
        slots = min(cores, max(end, 1))
        reasons.append("local: a row that kills a process must not kill this one (on_error='quarantine')")
        return "local", slots
    if (cores == 1 or end <= 1) and not watched:  # inline, nothing can stop a function that takes too much memory
        reasons.append(f"inline: {'one core' if cores == 1 else 'one batch'}, so a second process would only wait")
        return "inline", 1
    slots = max(1, min(cores, end))
    reasons.append(f"local: Python functions hold a core each, so {slots} processes work side by side")
    return "local", slots


def _fitting(work: Work, name: str, slots: int, memory: int, reasons: list[str]) -> int:
    """As many workers as the allowed memory holds."""
    for fewer in range(slots, 0, -1):
        if projected(work, name, fewer) <= memory:
            if fewer < slots:
                reasons.append(f"{fewer} of {slots} workers: more would not fit in the memory allowed")
            return fewer
    need = projected(work, name, 1)
    raise UsageError(
        f"the job needs about {format_size(need)} with one worker, but only {format_size(memory)} are allowed",
        f"allow --memory {format_size(need)} or more, or make batches smaller (batch_rows)",
    )


def shard_weight(work: Work, slots: int, shard_size: int | None, total: float) -> float:
    """Weight of a shard, for so much in all: bytes, or ordinals where nobody knows how many bytes there are."""
    sized = all(f.size is not None for f in work.pipeline.source.fragments)
    if not sized:
        share = max(1.0, total / (slots * SHARDS_PER_SLOT))
        return float(shard_size) if shard_size else min(share, MOST_ITEMS)
    if shard_size:
        return float(shard_size)
    if not work.pipeline.has_functions and not isinstance(work.target, CollectTo):
        (low, high), shards = NATIVE_SHARD, NATIVE_SHARDS
        if getattr(work.pipeline.source, "is_parsed", False):
            low, high = PARSED_SHARD
    else:
        (low, high), shards = FUNCTION_SHARD, SHARDS_PER_SLOT
    least = min(low, total / slots)  # no slot stays without work
    return min(max(total / (slots * shards), least), high)
