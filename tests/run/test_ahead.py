"""What is sent ahead to slots that are busy. All that can go wrong at once is in ``tests/simulation``."""

from __future__ import annotations

from run.bench import Bench, only, task
from shardwise.compute.task import Failure
from shardwise.run.messages import (
    Budgets,
    Commit,
    Discard,
    Drain,
    Failed,
    Kill,
    Located,
    Place,
    Recall,
    Retry,
    Returned,
    SendAhead,
    Start,
    Stop,
    Task,
    Wake,
)
from shardwise.run.slots import Slots

MANY = [task(number) for number in range(6)]


def bench(*tasks: Task, slots: int = 1, hosts: str = "a", budgets: Budgets | None = None) -> Bench:
    return Bench(*tasks or MANY, slots=slots, hosts=hosts, budgets=budgets, ahead=True)


def test_while_many_wait_each_busy_slot_has_one_ahead() -> None:
    one = bench()
    assert one.begun == [Start(0, 0, 0), SendAhead(1, 1, 0)]
    assert one.succeed(0) == [Commit(0, 0), SendAhead(2, 2, 0)]
    assert [at.task for at in one.scheduler.running] == [1]
    assert one.scheduler.counts["ahead"] == 1
    assert Bench(*MANY).begun == [Start(0, 0, 0)], "an engine that does not take it is sent none"


def test_near_the_end_nothing_is_sent_ahead() -> None:
    one = bench(*MANY[:2])
    assert one.begun == [Start(0, 0, 0)]
    assert one.succeed(0) == [Commit(0, 0), Start(1, 1, 0)]
    assert bench(*MANY[:3]).begun == [Start(0, 0, 0), SendAhead(1, 1, 0)]
    assert only(SendAhead, bench(slots=3).begun) == [], "a slot is owed as much as another"


def test_a_slot_with_nothing_to_do_has_back_what_waits_behind_another() -> None:
    two = bench(slots=2)
    assert two.begun == [Start(0, 0, 0), Start(1, 1, 1), SendAhead(2, 2, 0)]
    assert two.succeed(1, slot=1) == [Commit(1, 1), Start(3, 3, 1)]
    assert two.succeed(3, slot=1) == [Commit(3, 3), Start(4, 4, 1)]
    assert two.succeed(4, slot=1) == [Commit(4, 4), Start(5, 5, 1)]
    assert two.succeed(5, slot=1) == [Commit(5, 5), Recall(0, 2)]
    assert two.later(1.0) == [], "once is enough"
    assert two.handle(Returned(0.0, 0, 2)) == [Start(2, 6, 1)]
    assert two.handle(Returned(0.0, 0, 2)) == []


def test_what_began_before_it_could_be_had_back_goes_on() -> None:
    two = bench(slots=2)
    for attempt in (1, 3, 4, 5):
        two.succeed(attempt, slot=1)
    two.succeed(0, slot=0)
    assert [at.attempt for at in two.scheduler.running] == [2]
    assert two.succeed(2, slot=0) == [Commit(2, 2)]


def test_what_was_taken_to_be_under_way_may_come_back() -> None:
    two = bench(slots=2)
    for attempt in (1, 3, 4, 5):
        two.succeed(attempt, slot=1)
    assert only(Commit, two.succeed(0, slot=0)) == [Commit(0, 0)]
    assert only(Start, two.handle(Returned(0.0, 0, 2))) == [Start(2, 6, 0)]


def test_a_slot_that_dies_costs_what_was_ahead_nothing() -> None:
    one = bench(budgets=Budgets(crash=0))
    assert one.lose(0)[:2] == [Discard(1), Discard(0)]
    assert one.scheduler.stopped is not None and one.scheduler.stopped.task == 0
    one = bench(budgets=Budgets(crash=1))
    for slot in range(1, 4):
        one.lose(slot - 1)
        starts = only(Start, one.add(slot))
        assert [start.task for start in starts] == [slot], starts
    assert not one.scheduler.finished, "tasks 0, 1 and 2 died once each, and 1 to 3 were ahead then"


def test_an_end_is_charged_to_the_one_that_is_under_way() -> None:
    one = bench(budgets=Budgets(crash=0))
    one.succeed(0)
    one.commit(0)
    one.lose(0)
    assert one.scheduler.stopped is not None and one.scheduler.stopped.task == 1


def test_the_time_that_an_attempt_may_take_begins_when_it_begins() -> None:
    one = bench(budgets=Budgets(seconds=10.0))
    one.now = 8.0
    assert one.succeed(0)[-1] == Wake(18.0)
    assert only(Kill, one.later(9.0)) == []
    assert [kill.slot for kill in only(Kill, one.later(1.0))] == [0]


def test_a_slot_that_is_killed_gives_back_what_was_ahead_at_once() -> None:
    two = bench(slots=2, budgets=Budgets(seconds=10.0))
    two.now = 5.0
    two.succeed(1, slot=1)
    answer = two.later(5.0)
    assert [type(command) for command in answer[:2]] == [Kill, Discard] and answer[1] == Discard(2), answer
    assert 2 in two.scheduler._tasks.ready


def test_an_attempt_that_runs_out_of_memory_takes_nothing_with_it() -> None:
    one = bench(budgets=Budgets(memory=0, shares=2))
    answer = one.fail(0, "memory")
    assert Discard(1) in answer and only(Retry, answer), answer
    assert [retry.task for retry in only(Retry, answer)] == [0]


def test_a_stage_in_which_memory_ran_out_sends_nothing_ahead() -> None:
    one = bench(budgets=Budgets(memory=3, shares=2))
    one.fail(0, "memory")
    one.lose(0)
    assert only(SendAhead, one.add(1)) == []


def test_a_failed_run_waits_for_nothing_that_is_ahead() -> None:
    one = bench(budgets=Budgets(exception=0))
    answer = one.fail(0)
    assert Discard(1) in answer and only(Kill, answer), answer
    assert isinstance(answer[-1], Stop)


def test_draining_has_everything_back() -> None:
    one = bench()
    assert one.handle(Drain(0.0)) == [Recall(0, 1)]
    assert one.succeed(0) == [Commit(0, 0)]
    assert one.commit(0) == [], "nobody knows yet whether it has begun"
    assert one.handle(Returned(0.0, 0, 1)) == [Stop("drained")]


def test_an_end_that_is_told_too_early_waits_for_the_one_before() -> None:
    one = bench()
    assert one.succeed(1) == []
    assert one.succeed(0) == [Commit(0, 0), Commit(1, 1), Start(2, 2, 0), SendAhead(3, 3, 0)]
    one = bench(budgets=Budgets(exception=0))
    raised = Failure("exception", "ValueError", "no")
    assert one.handle(Failed(0.0, 0, 1, raised)) == []
    assert one.succeed(0)[0] == Commit(0, 0)
    one.commit(0)
    assert one.scheduler.stopped is not None and one.scheduler.stopped.task == 1


def test_only_what_lies_on_a_host_is_sent_ahead_there() -> None:
    two = Bench(*(task(number) for number in range(10)), slots=0, ahead=True)
    two.handle(Located(0.0, tuple(Place(number, ("b",)) for number in range(2, 10))))
    two.add(0, "a")
    assert two.scheduler.counts["ahead"] == 0, "an idle slot takes what is far, but none is kept for it"
    assert only(SendAhead, two.add(1, "b")) == [SendAhead(3, 2, 1)]


def test_nothing_is_sent_ahead_past_a_task_that_waits_for_its_place() -> None:
    two = bench(*(task(number) for number in range(10)), slots=2, hosts="ab", budgets=Budgets(shares=2))
    two.handle(Located(0.0, tuple(Place(number, ("b",)) for number in range(5, 10))))
    for number in (0, 1):
        two.fail(number, slot=number)
    two.later(60.0)
    assert only(SendAhead, two.succeed(3, slot=1)) == [], "tasks 0 and 1 are next, and have failed"


def test_one_share_of_memory_is_enough_for_what_follows_a_wide_one() -> None:
    slots = Slots(2)
    slots.add(0, "a")
    slots.add(1, "a")
    wide = slots.take(None, shares=2)
    assert wide is not None
    wide.attempt = 7
    slots.send_ahead(wide.number, 8)
    assert slots.take(None) is None
    assert slots.release(wide.number).shares == 1
    slots.validate({8: wide.number}, {})
    assert slots.take(None) is not None


def test_no_second_attempt_takes_the_slot_of_what_is_had_back() -> None:
    two = bench(slots=2)
    for attempt in (1, 3, 4, 5):
        two.now += 0.1
        two.succeed(attempt, slot=1)
    assert only(Start, two.later(60.0)) == [], "task 0 is late, but task 2 comes first"
    assert [(start.task, start.backup) for start in only(Start, two.handle(Returned(0.0, 0, 2)))] == [(2, False)]
