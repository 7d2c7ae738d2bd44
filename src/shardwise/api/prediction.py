"""``job.plan()``: try the first tasks, simulate the run at what they cost, compare ways, and say what would happen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shardwise.api.earlier import earlier_sample
from shardwise.api.lender import Lender
from shardwise.api.options import Options
from shardwise.api.planning import (
    CarryOut,
    as_it_was,
    choice_of,
    graph_of,
    reach,
    refuse_a_place_of_our_own,
    settle,
    stages_of,
)
from shardwise.api.runs import RunLedger, look_at, open_ledger, refuse_taken_output, remember_access
from shardwise.api.sampling import Sampler
from shardwise.compute.machine import usable_cores, usable_memory
from shardwise.engines.registry import engine_label, parse_engine
from shardwise.errors import RunIsTaken, UsageError
from shardwise.plan import held
from shardwise.plan.candidates import Ground, Way, choose, ways
from shardwise.plan.choose import IF_SHORT, Choice, kept
from shardwise.plan.explain import explain
from shardwise.plan.fitting import refuse_what_does_not_fit
from shardwise.plan.forecast import Load
from shardwise.plan.memory import USABLE_SHARE, projected
from shardwise.plan.plan import Plan
from shardwise.plan.sample import SHARE, Sample
from shardwise.plan.scaled import Scaled
from shardwise.plan.shards import Weights
from shardwise.plan.work import Work, WriteTo
from shardwise.records import plain, revive
from shardwise.report.progress import Progress
from shardwise.report.watcher import ProgressWatcher
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.history import PLANNED
from shardwise.run.output import holds_other_data

if TYPE_CHECKING:
    from shardwise.api.job import Job


@dataclass(frozen=True, slots=True)
class Ask:
    """What a plan is asked for: ``rows`` of data, where there will be more than there is now; the ``share`` of the work
    that may be tried."""

    rows: int | None = None
    share: float = SHARE


def plan(job: Job, options: Options, ask: Ask | None = None) -> Plan:
    """What ``runner.run`` would do and take. What is tried for it is committed to the run."""
    began = time.monotonic()
    ask = ask or Ask()
    scaled = Scaled.of(engine_label(options.engine), ask.rows)
    here = replace(options, engine="auto") if scaled.engine else options
    refuse_a_place_of_our_own(here)
    work = job.work(here)
    with _ledger(work, job.title, here, ask.share) as ledger:
        refuse_taken_output(work, job.title, ledger)
        if ledger.takes_commits and not ledger.is_finished:
            ledger.note_later(PLANNED, {})
        end = reach(work, here.share, ledger)
        planner = Planner(job.title, work, here, ledger, end, choice_of(work, here, end), scaled)
        why_not = _why_not(planner, ask.share)
        head = time.monotonic() - began
        if not why_not:
            return planner.measured(planner.trying(ask.share), head)[0]
        if not (scaled.rows or scaled.engine):
            return planner.unmeasured(why_not)
        earlier = earlier_sample(work, ledger)
        if earlier is None:
            raise UsageError(
                f"what that would take cannot be told: {why_not}",
                "plan for what is there with the sample, in a run of several batches (batch_rows makes them smaller)",
            )
        return planner.measured(earlier, head)[0]


def _why_not(planner: Planner, share: float) -> str:
    """Why nothing can be tried for a plan; empty: it can."""
    work, ledger = planner.work, planner.ledger
    if share <= 0:
        return "nothing is tried (--no-sample)"
    if ledger.is_finished:
        return "the run is finished"
    if not ledger.takes_commits:
        return "another driver works in the run"
    if planner.end <= work.part_batches:
        return "to try one batch would be to do all of it"
    if isinstance(work.target, WriteTo):
        where = work.target.directory
        if work.target.overwrite and holds_other_data(where, ledger.id):
            return f"the first task that is tried would replace what is in {where}"
        if planner.options.restart:
            return f"a restart begins with emptying {where}"
    return ""


@contextlib.contextmanager
def _ledger(work: Work, title: str, options: Options, share: float) -> Iterator[RunLedger]:
    """The run's ledger, to commit what is tried; to look at only, where nothing is or another driver works in it. A run
    that would begin anew is not touched: what is tried for it is not kept."""
    with contextlib.ExitStack() as stack:
        ledger = None
        if share > 0 and options.restart:
            memory = EphemeralLedger()
            stack.callback(memory.close)
            remember_access(work, options)
            ledger = RunLedger(memory, "")
        elif share > 0:
            with contextlib.suppress(RunIsTaken):
                ledger = stack.enter_context(open_ledger(work, title, options))
        yield ledger or stack.enter_context(look_at(work, title, options))


@dataclass(slots=True)
class Planner:
    """Plans one job.

    Parameters
    ----------
    title : str
        The job in a line.
    work : Work
        The job.
    options : Options
        What the person asked for.
    ledger : RunLedger
        What is committed.
    end : int
        Ordinals to do.
    choice : Choice
        What arithmetic says.
    scaled : Scaled
        How the plan's data and engine differ from those that are here.
    """

    title: str
    work: Work
    options: Options
    ledger: RunLedger
    end: int
    choice: Choice
    scaled: Scaled = field(default_factory=Scaled)

    @property
    def can_compare(self) -> bool:
        """Whether so much is left that trying one worker and all of them takes little of it."""
        return self.end * SHARE / self.work.part_batches >= self.choice.workers + 4

    def unmeasured(self, why: str = "") -> Plan:
        """What is known without running anything, and why nothing was run for it."""
        outcome = self.ledger.outcome
        choice = self.choice if outcome is None else as_it_was(self.choice, outcome)
        memory = projected(self.work, parse_engine(choice.engine)[0], choice.workers)
        return Plan(
            self.title,
            choice.engine,
            choice.workers,
            choice.threads,
            stages_of(self.work, self.end, choice, self.ledger),
            memory,
            self.options.memory_bytes,
            self.ledger.kept_at,
            (*choice.reasons, *([f"no time is predicted: {why}"] if why else ())),
        )

    def measured(self, sample: Sample, head: float = 0.0) -> tuple[Plan, Choice]:
        """What a sample shows, and the choice that follows; ``head``: seconds that pass before the first task.

        Raises
        ------
        UsageError
            It would not fit in memory.
        """
        ground = self._ground(sample, head)
        found = ways(ground, self.scaled.choice(self.choice), self._load, self._free)
        best = choose(found, ground.limit) if self._free and self.choice.undecided else found[0]
        refuse_what_does_not_fit(best, ground, self.work, self.options.memory_bytes)
        made = self._plan(best, found, ground, self._steps(sample))
        if self.scaled == Scaled() and self.ledger.takes_commits:
            self.ledger.note("plan", made.to_dict())
        return made, best.choice

    def foresee(self, sample: Sample) -> None:
        """Note what is left will take, in a run that is under way: nothing is chosen, refused or called for it."""
        ground = self._ground(sample, 0.0)
        found = ways(ground, self.choice, self._load, free=False)
        self.ledger.note("plan", self._plan(found[0], found, ground, 0.0).to_dict())

    def trying(self, share: float) -> Sample:
        """Open the engine and try tasks on it."""
        watcher = ProgressWatcher(Progress("none"))
        lender = Lender(self.choice, self.options, self.ledger, watcher, self.work)
        with contextlib.closing(lender):
            if not self.work.settled:
                self.work = settle(self.work, self.end, self.ledger, lender.carry_out)
            self.ledger.begin(self.work, planned=True)
            return self.sample(lender.carry_out, share)

    def sample(self, carry_out: CarryOut, share: float = SHARE) -> Sample:
        """What was tried before on this engine with so many workers, or what is tried now."""
        choice = self.choice
        for note in reversed(self.ledger.noted("sample")):
            if (note["engine"], note["workers"]) == (choice.engine, choice.workers):
                earlier: Sample = revive(Sample, note)
                return earlier
        sample = Sampler(self.work, self.end, choice, self.ledger, carry_out).take(share)
        if self.ledger.kept_at:
            self.ledger.note("sample", plain(sample))
        return sample

    @property
    def _free(self) -> bool:
        """Whether the person left the engine and the number of workers to us: then ways are compared. One of them is
        chosen only where a run would, too."""
        return self.options.engine == "auto" and self.options.workers is None and not self.scaled.engine

    def _load(self, choice: Choice) -> Load:
        weights = Weights.of(self.work.pipeline.source.fragments)
        if self.scaled.rows or self.scaled.engine:
            return self.scaled.load(self.work, choice, weights.between(0, self.end))
        return Load(graph_of(self.work, self.end, choice, self.ledger)[0].tasks, weights)

    def _steps(self, sample: Sample) -> float:
        from shardwise.api.interpreted import sampled_steps  # here, as a job without functions needs none of it

        return sampled_steps(self.work, self.ledger, sample) if self.options.timeout is None else 0.0

    def _ground(self, sample: Sample, head: float) -> Ground:
        source = self.work.pipeline.source
        weights = Weights.of(source.fragments)
        carried = 0 if source.remote_safe else sum(f.size or 0 for f in source.fragments)
        limit = self.options.memory_bytes or int(usable_memory() * USABLE_SHARE)
        return Ground(
            sample,
            self.work.is_native,
            usable_cores(),
            carried * seconds_a_byte() if carried else 0.0,
            carried,
            head,
            limit,
            int(held.of_result(self.work, sample, weights.between(0, self.end)) * self.scaled.factor_of(self.work)),
            all(fragment.size is not None for fragment in source.fragments),
        )

    def _plan(self, best: Way, found: Sequence[Way], ground: Ground, steps: float) -> Plan:
        choice, forecast = best.choice, best.forecast
        asked, options = self.choice, self.options
        why = "" if asked.undecided else kept(asked, options.memory_bytes, options.timeout)
        told = explain(best, found, ground, steps, why)
        stages = tuple(
            replace(stage, seconds=_rounded(forecast.stages.get(stage.name)), memory_bytes=best.memory)
            for stage in stages_of(self.work, self.end, choice, self.ledger)
        )
        return Plan(
            self.title,
            choice.engine,
            choice.workers,
            choice.threads,
            stages,
            best.memory,
            self.options.memory_bytes,
            self.ledger.kept_at,
            (
                *(reason for reason in choice.reasons if reason != IF_SHORT),
                *self.scaled.reasons(self.work),
                *told.reasons,
            ),
            seconds=_rounded(forecast.seconds),
            seconds_low=_rounded(forecast.low),
            seconds_high=_rounded(forecast.high),
            bottleneck=told.bottleneck,
            alternatives=tuple(one.row(ground.limit, one is best) for one in found),
            sample=ground.sample.facts(Weights.of(self.work.pipeline.source.fragments).between(0, self.end)),
        )


def seconds_a_byte() -> float:
    """Seconds of copying a byte into memory that workers share, measured now."""
    from shardwise.data.loans import Loans

    size = 32 << 20
    data: Any = bytes(size)
    loans = Loans("host")
    with contextlib.closing(loans):
        began = time.monotonic()
        loans.file(data, data)
        return (time.monotonic() - began) / size


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
