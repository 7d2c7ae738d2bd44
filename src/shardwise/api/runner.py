"""From a job and options to a result: open what is needed, let the driver work, close it again."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.api.lender import Lender
from shardwise.api.options import Options
from shardwise.api.outcome import Answer, answer
from shardwise.api.planning import CarryOut, choice_of, graph_of, reach, refuse_a_place_of_our_own, settle
from shardwise.api.quarantine import Allowance, Keeper, joined, keep_after_failure
from shardwise.api.result import Result, RunInfo
from shardwise.api.room import with_need
from shardwise.api.runs import RunLedger, open_ledger
from shardwise.engines.registry import engine_label
from shardwise.errors import DiskFull, NonDeterministic, ShardwiseError, UsageError
from shardwise.plan.choose import Choice
from shardwise.plan.work import Work, WriteTo
from shardwise.report.progress import Progress
from shardwise.report.watcher import ProgressWatcher

if TYPE_CHECKING:
    from shardwise.api.job import Job
    from shardwise.api.prediction import Planner
    from shardwise.api.trial import Trial
    from shardwise.run.commits import Commit
    from shardwise.run.graph import Graph


LEAST_TO_PLAN = 3.0
"""Where less than so many seconds of work are left, planning them takes longer than it saves."""


def run(job: Job, options: Options) -> Result:
    """Carry out a job."""
    if engine_label(options.engine).startswith("simulated"):
        raise UsageError(
            f"{engine_label(options.engine)} is not there: it can only be planned for", "add --plan, or job.plan(...)"
        )
    started = time.monotonic()
    refuse_a_place_of_our_own(options)
    work = job.work(options)
    if options.check:
        from shardwise.api.check import check_sample

        check_sample(work, options).enforce()
    ledger = None
    try:
        with open_ledger(work, job.title, options) as ledger:
            return _Run(job, work, options, ledger, started).result()
    except DiskFull as error:
        raise with_need(error, work, options.share, ledger) from error.__cause__


@dataclass(slots=True)
class _Run:
    """One call of ``run``."""

    job: Job
    work: Work
    options: Options
    ledger: RunLedger
    started: float

    def result(self) -> Result:
        """Settle, plan, carry out, and hand over the answer."""
        end = reach(self.work, self.options.share, self.ledger)
        choice = choice_of(self.work, self.options, end)
        allowance = Allowance.of(self.options.max_quarantined)
        keeper = Keeper(self.ledger, allowance, self.work.rows if self._is_whole(end) else None, end)
        progress = Progress(self.options.progress)
        for loss in self.ledger.losses:
            progress.message(f"{loss}: made again")
        watcher = ProgressWatcher(progress)
        trial = self._trial(choice)
        watcher.ours = set() if trial is None else trial.attempts
        totals = _Totals(watcher.ours)
        lender = Lender(choice, self.options, self.ledger, watcher, self.work)
        with contextlib.closing(lender):
            carry_out = totals.counting(lender.carry_out)
            try:
                keeper.check()
                self._settle(end, trial, carry_out)
                self.ledger.begin(self.work)
                if trial is not None:
                    choice = self._decide(end, trial, lender, totals)
                if not self._is_planned(choice):
                    self._foresee(choice, end)
                made = self._carry_out(end, choice, carry_out)
                keeper.check(whole=True)
                if self.options.redundancy > 1:
                    from shardwise.api.redundancy import do_again

                    do_again(self.work, end, choice, self.options, self.ledger, lender)
                self._finish(made, end)
                keeper.keep()
            except ShardwiseError as error:
                self.ledger.check_not_taken()
                keep_after_failure(keeper)
                self.ledger.failed(error)
                raise
            finally:
                progress.end()
        info = RunInfo(
            self.ledger.id,
            self.ledger.kept_at,
            choice.engine,
            choice.workers,
            round(time.monotonic() - self.started, 6),
            totals.tasks,
            totals.resumed,
            totals.rows,
            totals.bytes,
            watcher.retries,
            quarantined=keeper.count + sum(result.run.quarantined for result in self.work.earlier),
            local_reads=lender.local_reads,
        )
        self.ledger.finished(info, self._is_whole(end))
        self._warn()
        return Result(
            made.load,
            info,
            files=made.files,
            rows=made.rows,
            quarantine=joined(keeper.table(), self.work.earlier),
            story=self.ledger.story(info, self.job.title),
        )

    def _trial(self, choice: Choice) -> Trial | None:
        if not choice.undecided:
            return None
        from shardwise.api.trial import Trial

        return Trial(self.ledger, choice)

    def _settle(self, end: int, trial: Trial | None, carry_out: CarryOut) -> None:
        """Find out what columns the functions return, where that has to be known: in this process, if it is tried."""
        if not self.work.settled:
            if trial is not None:
                trial.settle(self.work, end)
            self.work = settle(self.work, end, self.ledger, carry_out)

    def _decide(self, end: int, trial: Trial, lender: Lender, totals: _Totals) -> Choice:
        """Who carries it out, after the first tasks were tried here, and on workers where much is left."""
        lender.choice = choice = trial.decide(self.work, end)
        if trial.rest > LEAST_TO_PLAN:
            choice = self._replanned(choice, end, totals.ours_too(lender.carry_out))
            lender.change(choice)
        return choice

    def _is_planned(self, choice: Choice) -> bool:
        """Whether what was planned last is what is about to happen."""
        plans = self.ledger.noted("plan")
        return bool(plans) and (plans[-1]["engine"], plans[-1]["workers"]) == (choice.engine, choice.workers)

    def _foresee(self, choice: Choice, end: int) -> None:
        """Have the run's first commits tell what the rest will take, for its report."""
        from shardwise.api.foresight import Foresight

        def planner() -> Planner:
            from shardwise.api.prediction import Planner

            return Planner(self.job.title, self.work, self.options, self.ledger, end, choice)

        keep, foresight = self.ledger.on_commit, Foresight(planner, end, choice.workers)

        def heard(commits: Sequence[Commit]) -> None:
            keep(commits)
            foresight.heard(commits)

        self.ledger.on_commit = heard

    def _replanned(self, choice: Choice, end: int, carry_out: CarryOut) -> Choice:
        """What a sample on workers shows: as many as were thought of, fewer, none, or more where they wait."""
        from shardwise.api.prediction import Planner

        still = replace(choice, undecided=True)
        planner = Planner(self.job.title, self.work, self.options, self.ledger, end, still)
        return planner.measured(planner.sample(carry_out))[1] if planner.can_compare else choice

    def _carry_out(self, end: int, choice: Choice, carry_out: CarryOut) -> Answer:
        while True:
            graph, wanted = graph_of(self.work, end, choice, self.ledger)
            commits = carry_out(graph)
            if not self.ledger.superseded():
                break
        parts = [part for task in wanted for part in graph.parts(task)]
        return answer(self.work, [commits[part] for part in parts], self.ledger)

    def _finish(self, made: Answer, end: int) -> None:
        if isinstance(self.work.target, WriteTo):
            self.ledger.publish(self.work.target, made.files, self._is_whole(end))
        elif not self.ledger.kept_at:  # what is in memory goes when the ledger is closed
            data = made.load()
            made.load = lambda: data

    def _warn(self) -> None:
        """Say which tasks came out different when they were made again. Only what a person wrote can do that: the
        states of built-in aggregates may differ where their results do not."""
        tasks = self.ledger.contradictions
        if tasks and self.work.runs_functions:
            shown = ", ".join(tasks[:3]) + (", ..." if len(tasks) > 3 else "")
            warnings.warn(
                f"the function is not deterministic: {len(tasks)} damaged or lost outputs ({shown}) came out different "
                "when they were made again; what came from them was made again, too. Draw randomness from ctx.rng, and "
                "do not depend on the time, the order of a set, or outside data",
                NonDeterministic,
                stacklevel=2,
            )

    def _is_whole(self, end: int) -> bool:
        return end == sum(fragment.batches for fragment in self.work.pipeline.source.fragments)


@dataclass(slots=True)
class _Totals:
    """What the tasks of all graphs of a run add up to. ``ours``: attempts of this call that no driver made."""

    ours: set[int]
    tasks: int = 0
    resumed: int = 0
    rows: int = 0
    bytes: int = 0

    def ours_too(self, carry_out: CarryOut) -> CarryOut:
        """The same for a graph whose tasks a later one has, too: there they count, as made by this call."""

        def noted(graph: Graph) -> dict[int, Any]:
            commits = carry_out(graph)
            self.ours.update(commit.attempt for commit in commits.values())
            return commits

        return noted

    def counting(self, carry_out: CarryOut) -> CarryOut:
        """The same, counted."""

        def counted(graph: Graph) -> dict[int, Any]:
            commits = carry_out(graph)
            before = {task for task, commit in graph.done.items() if commit.attempt not in self.ours}
            self.tasks += len(graph.tasks) - len(graph.halves)
            self.resumed += len(before)
            left = [task for task in graph.tasks if task.id not in before and task.id not in graph.halves]
            fresh = [commits[task.id] for task in left if task.stage != "settle"]
            self.rows += sum(c.metrics.rows_in for c in fresh)
            self.bytes += sum(c.metrics.bytes_in for c in fresh)
            return commits

        return counted
