"""``job.plan()``: try the first tasks, simulate the run at what they cost, compare ways, and say what would happen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shardwise.api.ask import Ask
from shardwise.api.earlier import earlier_sample, noted_sample
from shardwise.api.lender import Lender
from shardwise.api.options import Options
from shardwise.api.planning import (
    Anew,
    CarryOut,
    as_it_was,
    choice_of,
    graph_of,
    ledger_of_plan,
    reach,
    refuse_a_place_of_our_own,
    settle,
    stages_of,
    why_nothing_is_tried,
)
from shardwise.api.runs import RunLedger
from shardwise.api.sampling import Sampler
from shardwise.compute.machine import usable_cores, usable_memory
from shardwise.engines.registry import engine_label, parse_engine
from shardwise.errors import UsageError
from shardwise.plan import held
from shardwise.plan.candidates import Ground, Way, choose, ways
from shardwise.plan.choose import IF_SHORT, Choice, kept
from shardwise.plan.doubts import far_from_tried, more_than_allowed
from shardwise.plan.explain import explain
from shardwise.plan.fitting import Room, refuse_what_does_not_fit
from shardwise.plan.forecast import Load
from shardwise.plan.memory import USABLE_SHARE, projected
from shardwise.plan.plan import Alternative, Plan, StagePlan
from shardwise.plan.preview import preview
from shardwise.plan.sample import SHARE, Sample
from shardwise.plan.scaled import Scaled
from shardwise.plan.shards import Weights
from shardwise.plan.work import Work
from shardwise.records import plain
from shardwise.report.progress import Progress
from shardwise.report.watcher import ProgressWatcher

if TYPE_CHECKING:
    from shardwise.api.job import Job
    from shardwise.plan.graphs import Done


def plan(job: Job, options: Options, ask: Ask | None = None) -> Plan:
    """What ``runner.run`` would do and take. What is tried for it is committed to the run."""
    began = time.monotonic()
    ask = ask or Ask()
    scaled = Scaled.of(engine_label(options.engine), ask.rows, options.workers)
    here = replace(options, engine="auto") if scaled.engine else options
    refuse_a_place_of_our_own(here)
    work = job.work(here)
    with ledger_of_plan(work, job.title, here, tries=ask.allowed > 0) as ledger:
        end = reach(work, here.share, ledger)
        kept = bool(ledger.kept_at) and not here.restart
        planner = Planner(job.title, work, here, ledger, end, choice_of(work, here, end), scaled, kept)
        why_not = why_nothing_is_tried(work, here, ledger, end, ask.allowed)
        head = time.monotonic() - began
        if not why_not:
            return planner.measured(planner.trying(ask), head)[0]
        if not scaled.is_other:
            return planner.unmeasured(why_not)
        earlier = earlier_sample(work, ledger)
        if earlier is None:
            raise UsageError(
                f"what that would take cannot be told: {why_not}",
                "plan for what is there with the sample, in a run of several batches (batch_rows makes them smaller)",
            )
        return planner.measured(earlier, head)[0]


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
    kept : bool
        Whether the run goes on from what is committed; else it does that again.
    """

    title: str
    work: Work
    options: Options
    ledger: RunLedger
    end: int
    choice: Choice
    scaled: Scaled = field(default_factory=Scaled)
    kept: bool = True

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
            stages_of(self.work, self.end, choice, self._done),
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
        choice = self.scaled.choice(self.work, self.choice, self._weight, self.options.shard_bytes)
        found = ways(ground, choice, self._load, self._free)
        best = choose(found, ground.limit) if self._free and self.choice.undecided else found[0]
        if best.memory > ground.limit:  # only then a cluster is asked how many workers it could lend
            refuse_what_does_not_fit(best, ground, self.work, self._room)
        made = self._plan(best, found, ground, self._steps(sample))
        if not self.scaled.is_other and self.ledger.takes_commits:
            self.ledger.note("plan", made.to_dict())
        return made, best.choice

    def foresee(self, sample: Sample) -> None:
        """Note what is left will take, in a run that is under way: nothing is chosen, refused or called for it."""
        ground = self._ground(sample, 0.0)
        found = ways(ground, self.choice, self._load, free=False)
        self.ledger.note("plan", self._plan(found[0], found, ground, 0.0).to_dict())

    def trying(self, ask: Ask) -> Sample:
        """Open the engine and try tasks on it."""
        watcher = ProgressWatcher(Progress("none"))
        lender = Lender(self.choice, self.options, self.ledger, watcher, self.work)
        with contextlib.closing(lender):
            if not self.work.settled:
                self.work = settle(self.work, self.end, self.ledger, lender.carry_out)
            self.ledger.begin(self.work, planned=True)
            return self.sample(lender.carry_out, ask)

    def sample(self, carry_out: CarryOut, ask: Ask | None = None) -> Sample:
        """What was tried before on this engine with so many workers, or what is tried now; both together, where the
        person asks for more than was asked for before."""
        choice, asked = self.choice, ask.share if ask else None
        earlier = noted_sample(self.ledger, choice.engine, choice.workers)
        if earlier and (asked is None or earlier.asked >= asked):
            return earlier
        sampler = Sampler(self.work, self.end, choice, self.ledger, carry_out)
        if not sampler.left and (any_other := earlier or earlier_sample(self.work, self.ledger)):
            return any_other
        sample = sampler.take() if asked is None else sampler.more(earlier, asked)
        if self.ledger.kept_at:
            self.ledger.note("sample", plain(sample))
        return sample

    @property
    def _free(self) -> bool:
        """Whether the person left the engine and the number of workers to us: then ways are compared. One of them is
        chosen only where a run would, too."""
        return self.options.engine == "auto" and self.options.workers is None and not self.scaled.engine

    @property
    def _done(self) -> Done:
        return self.ledger if self.kept else Anew()

    @property
    def _weight(self) -> float:
        """Of the data that is here."""
        return Weights.of(self.work.pipeline.source.fragments).between(0, self.end)

    @property
    def _room(self) -> Room:
        from shardwise.api.executor import workers_of  # here, as few plans are refused

        engine, options = self.options.engine, self.options
        local = parse_engine(engine_label(engine))[0] in ("auto", "local") and not self.scaled.engine
        alone = local and options.timeout is None and not self.work.guarded
        return Room(options.memory_bytes, options.workers or workers_of(engine), alone)

    def _load(self, choice: Choice) -> Load:
        if self.scaled.is_other:
            return self.scaled.load(self.work, choice, self._weight, self.end)
        weights = Weights.of(self.work.pipeline.source.fragments)
        return Load(graph_of(self.work, self.end, choice, self._done)[0].tasks, weights)

    def _stages(self, way: Way) -> tuple[StagePlan, ...]:
        if self.scaled.is_other:
            return preview(way.load.tasks, self.work, self.end, times=self.scaled.factor_of(self.work))
        return stages_of(self.work, self.end, way.choice, self._done)

    def _row(self, way: Way, limit: int, chosen: bool) -> Alternative:
        if self.scaled.is_other:  # shards of one length: that of the data to come, cut
            way = replace(way, choice=replace(way.choice, target=way.load.heaviest))
        return way.row(limit, chosen)

    def _steps(self, sample: Sample) -> float:
        from shardwise.api.interpreted import sampled_steps  # here, as a job without functions needs none of it

        return sampled_steps(self.work, self.ledger, sample) if self.options.timeout is None else 0.0

    def _ground(self, sample: Sample, head: float) -> Ground:
        source = self.work.pipeline.source
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
            int(held.of_result(self.work, sample, self._weight) * self.scaled.factor_of(self.work)),
            all(fragment.size is not None for fragment in source.fragments),
            self.work.runs_functions,
        )

    def _plan(self, best: Way, found: Sequence[Way], ground: Ground, steps: float) -> Plan:
        choice, forecast = best.choice, best.forecast
        asked, options = self.choice, self.options
        why = "" if asked.undecided else kept(asked, options.memory_bytes, options.timeout)
        told = explain(best, found, ground, steps, why)
        stages = tuple(
            replace(stage, seconds=_rounded(forecast.stages.get(stage.name)), memory_bytes=best.memory)
            for stage in self._stages(best)
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
                *self._doubts(best, ground.sample),
                *told.reasons,
            ),
            seconds=_rounded(forecast.seconds),
            seconds_low=_rounded(forecast.low),
            seconds_high=_rounded(forecast.high),
            bottleneck=told.bottleneck,
            alternatives=tuple(self._row(one, ground.limit, one is best) for one in found),
            sample=ground.sample.facts(self._weight),
            hosts=self.scaled.hosts,
        )

    def _doubts(self, way: Way, sample: Sample) -> tuple[str, ...]:
        units = -(-self.end // self.work.part_batches)
        return (*more_than_allowed(sample, self._weight, units), *far_from_tried(way.load.heaviest, way.costs))


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
