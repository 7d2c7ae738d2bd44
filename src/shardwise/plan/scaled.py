"""Plans for what is not there yet: more rows than the data has, and a cluster that nobody has rented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shardwise.compute.machine import usable_cores
from shardwise.engines.registry import parse_engine
from shardwise.errors import UsageError
from shardwise.plan.choose import SHARDS_PER_SLOT, shard_weight
from shardwise.plan.forecast import Load
from shardwise.plan.graphs import FAN_IN, source_stage_name
from shardwise.plan.shards import Weights
from shardwise.plan.work import CollectTo, WriteTo
from shardwise.run.messages import Task
from shardwise.sizes import format_count

if TYPE_CHECKING:
    from shardwise.plan.choose import Choice
    from shardwise.plan.work import Work


@dataclass(frozen=True, slots=True)
class Scaled:
    """How the plan's data and engine differ from those that are here.

    Parameters
    ----------
    engine : str
        URL of a simulated engine; empty: the engine that was asked for.
    workers : int
        That it has.
    rows : int or None
        Of the data to come; None: what is there.
    """

    engine: str = ""
    workers: int = 0
    rows: int | None = None

    @classmethod
    def of(cls, engine: str, rows: int | None, workers: int | None = None) -> Scaled:
        """From an engine's URL, ``rows``, and the number of workers that the person gave besides.

        Raises
        ------
        UsageError
            The URL says no number of workers, or there is a second number of them.

        Examples
        --------
        >>> Scaled.of("simulated:1000", None).workers, Scaled.of("local:4", 10).engine
        (1000, '')
        """
        name, argument = parse_engine(engine)
        if name != "simulated":
            return cls(rows=rows)
        if not argument.isdigit() or int(argument) < 1:
            raise UsageError(f"{engine!r} does not say how many workers", "write simulated:1000")
        if workers is not None:
            raise UsageError(
                f"--workers {workers} (workers={workers}) beside {engine!r}, which says how many workers there are",
                f"write simulated:{workers}, or leave the other number out",
            )
        return cls(engine, int(argument), rows)

    @property
    def is_other(self) -> bool:
        """Whether anything differs."""
        return bool(self.engine) or self.rows is not None

    @property
    def hosts(self) -> int:
        """Hosts like this one that the simulated workers are on; 1 where they are not simulated."""
        return -(-self.workers // usable_cores()) if self.engine else 1

    def choice(self, work: Work, choice: Choice, weight: float, shard_size: int | None = None) -> Choice:
        """The choice for the data to come (``weight``: of what is there now), in shards of the length that suits so
        much; on the simulated engine with one thread for each worker."""
        if self.engine:
            choice = replace(choice, engine=self.engine, workers=self.workers, threads=1, undecided=False, reasons=())
        if not self.is_other:
            return choice
        total = weight * self.factor_of(work)
        target = shard_weight(work, choice.workers, shard_size, total)
        if shard_size is None and any(f.size is None for f in work.pipeline.source.fragments):
            target = max(target, total / (choice.workers * SHARDS_PER_SLOT))  # what an item costs is known now
        return replace(choice, target=target)

    def factor_of(self, work: Work) -> float:
        """How many times as much data there will be.

        Raises
        ------
        UsageError
            Nobody knows how many rows there are now.
        """
        if self.rows is None:
            return 1.0
        if not work.rows:
            raise UsageError(
                "how many times as much data that is cannot be told: the source does not say how many rows it has",
                "plan for the data that is there, or give Parquet, .npy or memory, which say so",
            )
        return self.rows / work.rows

    def load(self, work: Work, choice: Choice, weight: float, end: int) -> Load:
        """The data to come (``weight`` and ``end``: of what is there now), cut into shards of one length, about that
        chosen, and not shorter than a cut can make them."""
        total, units = weight * self.factor_of(work), round(end * self.factor_of(work) / work.part_batches)
        count = max(1, min(units, round(total / choice.target))) if total else 1
        name, tree = source_stage_name(work), not isinstance(work.target, (CollectTo, WriteTo))
        return Load(shards(name, count, tree), Weights((0, count), (total / count,)))

    def reasons(self, work: Work) -> tuple[str, ...]:
        """What a reader has to know of such a plan."""
        found = []
        if self.rows is not None:
            found.append(f"for {format_count(self.rows)} rows, {_times(self.factor_of(work))} times what is there")
        if self.engine:
            found.append(
                f"{format_count(self.workers)} workers on {format_count(self.hosts)} hosts like this one, whose "
                "storage is taken to keep up; memory is that of the host that holds most"
            )
        return tuple(found)


def _times(factor: float) -> str:
    """How many times, in three digits, and none of them as a power of ten.

    Examples
    --------
    >>> _times(3333.3), _times(2.5), _times(100.0)
    ('3,333', '2.5', '100')
    """
    return format_count(round(factor)) if factor >= 100 else f"{factor:.3g}"


def shards(stage: str, count: int, tree: bool) -> list[Task]:
    """Tasks of one ordinal each; ``tree``: and those that merge what they make.

    Examples
    --------
    >>> [task.stage for task in shards("partial", 17, tree=True)][16:]
    ['partial', 'merge', 'finish']
    """
    tasks = [Task(number, stage, number, number + 1) for number in range(count)]
    nodes = list(tasks)
    while tree and len(nodes) > FAN_IN:
        groups = [nodes[at : at + FAN_IN] for at in range(0, len(nodes), FAN_IN)]
        nodes = [_over(group, "merge", tasks) if len(group) > 1 else group[0] for group in groups]
    if tree:
        _over(nodes, "finish", tasks)
    return tasks


def _over(group: Sequence[Task], stage: str, tasks: list[Task]) -> Task:
    made = Task(len(tasks), stage, group[0].first, group[-1].last, tuple(task.id for task in group))
    tasks.append(made)
    return made
