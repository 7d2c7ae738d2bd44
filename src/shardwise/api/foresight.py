"""A run that nobody planned predicts itself: its own first tasks are the sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shardwise.api.sampling import tried
from shardwise.compute.machine import peak_memory, resident_memory
from shardwise.plan.forecast import MANY
from shardwise.plan.graphs import source_stage_name
from shardwise.plan.sample import SHARE, Phase, Sample
from shardwise.plan.shards import Weights

if TYPE_CHECKING:
    from shardwise.api.prediction import Planner
    from shardwise.run.commits import Commit

LEAST_SECONDS = 1.0
"""A run that has gone on for less predicts nothing: a short one is over by then."""

MOST_SHARE = 0.5
"""Later than this there is little left to predict."""


class Foresight:
    """Listens to commits, and once, when 5 % of the work is done, notes what the rest will take.

    Parameters
    ----------
    planner : callable
        Makes the planner of this run, as it is then.
    end : int
        Ordinals of the run.
    workers : int
        That work on it: the first task of each is cold and does not count.
    """

    def __init__(self, planner: Callable[[], Planner], end: int, workers: int) -> None:
        self._planner = planner
        self._end = end
        self._workers = workers
        self._before = resident_memory()
        self._began = time.monotonic()
        self._seen: list[Commit] = []
        self._open = True

    def heard(self, commits: Sequence[Commit]) -> None:
        """Some tasks were committed."""
        if not self._open:
            return
        self._seen += commits
        seconds = time.monotonic() - self._began
        if seconds < LEAST_SECONDS or len(self._seen) < 3 * self._workers:
            return
        planner = self._planner()
        work = planner.work
        weights = Weights.of(work.pipeline.source.fragments)
        ours = [commit for commit in self._seen if commit.stage == source_stage_name(work)]
        done = sum(weights.between(c.first, c.last) for c in planner.ledger.committed(source_stage_name(work)))
        share = done / max(weights.between(0, self._end), 1e-9)
        if share < SHARE or len(ours) < 3 * self._workers:
            return
        self._open = False
        if share <= MOST_SHARE and len(ours) < MANY:
            costs = tuple(tried(commit, weights) for commit in ours)
            phases = (
                Phase(self._workers, 0.0, costs[: self._workers], True),
                Phase(self._workers, seconds, costs[self._workers :]),
            )
            engine = planner.choice.engine
            planner.foresee(
                Sample(engine, self._workers, phases, before=self._before, driver=peak_memory(), asked=MOST_SHARE)
            )
