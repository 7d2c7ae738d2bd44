"""The first tasks of a run, spread over its data and measured: one worker at a time, then all of them.

They are committed like any other task, so that what is tried is never done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardwise.compute.machine import memory_of_children, peak_memory, resident_memory
from shardwise.plan.graphs import source_stage
from shardwise.plan.sample import SECONDS, SHARE, Phase, Sample, Tried, choose_trials
from shardwise.plan.shards import Weights, gaps
from shardwise.run.graph import Graph

if TYPE_CHECKING:
    from shardwise.api.runs import RunLedger
    from shardwise.plan.choose import Choice
    from shardwise.plan.work import Work
    from shardwise.run.commits import Commit

CarryOut = Callable[[Graph], dict[int, Any]]
Ranges = Sequence[tuple[int, int]]


@dataclass(slots=True)
class Sampler:
    """Tries tasks of a settled job.

    Parameters
    ----------
    work : Work
        Settled.
    end : int
        Ordinals to do.
    choice : Choice
        Engine and workers to try on.
    ledger : RunLedger
        Knows what is committed.
    carry_out : callable
        Carries out a graph on that engine.
    """

    work: Work
    end: int
    choice: Choice
    ledger: RunLedger
    carry_out: CarryOut
    phases: list[Phase] = field(default_factory=list)

    def take(self, share: float = SHARE, seconds: float = SECONDS) -> Sample:
        """Try at most this share of what is left, and at most about so long.

        Parameters
        ----------
        share : float
            Of the units that are left; at least one unit is tried.
        seconds : float
            What takes longer by what the first tasks showed is left out.
        """
        workers = self.choice.workers
        trials = choose_trials(self._gaps(), self._weights(), workers, self.work.part_batches, share)
        began, before = time.monotonic(), resident_memory()
        start = 0.0
        if trials.cold:
            self._try(trials.cold, workers, cold=True)
            start = max(0.0, self.phases[0].seconds - max(t.seconds for t in self.phases[0].tried))
            trials = self._shortened(trials, seconds - (time.monotonic() - began))
        for part in trials.alone:
            self._try([part], 1)
        self._try(trials.together, workers)
        return Sample(
            self.choice.engine,
            workers,
            tuple(self.phases),
            start,
            self._merge(),
            round(sum(t.out for p in self.phases for t in p.tried) / max(1, sum(len(p.tried) for p in self.phases))),
            before,
            peak_memory(),
            memory_of_children(),
        )

    def _gaps(self) -> list[tuple[int, int]]:
        done = self.ledger.committed(source_stage(self.work).name)
        return gaps([(commit.first, commit.last) for commit in done], self.end)

    def _weights(self) -> Weights:
        return Weights.of(self.work.pipeline.source.fragments)

    def _shortened(self, trials: Any, seconds: float) -> Any:
        """The rest of the trials, or fewer of them where they would take too long."""
        weights, cold = self._weights(), self.phases[0].tried
        pace = sum(t.seconds for t in cold) / max(sum(t.weight for t in cold), 1e-9)
        alone = sum(weights.between(a, b) for a, b in trials.alone) * pace
        together = sum(weights.between(a, b) for a, b in trials.together) * pace / self.choice.workers
        if alone + together <= seconds:
            return trials
        left = self._gaps()
        units = sum(b - a for a, b in left) / self.work.part_batches
        least = (self.choice.workers + 1) / max(units, 1)
        share = max(least, SHARE * max(0.0, seconds) / (alone + together))
        fewer = choose_trials(left, weights, self.choice.workers, self.work.part_batches, min(share, SHARE))
        return fewer if fewer.cold else trials

    def _try(self, ranges: Ranges, busy: int, cold: bool = False) -> None:
        if not ranges:
            return
        stage = source_stage(self.work)
        graph = Graph(fragments=self.work.pipeline.source.fragments)
        graph.stages[stage.name] = stage
        for first, last in ranges:
            graph.task(stage.name, first, last, unit=self.work.part_batches)
        began = time.monotonic()
        commits = self.carry_out(graph)
        seconds = time.monotonic() - began
        weights = self._weights()
        costs = tuple(tried(commits[task.id], weights) for task in graph.tasks if task.id in commits)
        self.phases.append(Phase(min(busy, len(ranges)), seconds, costs, cold))

    def _merge(self) -> float:
        """Seconds of merging a state, from all that there are so far; nothing is kept of it."""
        from shardwise.plan.work import AggregateTo, DescribeTo

        if not isinstance(self.work.target, (AggregateTo, DescribeTo)):
            return 0.0
        commits = self.ledger.committed("partial")
        if not commits:
            return 0.0
        from shardwise.api.merging import seconds_of_merging

        return seconds_of_merging(self.work.aggregation(), commits, self.ledger, self.choice.threads)


def tried(commit: Commit, weights: Weights) -> Tried:
    """What a task cost, from its commit."""
    m = commit.metrics
    return Tried(
        weights.between(commit.first, commit.last),
        m.seconds,
        m.read_seconds,
        m.compute_seconds,
        m.write_seconds,
        m.rows_in,
        m.bytes_in,
        sum(output.size for output in commit.outputs),
        m.peak_memory,
    )
