"""Ways to carry a job out, compared by the same simulation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shardwise.plan.candidates import Cut, Ground, Way, choose, costs_on, way, ways
from shardwise.plan.choose import Choice
from shardwise.plan.forecast import Load
from shardwise.plan.sample import Phase, Sample, Tried
from shardwise.plan.scaled import shards
from shardwise.plan.shards import Weights
from shardwise.plan.waits import idle

LOCAL = Choice("local:2", 2, 1, 4.0, None, ())


def tried(seconds: float, crowding: float = 0.0, cold: float = 0.0, peak: int = 100 << 20) -> Sample:
    """A second of work for each unit of weight, and what it costs to be two."""

    def task(weight: float, busy: int, extra: float = 0.0) -> Tried:
        return Tried(weight, seconds * weight * (1 + crowding * (busy - 1)) + extra, compute=seconds, peak=peak)

    phases = (
        Phase(2, 1.0, (task(1.0, 2, cold), task(1.0, 2, cold)), cold=True),
        Phase(1, seconds, (task(1.0, 1),)),
        Phase(1, 3 * seconds, (task(3.0, 1),)),
        Phase(2, 8 * seconds, (task(2.0, 2), task(2.0, 2), task(6.0, 2), task(6.0, 2))),
    )
    return Sample("local:2", 2, phases, start=0.5, before=50 << 20, driver=60 << 20)


def cut(choice: Choice) -> Load:
    count = int(200 / choice.target)
    return Load(shards("collect", count, tree=False), Weights((0, count), (choice.target,)))


def ground(sample: Sample, **known: object) -> Ground:
    return replace(Ground(sample, False, 2), **known)  # type: ignore[arg-type]


def test_two_workers_take_half_where_they_do_not_meet() -> None:
    found = ways(ground(tried(0.1)), LOCAL, cut, free=True)
    best = choose(found, 1 << 40)
    assert best.choice.engine == "local:2"
    by_engine = {one.choice.engine: one.forecast.seconds for one in reversed(found)}
    assert by_engine["local:2"] == pytest.approx(10.5, rel=0.1)
    assert by_engine["inline"] == pytest.approx(20, rel=0.1)
    assert by_engine["local:1"] == pytest.approx(20.5, rel=0.1)


def test_this_process_alone_wins_where_two_are_no_faster() -> None:
    found = ways(ground(tried(0.1, crowding=1.0)), LOCAL, cut, free=True)
    assert choose(found, 1 << 40).choice.engine == "inline"


def waiting(sample: Sample, working: float = 0.02) -> Sample:
    """The same, where a processor works only for this part of each task."""

    def told(phase: Phase) -> Phase:
        return replace(phase, tried=tuple(replace(t, cpu=t.seconds * working) for t in phase.tried))

    return replace(sample, phases=tuple(map(told, sample.phases)))


def more(sample: Sample, cut: Cut, **known: object) -> dict[int, Way]:
    """Ways with more workers than cores, in shards of the length that was thought of for them."""
    found = ways(ground(sample, **known), replace(LOCAL, memory=100 << 20), cut, free=True)
    return {one.choice.workers: one for one in reversed(found) if one.choice.workers > 2}


def test_more_workers_than_cores_are_thought_of_where_tasks_wait() -> None:
    found = more(waiting(tried(0.1)), cut)
    assert sorted(found) == [4, 8, 16]
    assert found[16].forecast.seconds == pytest.approx(0.5 + 20 / 16, rel=0.1), "who waits uses no core"
    assert all(len(one.readers) >= 8 * workers for workers, one in found.items())
    assert found[16].choice.memory == (2 * 100 << 20) // 16, "they share what two were allowed"
    assert found[16].choice.reasons == ("local: 16 processes on 2 cores, as tasks wait 98 % of their time",)
    best = choose(ways(ground(waiting(tried(0.1))), LOCAL, cut, free=True), 1 << 40)
    assert best.choice.workers == 16


def test_they_are_not_where_processors_work_or_nobody_knows() -> None:
    assert more(waiting(tried(0.1), working=0.6), cut) == {}
    assert more(tried(0.1), cut) == {}


def test_kernels_that_wait_for_processors_get_no_more_of_them() -> None:
    """A neighbour may hold the cores: their threads are queued, and only that of the task is known to be."""
    found = ways(ground(waiting(tried(0.1)), calls=False), LOCAL, cut, free=True)
    assert max(one.choice.workers for one in found) == 2


def test_beyond_what_their_work_leaves_of_the_cores_more_workers_are_no_sooner_done() -> None:
    found = more(waiting(tried(0.1), working=0.25), cut)
    assert found[8].forecast.seconds == pytest.approx(0.5 + 20 / 8, rel=0.1)
    assert found[16].forecast.seconds == pytest.approx(found[8].forecast.seconds, rel=0.1)


def test_what_two_workers_had_to_share_more_of_them_share_too() -> None:
    found = more(waiting(tried(0.1, crowding=1.0)), cut)
    assert found[16].forecast.seconds == pytest.approx(20.5, rel=0.1), "a lock, say, that one holds at a time"


def test_there_are_no_more_workers_than_tasks() -> None:
    def coarse(choice: Choice) -> Load:
        """Six units that cannot be cut."""
        return Load(shards("collect", 6, tree=False), Weights((0, 6), (200 / 6,)))

    assert sorted(more(waiting(tried(0.1)), coarse)) == [4, 6]


def test_there_are_no_more_workers_than_fit_in_memory() -> None:
    assert sorted(more(waiting(tried(0.1, peak=100 << 20)), cut, limit=1200 << 20)) == [4, 8]


def test_what_a_task_costs_itself_hides_no_waits_of_longer_ones() -> None:
    """A sample's tasks are short: here they work for 10 ms whatever they read, and wait for 2 ms a unit."""
    tasks = tuple(Tried(w, 0.01 + 0.002 * w, compute=0.01 + 0.002 * w, cpu=0.01) for w in (1.0, 4.0))
    sample = Sample("local:2", 2, tuple(Phase(1, task.seconds, (task,)) for task in tasks), start=0.1)
    assert idle(sample, 4.0) == pytest.approx(0.44, abs=0.01)
    assert idle(sample, 40.0) == pytest.approx(0.89, abs=0.01)


def test_reading_that_was_slow_once_is_no_wait_of_the_function() -> None:
    tasks = (Tried(1.0, 0.11, read=0.01, compute=0.1, cpu=0.1), Tried(4.0, 8.4, read=8.0, compute=0.4, cpu=0.44))
    assert idle(Sample("local:2", 2, tuple(Phase(1, task.seconds, (task,)) for task in tasks)), 4.0) == 0.0


def test_reasons_are_true_of_the_way_that_they_stand_by() -> None:
    found = {one.choice.engine: one.choice.reasons for one in ways(ground(tried(0.1)), LOCAL, cut, free=True)[:3]}
    assert found["inline"] == ("inline: no worker processes, by the times and the memory of the sample",)
    assert found["local:1"] == ("local: 1 of 2 workers, by the times and the memory of the sample",)


def test_what_does_not_fit_is_not_chosen() -> None:
    found = ways(ground(tried(0.1, peak=1 << 30), limit=2 << 30), LOCAL, cut, free=True)
    assert choose(found, 2 << 30).choice.workers == 1


def test_only_what_was_asked_for_is_looked_at_where_the_person_has_said_it() -> None:
    assert [one.choice for one in ways(ground(tried(0.1)), LOCAL, cut, free=False)] == [LOCAL]


def test_what_the_first_tasks_of_workers_take_more_is_paid_once() -> None:
    warm = way(ground(tried(0.1)), LOCAL, cut).forecast.seconds
    cold = way(ground(tried(0.1, cold=3.0)), LOCAL, cut).forecast.seconds
    assert cold - warm == pytest.approx(3.0, abs=0.2)


def test_kernels_that_use_all_threads_here_gain_nothing_from_processes() -> None:
    sample = replace(tried(0.1), engine="inline", workers=1, start=0.0)
    alone = Choice("inline", 1, 2, 4.0, None, ())
    found = ways(ground(sample, native=True, carry=2.0, carried=1 << 30), alone, cut, free=True)
    inline, local = found
    assert local.choice.engine == "local:2"
    assert local.forecast.seconds > inline.forecast.seconds + 1.0  # their start, and the data on its way
    assert choose(found, 1 << 40) is inline


def test_what_workers_of_the_sample_were_brought_is_not_brought_twice() -> None:
    """Their start was over when they had it."""
    without, carried = (way(ground(tried(0.1), carry=c), LOCAL, cut).forecast.seconds for c in (0.0, 0.4))
    assert carried == without
    sample = replace(tried(0.1), engine="inline", workers=1, start=0.0)
    without, carried = (way(ground(sample, carry=c), LOCAL, cut).forecast.seconds for c in (0.0, 8.0))
    assert carried - without > 5.0, "one worker after the other"


def test_data_that_is_carried_counts_for_workers_only() -> None:
    sample = tried(0.1)
    without, carried = (way(ground(sample, carried=size), LOCAL, cut).memory for size in (0, 1 << 30))
    assert carried - without == 1 << 30
    alone = replace(LOCAL, engine="inline", workers=1)
    assert way(ground(sample, carried=1 << 30), alone, cut).memory == way(ground(sample), alone, cut).memory


def native(cpu: float) -> Sample:
    """Kernels in this process, whose long task took so many seconds of processors for each second."""
    tasks = (Tried(1.0, 0.1, cpu=0.1), Tried(30.0, 3.0, cpu=3.0 * cpu))
    return Sample("inline", 1, tuple(Phase(1, task.seconds, (task,)) for task in tasks))


@pytest.mark.parametrize(("cpu", "inline"), [(2.0, 20.0), (1.0, 13.3), (1.5, 17.1)])
def test_longer_tasks_keep_more_threads_busy_than_those_of_a_sample(cpu: float, inline: float) -> None:
    known = ground(native(cpu), native=True)
    assert way(known, LOCAL.alone("inline"), cut).forecast.seconds == pytest.approx(inline, rel=0.02)
    assert costs_on(known, "local").each == pytest.approx(0.1 * cpu), "of one thread, what all of them took together"


def test_the_less_threads_were_busy_the_less_is_known() -> None:
    wide, narrow = (costs_on(ground(native(cpu), native=True), "inline").doubt for cpu in (1.0, 2.0))
    assert wide == pytest.approx(narrow + 0.125)
