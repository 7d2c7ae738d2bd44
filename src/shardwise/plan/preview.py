"""What a graph will do, stage by stage, in numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from shardwise.compute.operations import describe
from shardwise.data.source import Fragment
from shardwise.plan.plan import StagePlan
from shardwise.plan.shards import Weights
from shardwise.plan.work import Work
from shardwise.run.messages import Task

_READING = {
    "partial": "aggregate each shard",
    "collect": "collect what is there",
    "write": "write what is there",
}
"""What stages do that read the source, where no operation comes before."""

_WHAT = {
    "merge": "merge states, in a tree",
    "finish": "make the result of all states",
    "settle": "find out what columns the functions return, on the first batch",
}


def preview(tasks: Sequence[Task], work: Work, end: int, later: int = 0, times: float = 1.0) -> tuple[StagePlan, ...]:
    """Stages in order.

    Parameters
    ----------
    tasks : sequence of Task
        Of the stages.
    end : int
        Ordinals that they read.
    later : int
        Shards that follow once schemas are settled.
    times : float
        As often the data will be there as it is now.
    """
    rows, size = (
        None if known is None else int(known * times) for known in part_of(work.pipeline.source.fragments, end)
    )
    batches = max(1, round(end * times))
    steps = "; ".join(map(describe, work.pipeline.operations))
    stages = []
    for name in dict.fromkeys(task.stage for task in tasks):
        own = [task for task in tasks if task.stage == name]
        reads = name not in _WHAT
        stages.append(
            StagePlan(
                name,
                _WHAT.get(name, steps or _READING.get(name, name)),
                len(own),
                sum(task.done for task in own),
                batches if reads else 0,
                rows if reads else None,
                size if reads else None,
            )
        )
    if later:
        stages.append(StagePlan("rows", steps, later, 0, batches, rows, size))
    return tuple(stages)


def part_of(fragments: tuple[Fragment, ...], end: int) -> tuple[int | None, int | None]:
    """Rows and stored bytes of ordinals [0, end), where they are known; in proportion for a cut fragment."""
    weights = Weights.of(fragments)
    whole = bisect_right(weights.starts, end) - 1
    full = fragments[:whole]
    rest = 0.0
    if whole < len(fragments):
        rest = (end - weights.starts[whole]) / max(1, fragments[whole].batches)
    cut = fragments[whole : whole + 1] if rest else ()

    def total(values: list[int | None]) -> int | None:
        if None in values:
            return None
        known = [v or 0 for v in values]
        return sum(known[: len(full)]) + int(sum(known[len(full) :]) * rest)

    return total([f.rows for f in (*full, *cut)]), total([f.size for f in (*full, *cut)])
