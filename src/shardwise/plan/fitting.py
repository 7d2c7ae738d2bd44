"""Plans that do not fit in memory, refused before any more work, with what is too much and the smallest change."""

from __future__ import annotations

from shardwise.errors import UsageError
from shardwise.plan import held
from shardwise.plan.candidates import Ground, Way
from shardwise.plan.graphs import source_stage_name
from shardwise.plan.work import Work
from shardwise.sizes import format_size


def refuse_what_does_not_fit(way: Way, ground: Ground, work: Work, allowed: int | None) -> None:
    """Refuse a way whose projected memory is over the limit.

    Parameters
    ----------
    way : Way
        What is planned.
    ground : Ground
        The limit, and what was measured.
    work : Work
        The job.
    allowed : int or None
        What the person allowed; None: the limit is what this machine has free.

    Raises
    ------
    UsageError
        Which stage needs how much, of what, and what would fit.
    """
    if way.memory <= ground.limit:
        return
    stage = "the collected result" if ground.result > way.memory / 2 else f"stage {source_stage_name(work)}"
    whose = "are allowed" if allowed else "are free on this machine"
    count = f"{way.choice.workers} worker{'' if way.choice.workers == 1 else 's'}"
    raise UsageError(
        f"{stage} would hold about {format_size(way.memory)} at once with {count}, but only "
        f"{format_size(ground.limit)} {whose}",
        _smallest_change(way, ground, work),
    )


def _smallest_change(way: Way, ground: Ground, work: Work) -> str:
    """A result in files where that is what is large, else fewer workers, smaller shards, smaller batches, more memory."""
    name = "inline" if way.choice.engine == "inline" else "local"

    def memory(workers: int, weight: float) -> int:
        return held.of_all(ground.sample, name, workers, weight, ground.result, ground.carried)

    heaviest = way.load.heaviest
    if ground.result > ground.limit / 2:
        return "write the result to files (write_parquet) instead of collecting it"
    for fewer in range(way.choice.workers - 1, 0, -1):
        if memory(fewer, heaviest) <= ground.limit:
            return f"use --workers {fewer}: {format_size(memory(fewer, heaviest))}"
    for halves in range(1, 11):
        less = heaviest / 2**halves
        if ground.sized and memory(1, less) <= ground.limit:
            return f"make shards smaller: --shard-size {format_size(int(less))}"
    rows, need = work.pipeline.source.batch_rows, format_size(memory(1, heaviest))
    return f"make batches smaller (batch_rows={max(1, rows // 4)}), or allow --memory {need} or more"
