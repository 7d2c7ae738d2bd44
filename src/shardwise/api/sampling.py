"""The first tasks of a run, spread over its data and measured: one worker at a time, then all of them.

They are committed like any other task, so that what is tried is never done again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shardwise.compute.machine import memory_of_children, peak_memory, resident_memory
from shardwise.plan.costs import line
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

ROUNDS = 5
"""Tries at a share that a person asked for, between the gaps that are left."""

NEARLY = 0.9
"""Of that share is enough."""


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
        unit, kernels = self.work.part_batches, self.work.is_native
        trials = choose_trials(self._gaps(), self._weights(), workers, unit, share, kernels)
        began, before = time.monotonic(), resident_memory()
        start = 0.0
        if trials.cold:
            self._try(trials.cold, workers, cold=True)
            start = max(0.0, self.phases[0].seconds - max(t.seconds for t in self.phases[0].tried))
        until = began + seconds
        for part in trials.alone:
            left = until - time.monotonic()
            self._try(self._shortened([part], 1, left if workers == 1 else left / 2), 1)
        self._try(self._shortened(trials.together, workers, until - time.monotonic()), workers)
        return Sample(
            self.choice.engine,
            workers,
            tuple(self.phases),
            start,
            self._merge(),
            before,
            peak_memory(),
            memory_of_children(),
        )

    def more(self, earlier: Sample | None, share: float) -> Sample:
        """Try this share of all of the work, however long it takes, what was tried ``earlier`` included."""
        wanted = share * self._weights().between(0, self.end)
        both = found = self.take(self._missing(earlier, wanted), math.inf)
        for _ in range(ROUNDS):  # tasks end where a gap between committed ones does
            phases, start = (earlier.phases, earlier.start) if earlier else ((), 0.0)
            both = replace(found, phases=(*phases, *found.phases), start=start or both.start, asked=share)
            if not self.left or sum(task.weight for task in both.tried) >= NEARLY * wanted:
                break
            found = self.take(self._missing(both, wanted), math.inf)
        return both

    def _missing(self, found: Sample | None, wanted: float) -> float:
        """Of what is left, the part that has to be tried for so much in all."""
        tried, left = sum(task.weight for task in found.tried) if found else 0.0, self.left
        return min(1.0, max(0.0, wanted - tried) / left) if left else 0.0

    @property
    def left(self) -> float:
        """Weight of what is not committed."""
        weights = self._weights()
        return sum(weights.between(first, last) for first, last in self._gaps())

    def _gaps(self) -> list[tuple[int, int]]:
        done = self.ledger.committed(source_stage(self.work).name)
        return gaps([(commit.first, commit.last) for commit in done], self.end)

    def _weights(self) -> Weights:
        return Weights.of(self.work.pipeline.source.fragments)

    def _shortened(self, ranges: Ranges, workers: int, seconds: float) -> Ranges:
        """As much of each range as can be tried in so long, by what warm tasks cost so far: a unit of each at least.
        Where even that takes too long: of as many as there are workers, and of none that one worker tried before."""
        warm = [(t.weight, t.seconds) for phase in self.phases if not phase.cold for t in phase.tried]
        if not warm or not ranges:
            return ranges
        weights, unit = self._weights(), self.work.part_batches
        fixed, each = line(warm)

        def needed(of: Ranges) -> float:
            return sum(fixed + each * weights.between(a, b) for a, b in of) / workers

        if needed(ranges) <= seconds:
            return ranges
        part = max(0.0, seconds) / needed(ranges)
        cut = [(a, min(b, (a // unit + max(1, int((b - a) / unit * part))) * unit)) for a, b in ranges]
        if needed(cut) <= 2 * seconds:
            return cut
        return cut[:workers] if workers > 1 else []

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
        m.cpu_seconds,
        m.queued_seconds,
        m.rows_in,
        m.bytes_in,
        sum(output.size for output in commit.outputs),
        m.peak_memory,
    )
