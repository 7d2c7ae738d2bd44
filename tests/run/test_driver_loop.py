"""The loop, with an engine that only says what a test wants and a clock that moves when the engine is waited for."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shardwise import records
from shardwise.compute.program import Attempt
from shardwise.compute.task import Failure, Outcome, Output, TaskSpec
from shardwise.engines.protocol import EngineEvent, Finished, SlotDown, SlotUp, Want
from shardwise.engines.simulated import Faults, SimulatedEngine
from shardwise.errors import FunctionError, Interrupted, RunIsTaken, StorageError, WorkerError
from shardwise.run.commits import Commit
from shardwise.run.directory import RunDirectory
from shardwise.run.driver import Driver
from shardwise.run.graph import Graph
from shardwise.run.messages import Budgets, Task
from shardwise.run.spans import Spans, spans_in
from shardwise.storage import digest

IDLE = 10_000
"""So many waits in vain mean that the driver waits for ever."""


class Program:
    def execute(self, attempt: Attempt) -> None:
        raise AssertionError("the engine of these tests executes nothing")


class Scripted:
    """An engine with slots 0 and 1, whose attempts end as ``fate`` says: with an event, or never (None)."""

    name = "scripted"

    def __init__(self, fate: Callable[[int, TaskSpec], EngineEvent | None]) -> None:
        self.now = 0.0
        self.fate = fate
        self.sent: list[TaskSpec] = []
        self.idle = 0
        self.events: list[EngineEvent] = []
        self.slots = 0

    def open(self, want: Want) -> None:
        for _ in range(want.slots):
            self.events.append(SlotUp(self.slots, "here", 1))
            self.slots += 1

    def put(self, blob: bytes) -> str:
        return "program"

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        spec = records.from_json(TaskSpec, task)
        self.sent.append(spec)
        if event := self.fate(slot, spec):
            self.events.append(event)
        if isinstance(event, SlotDown):
            self.open(Want(1))

    def kill(self, slot: int) -> None:
        self.events.append(SlotDown(slot, "killed", "by the driver"))
        self.open(Want(1))

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        self.now += (timeout or 0.0) + 1e-6  # no clock stands still
        self.idle = 0 if self.events else self.idle + 1
        assert self.idle < IDLE, "the driver waits for what will never come"
        events, self.events = self.events, []
        return events

    def close(self) -> None:
        """Nothing."""


class Watcher:
    def __init__(self) -> None:
        self.retries: list[str] = []
        self.drained = 0

    def started(self, graph: Graph, slots: int) -> None:
        """Nothing."""

    def moved(self, now: float, running: int, commits: Sequence[Commit]) -> None:
        """Nothing."""

    def retried(self, task: Task, failure: Failure) -> None:
        self.retries.append(failure.kind)

    def draining(self, running: int) -> None:
        self.drained += 1


def success(slot: int, spec: TaskSpec) -> Finished:
    data = f"{spec.stage} {spec.first}".encode()
    return finished(slot, spec, (Output("o", 1, len(data), digest(data), data),))


def finished(slot: int, spec: TaskSpec, outputs: tuple[Output, ...] = (), failure: Failure | None = None) -> Finished:
    return Finished(slot, records.to_json(Outcome(spec.task, spec.attempt, outputs, failure, logs=("said",))).encode())


def graph_of(tasks: int, stage: str = "s") -> Graph:
    graph = Graph()
    graph.stage(stage, Program())
    for number in range(tasks):
        graph.task(stage, number, number + 1)
    return graph


class Place:
    """A run directory and drivers in it."""

    def __init__(self, directory: Path) -> None:
        self.ledger = RunDirectory.open(str(directory / "run"), {"job": 1})
        self.watcher = Watcher()

    def driver(self, engine: Scripted, budgets: Budgets | None = None, ledger: Any = None) -> Driver:
        engine.open(Want(2))
        limits = budgets or Budgets()
        return Driver(engine, ledger or self.ledger, limits, self.watcher, clock=lambda: engine.now)

    def committed(self, stage: str = "s") -> list[tuple[int, int]]:
        """What another process would find."""
        return [(c.first, c.last) for c in RunDirectory.read(self.ledger.url).committed(stage)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class FailsOnce:
    """A ledger that refuses the first group."""

    def __init__(self, ledger: RunDirectory, error: Exception) -> None:
        self._ledger, self._error = ledger, error
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        if not self.refused:
            self.refused = len(commits)
            raise self._error
        return self._ledger.commit(commits)


def test_done_means_that_the_journal_has_every_task(place: Place) -> None:
    engine = Scripted(success)
    commits = place.driver(engine).run(graph_of(7))
    assert place.committed() == [(n, n + 1) for n in range(7)]
    assert [commits[n].outputs[0].data for n in range(7)] == [f"s {n}".encode() for n in range(7)]
    assert len(engine.sent) == 7


def test_a_later_task_gets_what_was_committed(place: Place) -> None:
    graph = graph_of(3)
    graph.stage("end", Program())
    graph.task("end", 0, 3, (2, 0))
    engine = Scripted(success)
    place.driver(engine).run(graph)
    assert [output.data for output in engine.sent[-1].inputs] == [b"s 2", b"s 0"]


def test_what_could_not_be_committed_is_done_again(place: Place) -> None:
    ledger = FailsOnce(place.ledger, StorageError("the disk is full", "free space"))
    engine = Scripted(success)
    place.driver(engine, ledger=ledger).run(graph_of(4))
    assert ledger.refused
    assert place.watcher.retries == ["storage"] * ledger.refused
    assert len(engine.sent) == 4 + ledger.refused
    assert place.committed() == [(n, n + 1) for n in range(4)]


def test_a_driver_that_was_replaced_stops(place: Place) -> None:
    ledger = FailsOnce(place.ledger, RunIsTaken("another driver", "wait"))
    with pytest.raises(RunIsTaken):
        place.driver(Scripted(success), ledger=ledger).run(graph_of(4))
    assert place.committed() == []


def test_two_graphs_never_share_a_number_of_an_attempt(place: Place) -> None:
    engine = Scripted(success)
    driver = place.driver(engine)
    driver.run(graph_of(3, "a"))
    driver.run(graph_of(3, "b"))
    numbers = [spec.attempt for spec in engine.sent]
    assert len(set(numbers)) == 6


def test_a_late_answer_to_an_earlier_graph_changes_nothing(place: Place) -> None:
    engine = Scripted(success)
    driver = place.driver(engine)
    driver.run(graph_of(2, "a"))
    engine.events.append(success(0, replace(engine.sent[0])))
    driver.run(graph_of(2, "b"))
    assert place.committed("b") == [(0, 1), (1, 2)]
    assert len(place.committed("a")) == 2


def test_a_task_whose_slot_was_lost_is_done_again_elsewhere(place: Place) -> None:
    def dies_once(slot: int, spec: TaskSpec) -> EngineEvent:
        return SlotDown(slot, "crash", "killed") if len(engine.sent) == 2 else success(slot, spec)

    engine = Scripted(dies_once)
    place.driver(engine).run(graph_of(5))
    assert place.watcher.retries == ["crash"]
    assert len(engine.sent) == 6
    assert len(place.committed()) == 5


def test_the_first_ctrl_c_commits_what_runs_and_starts_nothing_more(place: Place) -> None:
    def interrupted(slot: int, spec: TaskSpec) -> EngineEvent:
        if len(engine.sent) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return success(slot, spec)

    engine = Scripted(interrupted)
    with pytest.raises(Interrupted, match="what was committed stays"):
        place.driver(engine).run(graph_of(50))
    assert place.watcher.drained == 1
    assert len(engine.sent) < 50
    assert len(place.committed()) == len(engine.sent)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_during_the_last_tasks_ends_the_run_too(place: Place) -> None:
    """Else the next graph of the run would begin."""

    def last(slot: int, spec: TaskSpec) -> EngineEvent:
        os.kill(os.getpid(), signal.SIGINT)
        return success(slot, spec)

    with pytest.raises(Interrupted, match="what was committed stays"):
        place.driver(Scripted(last)).run(graph_of(1))
    assert len(place.committed()) == 1


def test_a_ctrl_c_that_comes_when_nothing_is_left_to_drain_is_not_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: Spans, why: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Spans, "end", late)
    with pytest.raises(Interrupted, match="what was committed stays"):
        place.driver(Scripted(success)).run(graph_of(3))
    assert len(place.committed()) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_ctrl_c_stops_at_once(place: Place) -> None:
    def deaf(slot: int, spec: TaskSpec) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        place.driver(Scripted(deaf)).run(graph_of(2))
    assert place.committed() == []


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [("exception", FunctionError, "the function raised Odd: no"), ("crash", WorkerError, "s-0-1")],
)
def test_a_spent_budget_ends_the_run_with_the_error_of_its_kind(
    place: Place, kind: str, error: type[Exception], words: str
) -> None:
    def fails(slot: int, spec: TaskSpec) -> EngineEvent:
        return finished(slot, spec, failure=Failure(kind, "Odd", "no")) if spec.first == 0 else success(slot, spec)

    with pytest.raises(error, match=words):
        place.driver(Scripted(fails), Budgets(exception=2, crash=2)).run(graph_of(4))
    assert place.watcher.retries == [kind, kind]
    assert (0, 1) not in place.committed()


def test_an_attempt_that_takes_too_long_is_killed_and_done_again(place: Place) -> None:
    def hangs_once(slot: int, spec: TaskSpec) -> EngineEvent | None:
        return None if len(engine.sent) == 1 else success(slot, spec)

    engine = Scripted(hangs_once)
    place.driver(engine, Budgets(seconds=3.0)).run(graph_of(3))
    assert place.watcher.retries == ["timeout"]
    assert len(place.committed()) == 3


def test_what_tasks_said_is_kept(place: Place) -> None:
    place.driver(Scripted(success)).run(graph_of(2))
    logs = sorted(Path(place.ledger.url, "logs").rglob("*.log"))
    assert [path.read_text() for path in logs] == ["said\n", "said\n"]


def test_what_is_sent_ahead_is_timed_from_when_it_begins(place: Place) -> None:
    """On a slot one attempt begins as the one before ends, in the journal, too; what is had back leaves no trace."""
    engine = Simulated(slots=3, costs=lambda spec: 50.0 if spec.first == 2 else 1.0, outputs=shown, ahead=True)
    engine.open(Want(3))
    driver = Driver(engine, place.ledger, Budgets(speculate=False), place.watcher, clock=engine.clock)
    graph = graph_of(30)
    driver.run(graph)
    assert place.committed() == [(n, n + 1) for n in range(30)]
    assert engine.clock() < 60, "task 2 kept what was behind it"
    place.ledger.write_notes()
    spans = spans_in(RunDirectory.read(place.ledger.url).events())
    assert {span["how"] for span in spans} == {"committed"} and len(spans) == 30
    for slot in range(3):
        times = sorted((span["began"], span["ended"]) for span in spans if span["slot"] == slot)
        assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(times)), times
        assert all(round(ended - began, 3) in (1.0, 50.0) for began, ended in times), times


def test_deaths_cost_what_was_ahead_nothing(place: Place) -> None:
    engine = Simulated(slots=2, seed=5, faults=Faults(crash=0.2, exception=0.2), outputs=shown, ahead=True)
    engine.open(Want(2))
    budgets = Budgets(crash=100, exception=100, speculate=False)
    driver = Driver(engine, place.ledger, budgets, place.watcher, clock=engine.clock)
    driver.run(graph_of(60))
    assert place.committed() == [(n, n + 1) for n in range(60)]
    place.ledger.write_notes()
    spans = spans_in(RunDirectory.read(place.ledger.url).events())
    hows = Counter(span["how"] for span in spans)
    assert hows["committed"] == 60 and hows["lost"] > 5 and hows["failed"] > 5 and len(hows) == 3, hows
    assert {round(span["ended"] - span["began"], 3) for span in spans if span["how"] == "lost"} == {0.5}
    assert len(place.watcher.retries) == hows["lost"] + hows["failed"], "what never began was tried again as a failure"


class Simulated(SimulatedEngine):
    """Its clock never stands still."""

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        return super().wait((timeout or 0.0) + 1e-6)


def shown(spec: TaskSpec) -> tuple[Output, ...]:
    data = f"{spec.stage} {spec.first}".encode()
    return (Output("o", 1, len(data), digest(data), data),)
