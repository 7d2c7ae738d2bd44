"""What a plan says of itself: true of the way that was chosen, and at one with its own figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shardwise.engines.registry import CLUSTER_URLS, make_engine
from shardwise.plan.candidates import Ground, Way, choose, ways
from shardwise.plan.choose import Choice, kept
from shardwise.plan.explain import explain, measures
from shardwise.plan.forecast import Load
from shardwise.plan.sample import Phase, Sample, Tried
from shardwise.plan.scaled import shards
from shardwise.plan.shards import Weights

LOCAL = Choice("local:2", 2, 1, 4.0, None, ())
INLINE = Choice("inline", 1, 2, 4.0, None, ())
STEPS = 8.0
"""Of the interpreter, for each row."""


def cut(choice: Choice) -> Load:
    count = max(1, int(200 / choice.target))
    return Load(shards("collect", count, tree=False), Weights((0, count), (choice.target,)))


Task = Callable[[float, int], Tried]


def sampled(task: Task, engine: str = "local:2") -> Sample:
    """As a sampler takes them, in this process or on two workers: a task of so much weight while so many work."""
    if engine == "inline":
        return Sample(engine, 1, tuple(Phase(1, task(w, 1).seconds, (task(w, 1),)) for w in (1.0, 4.0, 4.0)))
    alone = tuple(Phase(1, task(w, 1).seconds, (task(w, 1),)) for w in (1.0, 4.0))
    both = tuple(task(w, 2) for w in (1.0, 1.0, 4.0, 4.0, 4.0, 4.0))
    return Sample(engine, 2, (*alone, Phase(2, sum(t.seconds for t in both) / 2, both)), start=0.1)


def work(each: float, read: float = 0.1, crowding: float = 0.0) -> Task:
    """Tasks of so many seconds for each unit of weight, of which reading takes a part."""

    def task(weight: float, busy: int) -> Tried:
        seconds = each * weight * (1 + crowding * (busy - 1))
        return Tried(weight, seconds, read * seconds, (1 - read) * seconds, cpu=seconds, rows=1000, peak=100 << 20)

    return task


def ground(sample: Sample, **known: object) -> Ground:
    return replace(Ground(sample, False, 2), **known)  # type: ignore[arg-type]


def chosen(known: Ground, asked: Choice = LOCAL) -> tuple[Way, list[Way]]:
    found = ways(known, asked, cut, free=True)
    return choose(found, known.limit), found


def test_one_slow_read_of_a_sample_says_nothing_of_the_rest() -> None:
    """A cold file: the first task of a worker waited for it, and so did a later one."""
    sample = sampled(work(0.1, read=0.1))
    slow = replace(work(0.1)(1.0, 2), seconds=30.1, read=30.0)
    together = replace(sample.phases[-1], tried=(*sample.phases[-1].tried, slow))
    sample = replace(sample, phases=(Phase(2, 30.1, (slow, slow), cold=True), *sample.phases[:-1], together))
    best, found = chosen(ground(sample))
    told = explain(best, found, ground(sample), STEPS)
    assert told.bottleneck.name == "interpreter" and "9.0 x the cost of reading" in told.bottleneck.why
    assert any("9.0 x the cost of reading" in reason for reason in told.reasons)
    assert explain(best, found, ground(sample)).bottleneck.why == "computing takes 90 % of the tasks' time"


@pytest.mark.parametrize(("read", "bound"), [(0.05, "interpreter"), (0.9, "I/O")])
def test_reasons_and_bottleneck_agree(read: float, bound: str) -> None:
    known = ground(sampled(work(0.1, read=read)))
    best, found = chosen(known)
    told = explain(best, found, known, STEPS)
    assert told.bottleneck.name == bound
    assert any("x the cost of reading" in reason for reason in told.reasons) == (bound == "interpreter")


def test_what_is_sooner_done_is_said_to_be() -> None:
    best, found = chosen(ground(sampled(work(0.1))))
    assert best.choice.engine == "local:2"
    told = explain(best, found, ground(sampled(work(0.1))))
    assert told.reasons == ("local:2 takes 10 s, inline 20 s",)


def test_what_is_hardly_sooner_is_not_worth_more_processes() -> None:
    known = ground(sampled(work(0.1, crowding=0.93)))
    best, found = chosen(known)
    assert best.choice.engine == "inline"
    (said, why) = explain(best, found, known).reasons
    assert said == "inline takes 20 s, local:2 19 s: less than 5 % sooner is not worth more processes"
    assert "a second busy worker slows the first one by 93 %" in why


def test_what_would_be_sooner_but_does_not_fit_is_said_not_to() -> None:
    known = ground(sampled(work(0.1)), limit=280 << 20)
    best, found = chosen(known)
    assert best.choice.workers == 1
    reasons = explain(best, found, known).reasons
    assert "local:2 would take 10 s, but does not fit in memory" in reasons
    assert not any("worth" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("asked", "memory", "timeout", "why"),
    [
        (LOCAL, 1 << 40, None, "only worker processes can be held to a limit of memory"),
        (LOCAL, None, 5.0, "only a worker process can be ended when its time is up"),
        (LOCAL, None, None, "a row that kills a process must not kill this one"),
    ],
)
def test_processes_that_are_kept_for_what_was_asked_are_said_to_be(
    asked: Choice, memory: int | None, timeout: float | None, why: str
) -> None:
    known = ground(sampled(work(0.1, crowding=1.2)))
    found = ways(known, asked, cut, free=True)
    told = explain(found[0], found, known, kept=kept(asked, memory, timeout))
    assert told.reasons[0] == f"local:2 takes 22 s, inline 20 s, but the run stays with local:2, as {why}"


def test_kernels_are_not_said_to_have_been_compared_with_processes() -> None:
    """Two hours in this process, and much less on workers, which nobody has tried."""
    known = ground(replace(sampled(work(40.0), "inline"), engine="inline"), native=True)
    found = ways(known, INLINE, cut, free=True)
    found[1] = replace(found[1], forecast=replace(found[1].forecast, seconds=found[0].forecast.seconds * 0.79))
    told = explain(found[0], found, known, kept=kept(INLINE, None, None))
    assert "but the run stays with inline, as no worker process was tried; --engine local:2 asks" in told.reasons[0]
    assert not any("worth" in reason for reason in told.reasons)


def test_who_works_in_this_process_is_not_told_to() -> None:
    known = ground(replace(sampled(work(0.001), "inline"), phases=(Phase(1, 9.0, (work(0.001)(1.0, 1),)),)))
    found = ways(known, INLINE, cut, free=False)
    (reason,) = explain(found[0], found, known).reasons
    assert reason == "most of the time passes between tasks: make shards larger (--shard-size)"


def test_memory_bandwidth_does_not_vanish_where_the_choice_has_acted_on_it() -> None:
    known = ground(sampled(work(0.1, crowding=0.97)))
    best, found = chosen(known)
    bound = explain(best, found, known).bottleneck
    assert best.choice.engine == "inline" and bound.name == "memory bandwidth"
    assert bound.strategy == "no more workers than this one; narrower types, fewer copies of a batch"
    assert "fewer workers" in explain(found[0], found, known).bottleneck.strategy


def test_a_machine_that_is_busy_with_other_things_is_not_short_of_memory_bandwidth() -> None:
    """Two workers took twice as long, as each was queued for a processor half of the time."""

    def queued(weight: float, busy: int) -> Tried:
        one = work(0.1, crowding=1.0)(weight, busy)
        return replace(one, cpu=one.seconds / busy, queued=one.seconds * (busy - 1) / 2)

    known = ground(sampled(queued))
    best, found = chosen(known)
    assert explain(best, found, known).bottleneck.name == "computation"


def test_workers_that_are_sooner_done_than_those_that_are_kept_can_be_asked_for() -> None:
    def waiting(weight: float, busy: int) -> Tried:
        return replace(work(0.1, read=0.0)(weight, busy), cpu=0.002 * weight)

    known = ground(sampled(waiting))
    found = ways(known, LOCAL, cut, free=True)
    (said,) = explain(found[0], found, known, kept=kept(LOCAL, 1 << 40, None)).reasons
    assert said.endswith(
        "but with what was asked for the number of workers is not chosen by time; --engine local:16 asks for that"
    )


def test_kernels_that_use_all_cores_are_not_told_to_have_more_workers() -> None:
    known = ground(sampled(work(0.1), "inline"), native=True)
    found = ways(known, INLINE, cut, free=True)
    told = explain(found[0], found, known, kept=kept(INLINE, None, None))
    assert told.bottleneck.name == "computation" and "more workers" not in told.bottleneck.strategy
    assert "use the cores of this process already" in told.bottleneck.strategy


def test_one_core_is_told_of_workers_that_would_overlap_its_waits() -> None:
    def waiting(weight: float, busy: int) -> Tried:
        return replace(work(0.1, read=0.0)(weight, busy), cpu=0.002 * weight)

    known = ground(sampled(waiting, "inline"), cores=1)
    found = ways(known, INLINE, cut, free=True)
    (said,) = explain(found[0], found, known, kept=kept(INLINE, None, None)).reasons
    assert said.startswith("inline takes 20 s, local:8 2.")
    assert said.endswith(
        "but the run stays with inline, as no worker process was tried; --engine local:8 asks for that"
    )


def test_workers_that_overlap_waits_already_are_not_asked_for() -> None:
    def waiting(weight: float, busy: int) -> Tried:
        return replace(work(0.1, read=0.0)(weight, busy), cpu=0.002 * weight)

    known = ground(sampled(waiting))
    best, found = chosen(known)
    assert best.choice.workers == 16
    assert explain(found[0], found, known).bottleneck.strategy.startswith("more workers than cores")
    assert explain(best, found, known).bottleneck.strategy.startswith("16 workers on 2 cores overlap waits already")


@pytest.mark.parametrize(("each", "read", "said"), [(50.0, 0.1, True), (0.1, 0.1, False)])
def test_what_takes_hours_here_is_told_of_clusters(each: float, read: float, said: bool) -> None:
    known = ground(sampled(work(each, read=read)))
    best, found = chosen(known)
    reasons = explain(best, found, known).reasons
    assert any("--engine dask://..., ray://..., spark://..." in reason for reason in reasons) == said


def test_what_this_process_held_before_is_no_model() -> None:
    """A notebook with a large table in it, and a function that holds nothing."""

    def beside_a_table(weight: float, busy: int) -> Tried:
        return replace(work(0.1)(weight, busy), peak=5200 << 20)

    sample = replace(sampled(beside_a_table, "inline"), before=5100 << 20)
    known = ground(sample, limit=16 << 30)
    best, found = chosen(known, INLINE)
    assert explain(best, found, known).bottleneck.name == "computation"
    empty = ground(replace(sample, before=60 << 20), limit=16 << 30)
    assert explain(best, found, empty).bottleneck.name == "model size"
    assert explain(best, found, replace(empty, native=True)).bottleneck.name == "computation"


def test_engines_that_are_told_of_can_be_named() -> None:
    for url in CLUSTER_URLS:
        assert make_engine(url.replace("...", "there:1")).reach == "network"


def test_waits_of_hours_are_no_matter_of_hosts() -> None:
    def waiting(weight: float, busy: int) -> Tried:
        return replace(work(100.0, read=0.0)(weight, busy), cpu=0.1)

    known = ground(sampled(waiting))
    found = ways(known, LOCAL, cut, free=False)
    assert found[0].forecast.seconds > 3600
    assert not any("cluster" in reason for reason in explain(found[0], found, known).reasons)


def test_bringing_data_to_workers_is_no_part_of_their_start() -> None:
    """A sample's workers are up when they have the data: a gigabyte from this process, and a look at a part of it."""
    known = ground(replace(sampled(work(0.001)), start=2.1), carry=2.0, carried=1 << 30)
    found = ways(known, LOCAL, cut, free=False)
    bound = explain(found[0], found, known).bottleneck
    assert bound.name == "communication" and "1.07 GB" in bound.why
    assert measures(found[0], known, 0.0).starting == pytest.approx(2 * 0.1)


def test_shares_add_up_to_what_is_predicted() -> None:
    known = ground(sampled(work(0.1, read=0.3)))
    found = ways(known, LOCAL, cut, free=False)
    of = measures(found[0], known, 0.0)
    assert of.reading == pytest.approx(6.0) and of.computing == pytest.approx(14.0)
