"""What the scheduler does, one behaviour at a time. All of them at once are in ``tests/simulation``."""

from __future__ import annotations

import pytest

from run.bench import Bench, only, task
from shardwise.compute.task import Failure
from shardwise.errors import InternalError
from shardwise.run.messages import (
    Budgets,
    Commit,
    CommitFailed,
    Committed,
    Discard,
    Drain,
    Event,
    Retry,
    SlotAdded,
    Start,
    Stop,
    Succeeded,
    Task,
)
from shardwise.run.scheduler import Scheduler

RAISED = Failure("exception", "ValueError", "no")

# --- the ordinary course ---------------------------------------------------------------------------------------------


def test_lowest_id_first_one_attempt_per_slot() -> None:
    bench = Bench(task(3), task(1), task(2), slots=2)
    assert bench.begun == [Start(1, 0, 0), Start(2, 1, 1)]
    assert bench.succeed(1, slot=1) == [Commit(2, 1), Start(3, 2, 1)]


def test_a_slot_is_free_while_its_last_attempt_is_committed() -> None:
    bench = Bench(task(0), task(1))
    assert bench.succeed(0) == [Commit(0, 0), Start(1, 1, 0)]


def test_a_task_starts_when_all_it_needs_is_committed() -> None:
    bench = Bench(task(0), task(1), task(2, 0, 1), slots=2)
    bench.succeed(0, slot=0)
    assert bench.succeed(1, slot=1) == [Commit(1, 1)]
    assert bench.commit(1) == []
    assert bench.commit(0) == [Start(2, 2, 0)]


def test_a_need_given_twice_is_one_need() -> None:
    bench = Bench(task(0), task(1, 0, 0))
    bench.succeed(0)
    assert bench.commit(0) == [Start(1, 1, 0)]


def test_done_comes_with_the_last_commit() -> None:
    bench = Bench(task(0))
    assert bench.succeed(0) == [Commit(0, 0)]
    assert not bench.scheduler.finished
    assert bench.commit(0) == [Stop("done")]
    assert bench.scheduler.finished
    assert bench.scheduler.stopped == Stop("done")
    assert bench.handle(SlotAdded(0.0, 9, "a"), Succeeded(0.0, 0, 5), Drain(0.0)) == []


@pytest.mark.parametrize("tasks", [[], [task(0, done=True), task(1, 0, done=True)]])
def test_nothing_to_do_is_done_at_once(tasks: list[Task]) -> None:
    assert Scheduler(tasks, Budgets()).start(5.0) == [Stop("done")]


def test_resuming_does_only_what_is_left_with_new_attempt_numbers() -> None:
    bench = Bench(task(0, done=True), task(1, 0), task(2, done=True), task(3, 1, 2), slots=2, first=40)
    assert bench.begun == [Start(1, 40, 0)]
    bench.succeed(40)
    assert bench.commit(40) == [Start(3, 41, 0)]


def test_a_done_task_may_need_one_that_is_not() -> None:
    bench = Bench(task(0), task(1, 0, done=True), task(2, 1))
    assert bench.begun == [Start(0, 0, 0)]
    assert bench.succeed(0) == [Commit(0, 0), Start(2, 1, 0)]
    bench.commit(0)
    bench.succeed(1)
    assert bench.commit(1) == [Stop("done")]


def test_progress_can_be_looked_at() -> None:
    bench = Bench(task(0), task(1), task(2), task(3, 0), slots=2)
    bench.now = 7.0
    bench.succeed(0)
    counts = bench.scheduler.counts
    assert (counts["committing"], counts["running"], counts["waiting"], counts["ready"]) == (1, 2, 1, 0)
    assert [(at.task, at.attempt, at.slot, at.since) for at in bench.scheduler.running] == [
        (1, 1, 1, 0.0),
        (2, 2, 0, 7.0),
    ]


# --- late and duplicate messages -------------------------------------------------------------------------------------


def test_success_after_the_slot_was_lost_is_discarded() -> None:
    bench = Bench(task(0))
    assert only(Discard, bench.lose(0)) == [Discard(0)]
    assert only(Commit, bench.succeed(0)) == []
    assert only(Discard, bench.succeed(0)) == [Discard(0)]


def test_success_of_an_attempt_nobody_started_is_discarded() -> None:
    assert Bench(task(0)).succeed(77) == [Discard(77)]


def test_success_twice_is_committed_once_and_not_discarded() -> None:
    bench = Bench(task(0), task(1))
    bench.succeed(0)
    assert bench.succeed(0) == []
    bench.commit(0)
    assert bench.succeed(0) == []


def test_attempts_of_an_earlier_driver_are_left_alone() -> None:
    assert Bench(task(0), first=10).succeed(9) == []


def test_failure_after_success_changes_nothing() -> None:
    bench = Bench(task(0), task(1))
    bench.succeed(0)
    assert bench.fail(0) == []
    assert bench.commit(0) == []
    assert bench.scheduler.counts["done"] == 1


def test_a_slot_that_was_lost_before_it_came_stays_lost() -> None:
    bench = Bench(task(0), slots=0)
    bench.lose(3)
    assert bench.add(3) == []
    assert bench.add(4) == [Start(0, 0, 4)]


def test_slots_announced_or_lost_twice_are_no_news() -> None:
    bench = Bench(task(0), task(1))
    assert bench.add(0) == []
    bench.lose(0)
    assert bench.lose(0) == bench.later(0.0)
    assert bench.scheduler.counts["resting"] == 1


@pytest.mark.parametrize("answer", [Committed(0.0, 0), CommitFailed(0.0, 0, RAISED)])
def test_the_journal_must_not_answer_what_it_was_not_asked(answer: Event) -> None:
    with pytest.raises(InternalError, match="attempt 0"):
        Bench(task(0)).handle(answer)


# --- drain -----------------------------------------------------------------------------------------------------------


def test_drain_starts_nothing_waits_for_what_runs_and_commits_it() -> None:
    bench = Bench(task(0), task(1))
    assert bench.handle(Drain(0.0)) == []
    assert bench.succeed(0) == [Commit(0, 0)]
    assert bench.commit(0) == [Stop("drained")]


def test_drain_with_nothing_under_way_stops_at_once() -> None:
    assert Bench(task(0), slots=0).handle(Drain(0.0)) == [Stop("drained")]


def test_a_drain_that_finds_all_done_is_done() -> None:
    bench = Bench(task(0))
    bench.handle(Drain(0.0))
    bench.succeed(0)
    assert bench.commit(0) == [Stop("done")]


def test_drain_tries_nothing_again_but_a_spent_budget_still_fails() -> None:
    bench = Bench(task(0), task(1), slots=2)
    bench.handle(Drain(0.0))
    assert only(Retry, bench.fail(0)) == []
    (stop,) = only(Stop, bench.fail(1, "input", slot=1))
    assert isinstance(stop, Stop)
    assert stop.how == "failed"


def test_workers_that_die_idle_during_a_drain_do_not_fail_the_run() -> None:
    bench = Bench(task(0))
    bench.handle(Drain(0.0))
    for slot in range(100, 150):
        assert only(Stop, bench.lose(slot)) == []


# --- graphs that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([task(0), task(0)], "2 tasks have only 1 different ids"),
        ([task(0, 5)], "task 0 needs task 5"),
        ([task(0, 1), task(1, 2), task(2, 0)], "need each other"),
        ([task(0, 0)], "need each other"),
    ],
)
def test_a_graph_that_cannot_be_carried_out_is_refused(tasks: list[Task], words: str) -> None:
    with pytest.raises(InternalError, match=words):
        Scheduler(tasks, Budgets())
