"""What a death tells, which deaths have to come again, and that narrowing costs a task nothing."""

from __future__ import annotations

import signal

import pytest

from shardwise import records
from shardwise.compute.calls import LostCall
from shardwise.engines.protocol import SlotDown
from shardwise.run.messages import Budgets, Discard, SlotAdded, SlotLost, Start, Task
from shardwise.run.scheduler import Scheduler
from shardwise.run.suspects import Suspects

TASK = Task(0, "collect", 0, 8)
SEGV, KILL = -int(signal.SIGSEGV), -int(signal.SIGKILL)


def death(first: int, last: int, *, status: int = SEGV, kind: str = "crash", batch: int = 3, searched: bool = False):
    call = LostCall(7, 0, batch, first, last, searched, status)
    reason = "worker process 12 was ended by SIGSEGV (Segmentation fault); it printed last:\nFatal Python error"
    return SlotDown(1, kind, reason, call=records.to_json(call).encode())


def ranges(suspects: Suspects, task: Task = TASK) -> list[tuple[int, int, int]]:
    return [(s.batch, s.first, s.last) for s in suspects.of(task)]


def test_deaths_are_told_in_order_and_once() -> None:
    suspects = Suspects(Budgets())
    assert suspects.note(TASK, 7, death(0, 100), divisible=True)
    assert suspects.note(TASK, 7, death(40, 50), divisible=True)
    assert not suspects.note(TASK, 7, death(40, 50), divisible=True), "nothing new: the task pays for this one"
    assert ranges(suspects) == [(3, 0, 100), (3, 40, 50)]
    assert suspects.of(TASK)[0].message == "the worker was ended by SIGSEGV (Segmentation fault)"


def test_tasks_that_share_batches_are_told_and_no_others() -> None:
    suspects = Suspects(Budgets())
    suspects.note(TASK, 7, death(0, 1), divisible=True)
    assert ranges(suspects, Task(1, "write", 7, 9)) == [(3, 0, 1)]
    assert ranges(suspects, Task(2, "write", 8, 9)) == []


@pytest.mark.parametrize("kind", ["killed", "closed", "engine"])
def test_a_slot_that_was_taken_away_tells_nothing(kind: str) -> None:
    assert not Suspects(Budgets()).note(TASK, 7, death(0, 1, kind=kind), divisible=False)


def test_a_death_outside_of_the_function_or_of_another_attempt_tells_nothing() -> None:
    suspects = Suspects(Budgets())
    assert not suspects.note(TASK, 7, SlotDown(1, "crash", "gone"), divisible=False)
    assert not suspects.note(TASK, 8, death(0, 1), divisible=False)


def test_what_may_come_from_outside_has_to_come_as_often_as_a_task_may_die() -> None:
    for call in (death(5, 6, status=KILL), death(0, 100, status=KILL, searched=True)):
        suspects = Suspects(Budgets(crash=3))
        for _ in range(3):
            assert suspects.note(TASK, 7, call, divisible=False)
            assert ranges(suspects) == []
        assert suspects.note(TASK, 7, call, divisible=False)
        assert len(suspects.of(TASK)) == 1
    suspects = Suspects(Budgets(crash=3))
    assert suspects.note(TASK, 7, death(0, 100, status=KILL), divisible=False)
    assert ranges(suspects) == [(3, 0, 100)], "looking closer costs nobody anything"


def test_memory_blames_rows_only_where_the_task_cannot_be_cut() -> None:
    suspects = Suspects(Budgets())
    assert not suspects.note(TASK, 7, death(0, 100, kind="memory"), divisible=True)
    assert suspects.note(TASK, 7, death(0, 100, kind="memory"), divisible=False)


def test_narrowing_is_free_and_immediate() -> None:
    scheduler = Scheduler([TASK], Budgets(crash=0))
    now = 0.0
    scheduler.handle(SlotAdded(now, 0, "here"))
    for slot in range(50):
        now += 1
        commands = scheduler.handle(
            SlotLost(now, slot, "crash", "SIGSEGV", narrowing=True), SlotAdded(now, slot + 1, "here")
        )
        assert commands == [Discard(slot), Start(0, slot + 1, slot + 1)]
        scheduler.validate()
    scheduler.handle(SlotLost(now, 50, "crash", "SIGSEGV"))
    assert scheduler.stopped is not None
    assert scheduler.stopped.how == "failed"
