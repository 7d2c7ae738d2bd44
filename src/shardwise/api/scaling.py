"""``job.scale()``: a sample of the job with several numbers of workers, and what that says of the whole job."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.api.measuring import Bench, Session, bench
from shardwise.api.options import Options
from shardwise.api.planning import refuse_a_place_of_our_own
from shardwise.api.scale_sample import Sample, sample_of
from shardwise.compute.machine import resident_memory, usable_cores
from shardwise.engines.needs import refuse_without
from shardwise.engines.registry import engine_label, engine_reach, make_engine, parse_engine
from shardwise.errors import Interrupted, UsageError
from shardwise.plan.machines import Machines, Need, Offer, cheapest, load_machines, offers
from shardwise.plan.memory import DRIVER_BASE
from shardwise.plan.scaling import Circumstances, EngineScaling, Footprint, Measured
from shardwise.plan.scaling_analysis import analysed
from shardwise.plan.work import CollectTo, Work, WriteTo
from shardwise.sizes import format_duration, format_percent, parse_duration

if TYPE_CHECKING:
    from shardwise.api.job import Job
    from shardwise.engines.registry import Place
    from shardwise.report.tables import Style

REPEATS = 3
"""Measurements with each number of workers."""

LEAST_SECONDS = 1.0
"""One worker should take at least so long for a sample: clocks and threads hide what is shorter."""

SMALL = 3
"""A small part of the sample: so many times less."""

_OURS = ("engine", "shard_size", "speculate")

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scaling:
    """What ``job.scale()`` returns; ``print`` it. ``to_json`` is what ``shardwise scale --json`` prints.

    Attributes
    ----------
    job : str
        What was measured.
    cores : int
        That this process may use here.
    share : float
        Of the data, that each measurement carried out.
    tasks : int
        In which it was cut.
    engines : tuple of EngineScaling
        What was measured on each engine, the laws that fit, and how long the whole job would take.
    offers : tuple of Offer
        Machines of the file, in all numbers that can be had, for the engine that is fastest.
    cheapest : Offer or None
        Of these, that meets the deadline.
    machines : Machines or None
        The file.
    deadline : float or None
        Seconds.
    """

    job: str
    cores: int
    share: float
    tasks: int
    engines: tuple[EngineScaling, ...]
    offers: tuple[Offer, ...] = ()
    cheapest: Offer | None = None
    machines: Machines | None = None
    deadline: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "job": self.job,
            "cores": self.cores,
            "sample": {"share": self.share, "tasks": self.tasks},
            "engines": [engine.to_json() for engine in self.engines],
            "machines": self.machines
            and {
                "currency": self.machines.currency,
                "deadline": self.deadline,
                "offers": [offer.to_json() for offer in self.offers],
                "cheapest": None if self.cheapest is None else self.cheapest.to_json(),
            },
        }

    def draw(self, path: str) -> None:
        """Draw measured and fitted speed-up and efficiency (extra ``charts``).

        Parameters
        ----------
        path : str
            Ends in .svg or .png.
        """
        from shardwise.report.scaling import draw_chart

        draw_chart(path, f"{self.job}: measured and fitted", self.engines)

    def render(self, style: Style) -> str:
        """As text for a terminal that can show this."""
        from shardwise.report import scaling as text

        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        blocks = [f"{self.job}\nthe first {format_percent(self.share)} of the data in {self.tasks} tasks; {cores} here"]
        for found in self.engines:
            blocks.append(f"engine {found.engine}\n\n" + text.measured_table(found.rows, style))
            blocks.append("\n".join([text.serial_line(found), *text.fit_lines(found)]))
            if found.outlook is not None:
                blocks += [text.ways_table(found, style), f"{text.whole_line(found)}\n{found.answer}"]
            blocks.append("\n".join(f"note: {remark}" for remark in found.remarks))
        if self.machines is not None:
            currency = self.machines.currency
            if self.offers:
                few = text.shown(self.offers, self.cheapest)
                blocks.append(text.offers_table(few, self.deadline, currency, style))
            blocks.append(text.cheapest_line(self.cheapest, self.deadline, currency))
        return "\n\n".join(block for block in blocks if block)

    def __str__(self) -> str:
        from shardwise.report.tables import PLAIN

        return self.render(PLAIN)


def scale(
    job: Job,
    workers: Sequence[int],
    engines: Sequence[Place] = (),
    *,
    repeats: int = REPEATS,
    machines: str | Machines | None = None,
    deadline: float | str | None = None,
    told: Told = lambda line: None,
    **options: Any,
) -> Scaling:
    """See ``Job.scale``; ``told`` hears of each measurement."""
    for name in _OURS:
        if name in options:
            raise UsageError(
                f"{name} is what is being varied, or fixed here", f"leave {name} out; engines=[...], workers=[...]"
            )
    given = Options.of({**options, "progress": "none"})
    counts = _counts(workers)
    if type(repeats) is not int or repeats < 1:
        raise UsageError(f"repeats is {repeats!r}", "give a whole number, 1 or more")
    known = load_machines(machines) if isinstance(machines, str) else machines
    seconds = _deadline(deadline, known)
    for place in engines:
        _refuse(place, given)
    load = os.getloadavg()[0]
    with _nothing_to_resume(), bench(job, given) as one:
        places = tuple(engines) or (_usual(one.work),)
        sample = sample_of(one.work, counts, None if given.first is None else given.share)
        found: list[EngineScaling] = []
        for place in places:
            made = _Engine(one, place, counts, repeats, told)
            sample = made.measure(sample, may_grow=given.first is None and not found)
            found.append(made.analysed(sample, load))
        need = _need(one, sample, found)
    result = Scaling(job.title, usable_cores(), sample.share, sample.tasks, tuple(found))
    return result if known is None else _with_machines(result, known, need, seconds)


@contextlib.contextmanager
def _nothing_to_resume() -> Iterator[None]:
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("interrupted: nothing of what was measured is kept", "run it again, from the start") from None


def _counts(workers: Sequence[int]) -> list[int]:
    counts = sorted(set(workers))
    if not counts or any(type(n) is not int or n < 1 for n in counts):
        raise UsageError(f"workers is {list(workers)!r}", "give numbers of workers: [1, 2, 4]")
    return counts


def _deadline(deadline: float | str | None, machines: Machines | None) -> float | None:
    if deadline is None:
        return None
    seconds = parse_duration(deadline) if isinstance(deadline, str) else float(deadline)
    if machines is None:
        raise UsageError("a deadline says nothing without machines to choose from", "name a file: --machines FILE.toml")
    if not seconds > 0:
        raise UsageError(f"deadline is {deadline!r}", 'give seconds above 0, or "2h"')
    return seconds


def _refuse(place: Place, options: Options) -> None:
    """Say before any work what cannot be measured like this."""
    if isinstance(place, str):
        name, argument = parse_engine(place)
        if name == "local" and argument:
            raise UsageError(f"{place} says how many workers there are, and so do --workers", "write local")
        if name == "simulated":
            raise UsageError(f"there is nothing to measure on {place}", "name an engine that is there: local")
    refuse_a_place_of_our_own(replace(options, engine=place))
    if place != "auto":
        refuse_without(getattr(make_engine(place), "needs", list)(), engine_label(place))


def _usual(work: Work) -> Place:
    """As ``auto`` decides: processes for what a person wrote in Python, threads for native kernels."""
    return "local" if work.runs_functions or work.guarded else "inline"


class _Engine:
    """Measurements on one engine."""

    def __init__(self, one: Bench, place: Place, counts: Sequence[int], repeats: int, told: Told) -> None:
        self._bench, self._counts, self._told = one, counts, told
        self._place: Place = _usual(one.work) if place == "auto" else place
        self._name = engine_label(self._place)
        self._reach = engine_reach(self._place)
        quick = self._name in ("inline", "local")  # opened again for each round, so that a busy minute harms no one
        self._rounds, self._each = (repeats, 1) if quick else (1, repeats)
        self._measured: list[Measured] = []
        self._small: list[Measured] = []
        self._footprint = Footprint(0, 0)

    def measure(self, sample: Sample, may_grow: bool) -> Sample:
        """Measure all; returns the sample that was large enough."""
        order = sorted(self._counts, reverse=True)
        for turn in range(self._rounds):
            for workers in order if turn % 2 == 0 else reversed(order):
                with self._bench.session(self._place, workers) as session:
                    session.warm(sample)
                    if not self._measured:  # what is read comes from the page cache from now on
                        session.measure(sample)
                        if may_grow and session.busy_seconds < LEAST_SECONDS:
                            sample = sample.larger(LEAST_SECONDS / max(session.busy_seconds, 1e-3))
                            session.measure(sample)
                    self._repeat(session, sample, workers)
        return sample

    def _repeat(self, session: Session, sample: Sample, workers: int) -> None:
        for _ in range(self._each):
            one = session.measure(sample)
            self._measured.append(one)
            self._footprint = Footprint(
                max(self._footprint.worker, session.footprint.worker), session.footprint.outputs
            )
            people = "1 worker" if workers == 1 else f"{workers} workers"
            self._told(f"{self._name}, {people}: {format_duration(one.seconds)}, start-up {format_duration(one.start)}")
            if workers == max(self._counts) and sample.tasks >= SMALL:
                self._small.append(session.measure(sample.part(sample.tasks // SMALL)))

    def analysed(self, sample: Sample, load: float) -> EngineScaling:
        """What they say."""
        one, fragments = self._bench, self._bench.work.pipeline.source.fragments
        sizes = [fragment.size for fragment in fragments]
        about = Circumstances(
            cores=usable_cores(),
            load=load,
            far=self._reach == "network",
            inline=self._reach == "process",
            sample=one.weight(sample),
            small=one.weight(sample.part(max(1, sample.tasks // SMALL))),
            whole=one.whole,
            size=None if None in sizes else sum(size for size in sizes if size is not None),
            most=-(-sample.total // sample.unit),
            writes=one.work.target.directory if isinstance(one.work.target, WriteTo) else "",
        )
        return analysed(self._name, self._measured, self._small, self._footprint, about)


def _need(one: Bench, sample: Sample, found: Sequence[EngineScaling]) -> Need:
    """Memory as it was measured; what is collected is held by the driver besides."""
    fastest = _fastest(found)
    driver = max(DRIVER_BASE, resident_memory())
    if isinstance(one.work.target, CollectTo):
        driver += round(fastest.footprint.outputs * one.whole / max(one.weight(sample), 1e-9))
    if fastest.engine == "inline":
        return Need(max(driver, fastest.footprint.worker), 0)
    return Need(driver, fastest.footprint.worker)


def _fastest(found: Sequence[EngineScaling]) -> EngineScaling:
    """The engine with which the whole job would take least here."""
    known = [each for each in found if each.ways]
    return min(known, key=lambda each: each.ways[0].seconds.value) if known else found[0]


def _with_machines(result: Scaling, machines: Machines, need: Need, deadline: float | None) -> Scaling:
    outlook = _fastest(result.engines).outlook
    if outlook is None:
        return replace(result, machines=machines, deadline=deadline)
    per_core = max(1.0, outlook.here / result.cores)
    found = [offer for machine in machines.types for offer in offers(machine, outlook, need, per_core)]
    return replace(
        result, offers=tuple(found), cheapest=cheapest(found, deadline), machines=machines, deadline=deadline
    )
