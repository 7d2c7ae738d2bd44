"""What the scheduler does when attempts fail, hang, or lose their slot."""

from __future__ import annotations

import dataclasses

import pytest

from run.bench import Bench, only, task
from shardwise.compute.task import Failure
from shardwise.run.messages import (
    Budgets,
    Commit,
    CommitFailed,
    Discard,
    Kill,
    Retry,
    SlotAdded,
    SlotLost,
    Start,
    Stop,
    Succeeded,
    Tick,
    Wake,
)

# --- failures and budgets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["exception", "crash", "timeout", "storage"])
@pytest.mark.parametrize("budget", [0, 1, 3])
def test_a_budget_is_kept_exactly(kind: str, budget: int) -> None:
    budgets = dataclasses.replace(Budgets(9, 9, 9, 9, 9), **{kind: budget})
    bench = Bench(task(0), budgets=budgets)
    for attempt in range(budget):
        assert only(Retry, bench.fail(attempt, kind)) == [Retry(0, attempt, Failure(kind, "Some", "thing"))]
        assert only(Start, bench.later(100.0)) == [Start(0, attempt + 1, 0)]
    assert bench.fail(budget, kind) == [Discard(budget), Stop("failed", 0, Failure(kind, "Some", "thing"))]
    assert bench.scheduler.counts["failed"] == 1


def test_kinds_do_not_share_a_budget() -> None:
    bench = Bench(task(0), budgets=Budgets(exception=1, timeout=1, storage=1))
    for attempt, kind in enumerate(["exception", "timeout", "storage"]):
        assert only(Retry, bench.fail(attempt, kind))
        bench.later(100.0)
    assert only(Stop, bench.fail(3, "timeout"))


@pytest.mark.parametrize("kind", ["input", "internal"])
def test_wrong_input_is_never_tried_again(kind: str) -> None:
    bench = Bench(task(0), budgets=Budgets(9, 9, 9, 9, 9))
    assert only(Stop, bench.fail(0, kind)) == [Stop("failed", 0, Failure(kind, "Some", "thing"))]


def test_a_failed_commit_counts_as_its_kind_says_and_frees_nothing_twice() -> None:
    bench = Bench(task(0), budgets=Budgets(storage=1))
    full = Failure("storage", "OSError", "disk full")
    bench.succeed(0)
    assert bench.handle(CommitFailed(0.0, 0, full))[:2] == [Discard(0), Retry(0, 0, full)]
    bench.later(100.0)
    bench.succeed(1)
    assert bench.handle(CommitFailed(0.0, 1, full)) == [Discard(1), Stop("failed", 0, full)]


def test_a_task_rests_before_it_is_tried_again() -> None:
    bench = Bench(task(0))
    (wake,) = only(Wake, bench.fail(0))
    assert isinstance(wake, Wake)
    assert wake.at > 0.0
    assert bench.later(wake.at * 0.9) == [wake]
    bench.now = wake.at
    assert bench.later(0.0) == [Start(0, 1, 0)]


def test_other_tasks_run_while_one_rests() -> None:
    bench = Bench(task(0), task(1))
    assert only(Start, bench.fail(0)) == [Start(1, 1, 0)]


def test_a_retry_goes_to_another_host_if_there_is_one() -> None:
    bench = Bench(task(0), slots=4, hosts="aab")
    bench.lose(0)
    assert only(Start, bench.later(100.0)) == [Start(0, 1, 2)]
    bench = Bench(task(0), slots=2)
    bench.fail(0, "crash")
    assert only(Start, bench.later(100.0)) == [Start(0, 1, 1)]
    bench = Bench(task(0), slots=1)
    bench.fail(0, "crash")
    assert only(Start, bench.later(100.0)) == [Start(0, 1, 0)]


def test_when_a_task_fails_for_good_others_are_killed_and_commits_awaited() -> None:
    bench = Bench(task(0), task(1), task(2), task(3), slots=3)
    bench.succeed(0, slot=0)
    assert bench.fail(1, "input", slot=1) == [
        Discard(1),
        Kill(2, "the run has failed"),
        Discard(2),
        Kill(0, "the run has failed"),
        Discard(3),
    ]
    assert bench.succeed(2, slot=2) == [Discard(2)]
    assert bench.lose(0, "killed") == []
    assert bench.add(8) == []
    (stop,) = bench.commit(0)
    assert isinstance(stop, Stop)
    assert (stop.how, stop.task) == ("failed", 1)
    assert (bench.scheduler.counts["done"], bench.scheduler.counts["failed"]) == (1, 1)


def test_a_commit_that_fails_while_the_run_fails_is_not_tried_again() -> None:
    bench = Bench(task(0), task(1), slots=2)
    bench.succeed(0)
    bench.fail(1, "input", slot=1)
    (discard, stop) = bench.handle(CommitFailed(0.0, 0, Failure("storage", "OSError", "full")))
    assert discard == Discard(0)
    assert isinstance(stop, Stop)
    assert stop.task == 1


# --- time limits -----------------------------------------------------------------------------------------------------


def test_an_attempt_over_its_time_is_killed_once_and_counts_as_timeout() -> None:
    bench = Bench(task(0), budgets=Budgets(timeout=0, seconds=10.0))
    assert bench.begun == [Start(0, 0, 0), Wake(10.0)]
    assert bench.later(9.0) == [Wake(10.0)]
    assert bench.later(1.0) == [Kill(0, "task 0 took more than 10 s")]
    assert bench.later(1.0) == []
    (discard, stop) = bench.lose(0, "killed")
    assert discard == Discard(0)
    assert isinstance(stop, Stop)
    assert stop.failure is not None
    assert stop.failure.kind == "timeout"


def test_a_success_that_was_faster_than_the_kill_counts() -> None:
    bench = Bench(task(0), task(1), budgets=Budgets(timeout=0, seconds=10.0))
    bench.later(10.0)
    assert bench.succeed(0) == [Commit(0, 0)], "and the slot, about to die, gets no more work"
    assert bench.lose(0, "killed") == []
    assert only(Start, bench.add(1)) == [Start(1, 1, 1)]


def test_a_success_known_at_the_same_time_as_the_limit_counts() -> None:
    bench = Bench(task(0), budgets=Budgets(seconds=10.0))
    bench.now = 10.0
    assert bench.handle(Tick(0.0), Succeeded(0.0, 0, 0)) == [Commit(0, 0)]


def test_no_limit_no_wake() -> None:
    assert only(Wake, Bench(task(0)).begun) == []


# --- engines that lose slots -----------------------------------------------------------------------------------------


def test_a_slot_that_the_engine_took_is_free_of_charge() -> None:
    bench = Bench(task(0), budgets=Budgets(0, 0, 0, 0, 0))
    for slot in range(12):
        assert only(Retry, bench.lose(slot, "engine"))
        bench.add(slot + 1)
        assert only(Start, bench.later(100.0)) == [Start(0, slot + 1, slot + 1)]


@pytest.mark.parametrize("kind", ["engine", "closed", "killed"])
def test_an_engine_that_flaps_without_any_commit_fails_the_run(kind: str) -> None:
    bench = Bench(task(0))
    for slot in range(12):
        assert only(Stop, bench.lose(slot, kind)) == []
        bench.add(slot + 1)
        bench.later(100.0)
    (stop,) = only(Stop, bench.lose(12, kind))
    assert isinstance(stop, Stop)
    assert (stop.how, stop.task) == ("failed", None)
    assert stop.failure is not None
    assert stop.failure.message.startswith("13 slots were lost")


@pytest.mark.parametrize("announced", [True, False])
def test_workers_that_die_as_they_start_fail_the_run(announced: bool) -> None:
    bench = Bench(task(0), task(1, 0), slots=0)
    for slot in range(12):
        events = [SlotAdded(0.0, slot, "a")] if announced else []
        assert only(Stop, bench.handle(*events, SlotLost(0.0, slot, "crash", "exit code 1"))) == []
    (stop,) = bench.lose(12)
    assert isinstance(stop, Stop)
    assert stop.failure is not None
    assert stop.failure.kind == "crash"


def test_a_commit_renews_patience() -> None:
    bench = Bench(task(0), task(1))
    for slot in range(100, 112):
        bench.lose(slot)
    bench.succeed(0)
    bench.commit(0)
    for slot in range(200, 212):
        assert only(Stop, bench.lose(slot)) == []
    assert only(Stop, bench.lose(212))


def test_slots_killed_for_their_time_do_not_wear_out_patience() -> None:
    bench = Bench(*map(task, range(50)), budgets=Budgets(timeout=99, seconds=1.0))
    for attempt in range(40):
        bench.later(1.0)
        bench.succeed(attempt, slot=attempt)  # just in time, each of them
        assert only(Stop, bench.lose(attempt, "killed")) == []
        bench.add(attempt + 1)
