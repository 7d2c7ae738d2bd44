"""What the scheduler does when memory runs out, and when attempts take much longer than others."""

from __future__ import annotations

from run.bench import Bench, only, task
from shardwise.run.messages import Budgets, Discard, Kill, Retry, Split, Start, Stop, Task, Wake

# --- memory ----------------------------------------------------------------------------------------------------------


def shard(number: int, first: int, last: int, unit: int = 1) -> Task:
    return Task(number, "stage", first, last, unit=unit)


def test_a_task_that_ran_out_of_memory_is_halved_and_its_halves_claim_more() -> None:
    bench = Bench(shard(0, 0, 8), task(1, 0), slots=2, budgets=Budgets(shares=2))
    commands = bench.lose(0, "memory")
    left, right = Task(2, "stage", 0, 4, unit=1), Task(3, "stage", 4, 8, unit=1)
    (split,) = only(Split, commands)
    assert isinstance(split, Split)
    assert (split.task, split.halves) == (0, (left, right))
    assert only(Discard, commands) == [Discard(0)]
    assert only(Start, commands) == [Start(2, 1, 1, shares=2)], "and nothing beside it"
    bench.add(9)
    bench.succeed(1, slot=1)
    assert bench.scheduler.counts["running"] == 1
    assert bench.scheduler.running[0].task == 3


def test_who_reads_a_task_waits_for_both_halves() -> None:
    bench = Bench(shard(0, 0, 2), task(1, 0))
    bench.lose(0, "memory")
    bench.add(1)
    bench.succeed(1, slot=1)
    bench.commit(1)
    assert bench.scheduler.counts["waiting"] == 1
    bench.succeed(2, slot=1)
    assert only(Start, bench.commit(2)) == [Start(1, 3, 1)]
    bench.succeed(3, slot=1)
    assert bench.commit(3) == [Stop("done")]


def test_halves_end_at_units() -> None:
    bench = Bench(shard(0, 8, 29, unit=8))
    (split,) = only(Split, bench.lose(0, "memory"))
    assert isinstance(split, Split)
    assert [(half.first, half.last) for half in split.halves] == [(8, 16), (16, 29)]
    bench.add(1)
    assert only(Split, bench.lose(1, "memory")) == [], "8 to 16 is one unit"


def test_one_batch_gets_more_and_more_memory_free_of_charge_and_fails_only_alone() -> None:
    bench = Bench(shard(0, 3, 4), slots=4, budgets=Budgets(shares=4, memory=0))
    for attempt, shares in enumerate((1, 2)):
        assert only(Retry, bench.lose(attempt, "memory"))
        assert only(Start, bench.later(100.0)) == [Start(0, attempt + 1, attempt + 1, shares=2 * shares)]
    (stop,) = only(Stop, bench.lose(2, "memory"))
    assert isinstance(stop, Stop)
    assert (stop.how, stop.task) == ("failed", 0)


def test_alone_it_has_its_budget() -> None:
    bench = Bench(shard(0, 3, 4), budgets=Budgets(memory=1))
    assert only(Retry, bench.lose(0, "memory"))
    bench.add(1)
    bench.later(100.0)
    assert only(Stop, bench.lose(1, "memory"))


def test_a_wide_attempt_waits_until_the_others_have_ended() -> None:
    bench = Bench(shard(0, 0, 1), task(1), task(2), slots=3, budgets=Budgets(shares=3))
    bench.lose(0, "memory")
    bench.add(3)
    assert only(Start, bench.later(100.0)) == [], "2 of 3 shares are taken"
    assert only(Start, bench.succeed(1, slot=1)) == [Start(0, 3, 1, shares=2)]


def test_nothing_overtakes_an_attempt_that_waits_for_memory() -> None:
    bench = Bench(shard(0, 0, 1), task(1), task(2), slots=2, budgets=Budgets(shares=2))
    bench.lose(0, "memory")
    bench.add(2)
    bench.succeed(2, slot=2)
    bench.later(100.0)
    assert [at.task for at in bench.scheduler.running] == [1]
    assert only(Start, bench.handle()) == [], "though a slot is idle"


def test_a_worker_that_raised_for_memory_is_replaced_and_holds_its_share_until_it_is_gone() -> None:
    bench = Bench(shard(0, 0, 1), slots=2, budgets=Budgets(shares=2))
    assert only(Kill, bench.fail(0, "memory")) == [Kill(0, "a worker that ran out of memory may still hold some")]
    assert only(Start, bench.later(100.0)) == []
    assert only(Start, bench.lose(0, "killed")) == [Start(0, 1, 1, shares=2)]


def test_what_was_enough_for_a_half_is_enough_for_the_other() -> None:
    bench = Bench(shard(0, 0, 8), slots=2, budgets=Budgets(shares=2))
    bench.lose(0, "memory")
    bench.add(2)
    bench.succeed(1, slot=1, shares=1)
    (other,) = bench.scheduler.running
    assert (other.task, other.shares) == (2, 1)


def test_an_attempt_that_was_given_less_after_all_gets_more_again() -> None:
    bench = Bench(shard(0, 0, 2), slots=2, budgets=Budgets(shares=2))
    bench.lose(0, "memory")
    bench.add(2)
    bench.succeed(1, slot=1, shares=1)
    assert only(Retry, bench.lose(bench.scheduler.running[0].slot, "memory"))
    bench.add(3)
    bench.later(100.0)
    assert [(at.task, at.shares) for at in bench.scheduler.running] == [(2, 2)]


def test_what_two_were_too_large_for_no_third_one_tries() -> None:
    bench = Bench(*[shard(n, 8 * n, 8 * n + 8) for n in range(4)], slots=2, budgets=Budgets(shares=2))
    bench.lose(0, "memory")
    assert len(only(Split, bench.lose(1, "memory"))) == 1, "one task may be an exception"
    assert [command.task for command in bench.add(2) if isinstance(command, Split)] == [2, 3]


def test_where_another_one_fitted_it_is_tried() -> None:
    bench = Bench(*[shard(n, 8 * n, 8 * n + 8) for n in range(4)], slots=3, budgets=Budgets(shares=3))
    bench.succeed(2, slot=2)
    bench.lose(0, "memory")
    bench.lose(1, "memory")
    assert [at.task for at in bench.scheduler.running] == [3]


# --- speculation -----------------------------------------------------------------------------------------------------


def slow(slots: int = 2, **budgets: bool) -> Bench:
    """Three of four tasks took a second each; the last one has been running for two."""
    bench = Bench(*map(task, range(4)), slots=slots, budgets=Budgets(**budgets))  # type: ignore[arg-type]
    for attempt in range(3):
        bench.now += 1.0
        bench.succeed(attempt, slot=next(at.slot for at in bench.scheduler.running if at.attempt == attempt))
        bench.commit(attempt)
    return bench


def test_a_straggler_gets_a_second_attempt_on_an_idle_slot() -> None:
    bench = slow()
    (last,) = bench.scheduler.running
    (wake,) = bench.later(0.0)
    assert isinstance(wake, Wake)
    bench.now = wake.at
    (start,) = only(Start, bench.later(0.0))
    assert start == Start(3, 4, 1 - last.slot, backup=True)
    assert wake.at - last.since == 6.0, "three times the median"
    assert bench.later(100.0) == [], "and no third one"


def test_nothing_is_tried_twice_where_that_is_not_wanted() -> None:
    assert slow(speculate=False).later(1000.0) == []


def test_nothing_is_tried_twice_where_no_slot_is_idle() -> None:
    assert slow(slots=1).later(1000.0) == []


def doubled() -> tuple[Bench, int, int]:
    """Two attempts at task 3 are running; the slots of the first and the second."""
    bench = slow()
    bench.later(1000.0)
    first, second = bench.scheduler.running
    assert (first.attempt, second.attempt) == (3, 4)
    return bench, first.slot, second.slot


def test_the_faster_attempt_is_committed_and_the_other_killed() -> None:
    for winner, loser in ((3, 4), (4, 3)):
        bench, *slots = doubled()
        commands = bench.succeed(winner, slot=slots[winner - 3])
        kill = Kill(slots[loser - 3], "another attempt at task 3 was faster")
        assert [type(c).__name__ for c in commands] == ["Commit", "Kill", "Discard"]
        assert commands[1:] == [kill, Discard(loser)]
        assert bench.succeed(loser, slot=slots[loser - 3]) == [Discard(loser)], "too late"
        assert bench.lose(slots[loser - 3], "killed") == []
        assert bench.commit(winner) == [Stop("done")]


def test_one_of_two_attempts_may_fail_for_nothing() -> None:
    for kind in ("exception", "input", "crash", "memory", "internal"):
        bench, _, second = doubled()
        assert only(Stop, bench.fail(4, kind, slot=second)) == []
        assert bench.scheduler.running[0].attempt == 3
        assert bench.scheduler.counts["running"] == 1


def test_the_last_of_two_attempts_counts_when_it_fails() -> None:
    bench, first, second = doubled()
    bench.lose(first)
    assert only(Stop, bench.fail(4, "input", slot=second))


def test_a_failing_run_kills_both_attempts() -> None:
    bench, first, second = doubled()
    for slot in range(100, 113):
        commands = bench.lose(slot)
    assert only(Kill, commands) == [Kill(first, "the run has failed"), Kill(second, "the run has failed")]
    assert only(Discard, commands) == [Discard(3), Discard(4)]
