"""What the scheduler does, one behaviour at a time. All of them at once are in ``tests/simulation``."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardwise.compute.task import Failure
from shardwise.errors import InternalError
from shardwise.run import transitions
from shardwise.run.messages import (
    Budgets,
    Command,
    Commit,
    CommitFailed,
    Committed,
    Discard,
    Drain,
    Event,
    Failed,
    Kill,
    Retry,
    SlotAdded,
    SlotLost,
    Start,
    Stop,
    Succeeded,
    Task,
    Tick,
    Wake,
)
from shardwise.run.scheduler import Scheduler
from shardwise.run.transitions import Cause, State

RAISED = Failure("exception", "ValueError", "no")


class Bench:
    """A scheduler that is validated after every event, and a clock."""

    def __init__(
        self, *tasks: Task, slots: int = 1, hosts: str = "a", budgets: Budgets | None = None, first: int = 0
    ) -> None:
        self.now = 0.0
        self.scheduler = Scheduler(tasks, budgets or Budgets(), first)
        self.begun = self.handle(*(SlotAdded(0.0, slot, hosts[slot % len(hosts)]) for slot in range(slots)))

    def handle(self, *events: Event) -> list[Command]:
        commands = self.scheduler.handle(*(dataclasses.replace(event, now=self.now) for event in events))
        self.scheduler.validate()
        return commands

    def succeed(self, attempt: int, slot: int = 0) -> list[Command]:
        return self.handle(Succeeded(0.0, slot, attempt))

    def fail(self, attempt: int, kind: str = "exception", slot: int = 0) -> list[Command]:
        return self.handle(Failed(0.0, slot, attempt, Failure(kind, "Some", "thing")))

    def lose(self, slot: int, kind: str = "crash") -> list[Command]:
        return self.handle(SlotLost(0.0, slot, kind, "gone"))

    def add(self, slot: int, host: str = "a") -> list[Command]:
        return self.handle(SlotAdded(0.0, slot, host))

    def commit(self, attempt: int) -> list[Command]:
        return self.handle(Committed(0.0, attempt))

    def later(self, seconds: float) -> list[Command]:
        self.now += seconds
        return self.handle(Tick(0.0))


def task(number: int, *needs: int, done: bool = False) -> Task:
    return Task(number, "stage", number, number + 1, needs, done)


def only(kind: type, commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, kind)]


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


# --- failures and budgets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["exception", "crash", "timeout", "memory", "storage"])
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
    bench = Bench(task(0), budgets=Budgets(exception=1, memory=1, storage=1))
    for attempt, kind in enumerate(["exception", "memory", "storage"]):
        assert only(Retry, bench.fail(attempt, kind))
        bench.later(100.0)
    assert only(Stop, bench.fail(3, "memory"))


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


# --- the table -------------------------------------------------------------------------------------------------------


def test_what_has_no_row_is_an_internal_error() -> None:
    for state in State:
        for cause in Cause:
            if cause in transitions.TABLE[state]:
                assert transitions.step(state, cause, 1) in State
            else:
                with pytest.raises(InternalError, match=f"task 1 is {state}"):
                    transitions.step(state, cause, 1)


def test_every_state_can_be_reached_and_only_done_and_failed_are_ends() -> None:
    reached, new = set(), {transitions.BEGIN}
    while new:
        reached |= new
        new = {after for state in new for after in transitions.TABLE[state].values()} - reached
    assert reached == set(State) == set(transitions.TABLE)
    assert {state for state, row in transitions.TABLE.items() if not row} == {State.DONE, State.FAILED}


def test_the_diagram_in_the_docs_is_the_table() -> None:
    command = [sys.executable, "-m", "shardwise.run.transitions"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == transitions.mermaid()
    docs = Path(__file__).parents[2] / "docs" / "design.md"
    if docs.exists():
        _, marker, rest = docs.read_text(encoding="utf-8").partition("<!-- states -->")
        assert marker, f"{docs} has no block between <!-- states --> and <!-- /states -->"
        block = rest.partition("<!-- /states -->")[0].strip()
        assert block == f"```mermaid\n{printed.strip()}\n```", "paste the output of python -m shardwise.run.transitions"


# --- purity ----------------------------------------------------------------------------------------------------------

PURE = {"__future__", "collections", "collections.abc", "dataclasses", "enum", "graphlib", "heapq", "typing"}


def imports(path: Path) -> set[str]:
    """All that a file imports, anywhere in it; ``from a import b`` counts as both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def source_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a name in a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def reachable(module: str) -> dict[str, set[str]]:
    """The modules of ours that a module imports, directly or not (itself included), and what each of them imports."""
    seen: dict[str, set[str]] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        path = source_of(name)
        if name in seen or path is None:
            continue
        seen[name] = imports(path)
        todo += [imported for imported in seen[name] if imported.startswith("shardwise.")]
    return seen


def test_the_scheduler_imports_no_clock_no_chance_and_nothing_heavy() -> None:
    found = reachable("shardwise.run.scheduler")
    assert {"shardwise.run.policies", "shardwise.run.tasks", "shardwise.compute.task"} <= found.keys()
    for module, imported in found.items():
        foreign = {name for name in imported if not name.startswith("shardwise")}
        modules = {name for name in foreign if name in PURE or name.rpartition(".")[0] not in PURE}
        assert modules <= PURE, f"{module} imports {modules - PURE}"


def test_the_scheduler_calls_nothing_that_reads_or_writes() -> None:
    for module in reachable("shardwise.run.scheduler"):
        path = source_of(module)
        assert path is not None
        called = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        impure = called & {"open", "input", "print", "hash", "id", "exec", "eval", "__import__"}
        assert impure <= ({"print"} if module.endswith(".transitions") else set()), f"{module} calls {impure}"
