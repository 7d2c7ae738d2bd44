"""Tasks go where what they read lies, where that costs nothing."""

from __future__ import annotations

import socket
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwise.data.source import Fragment
from shardwise.run import messages as m
from shardwise.run.graph import Graph
from shardwise.run.locality import Locality, address
from shardwise.run.placement import Extent, held, near, shares
from shardwise.run.ready import Ready
from shardwise.run.scheduler import Scheduler

HOSTS = ("a", "b", "c")


class Fake:
    """A cluster in virtual time: tasks of a second, slots on three hosts."""

    def __init__(self, tasks: int, located: bool, seed: int = 0) -> None:
        self.chance = Random(seed)
        self.at = {task: HOSTS[task % 3] for task in range(tasks)}
        self.scheduler = Scheduler(
            [m.Task(task, "read", task, task + 1) for task in range(tasks)], m.Budgets(speculate=False)
        )
        self.slots = {number: HOSTS[number % 3] for number in range(6)}
        self.started: list[tuple[int, str]] = []
        self.running: list[tuple[float, int, int]] = []
        self.now = 0.0
        events: list[m.Event] = [m.SlotAdded(0.0, number, host) for number, host in self.slots.items()]
        if located:
            events.insert(0, m.Located(0.0, tuple(m.Place(task, (host,)) for task, host in self.at.items())))
        self.hear(*events)

    def hear(self, *events: m.Event) -> None:
        answers: list[m.Event] = []
        for command in self.scheduler.handle(*events):
            match command:
                case m.Start(task, attempt, slot):
                    self.started.append((task, self.slots[slot]))
                    self.running.append((self.now + self.chance.uniform(0.5, 1.5), slot, attempt))
                case m.Commit(_, attempt):
                    answers.append(m.Committed(self.now, attempt))
        self.scheduler.validate()
        if answers:
            self.hear(*answers)

    def play(self) -> float:
        """Share of tasks that ran where their input lies."""
        while self.running:
            self.now, slot, attempt = min(self.running)
            self.running.remove((self.now, slot, attempt))
            self.hear(m.Succeeded(self.now, slot, attempt))
        assert self.scheduler.stopped == m.Stop("done")
        assert sorted(task for task, _ in self.started) == list(self.at)
        return sum(self.at[task] == host for task, host in self.started) / len(self.at)


def test_tasks_run_where_their_input_lies_as_long_as_there_are_such() -> None:
    assert Fake(300, located=False).play() < 0.5
    assert Fake(300, located=True).play() > 0.95


def test_no_slot_waits_for_a_task_that_is_near() -> None:
    """All input lies on one host: the others take it from afar, and nothing takes longer for it."""
    world = Fake(60, located=False)
    alone = Fake(60, located=False)
    alone.hear(m.Located(0.0, tuple(m.Place(task, ("a",)) for task in range(60))))
    world.play(), alone.play()
    assert alone.now == world.now


@pytest.mark.parametrize("kind", ["exception", "memory"])
def test_what_failed_before_is_not_passed(kind: str) -> None:
    tasks = [m.Task(n, "read" if n else "first", n, n + 1) for n in range(4)]
    scheduler = Scheduler(tasks, m.Budgets(shares=2))
    scheduler.handle(m.SlotAdded(0.0, 0, "a"), m.SlotAdded(0.0, 1, "a"))
    failure = m.Failure(kind, "E", "it failed", "")
    places = tuple(m.Place(task, ("a",)) for task in (2, 3))
    scheduler.handle(m.SlotLost(1.0, 1, "crash", ""), m.Failed(1.0, 0, 0, failure), m.Located(1.0, places))
    scheduler.handle(m.SlotLost(2.0, 0, "killed", ""))
    answer = scheduler.handle(m.SlotAdded(9.0, 2, "a"))
    assert [command.task for command in answer if isinstance(command, m.Start)] == [0], answer


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "locate"]), st.integers(0, 9), st.sampled_from(HOSTS))))
def test_lines_of_hosts_agree_with_the_one_line(steps: list[tuple[str, int, str]]) -> None:
    ready, ids, at = Ready(), set[int](), dict[int, str]()
    for what, task, host in steps:
        if what == "locate":
            ready.locate(task, (host,))
            at[task] = host
        elif what == "add" and task not in ids:
            ready.add(task)
            ids.add(task)
        elif what == "remove" and task in ids:
            ready.remove(task)
            ids.remove(task)
        assert list(ready) == sorted(ids) and (not ids or ready.lowest == min(ids))
        for host_ in HOSTS:
            there = [(task, host_) for task in ids if at.get(task) == host_]
            assert ready.near([host_]) == min(there, default=None)


@given(st.integers(0, 20), st.integers(1, 20), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_bytes_of_a_task_are_all_somewhere(first: int, length: int, batches: list[int]) -> None:
    starts = [0]
    for count in batches:
        starts.append(starts[-1] + count)
    sizes = [100 * count for count in batches]
    extents = [[Extent(0, size // 2, ("a", "b")), Extent(size // 2, size, ("b",))] for size in sizes]
    last = min(first + length, starts[-1])
    by_host, size = held((first, last), starts, sizes, extents)
    assert size == pytest.approx(100 * max(0, last - first))
    assert by_host.get("b", 0) == pytest.approx(size) and by_host.get("a", 0) <= size
    if size:
        assert "b" in near(by_host, size)


def test_only_what_overlaps_counts() -> None:
    extents = [Extent(0, 10, ("a",)), Extent(10, 10, ("b",))]
    assert shares(10, 20, extents) == {"b": 10}
    assert near({"a": 49.0, "b": 51.0}, 100.0) == ("b",)


def graph(tasks: int) -> Graph:
    made = Graph(fragments=tuple(Fragment(f"hdfs://head/{n}", 2, size=100) for n in range(tasks)))
    made.stages["read"] = None  # type: ignore[assignment]
    for n in range(tasks):
        made.task("read", 2 * n, 2 * n + 2)
    made.task("merge", 0, 2 * tasks, tuple(range(tasks)))
    return made


def located(locality: Locality) -> m.Located:
    found: list[m.Located] = []
    while not found:  # a thread looks; bounded by the time-out of the test run
        found = locality.news(1.0)
    return found[0]


def test_nobody_is_asked_while_all_slots_are_here() -> None:
    def never(name: str, options: object) -> list[object]:
        raise AssertionError("asked")

    locality = Locality(graph(2), never)  # type: ignore[arg-type]
    locality.came(socket.gethostname())
    assert locality._thread is None and locality.news(0.0) == []


def test_hosts_are_named_as_slots_name_them() -> None:
    asked: list[str] = []

    def blocks(name: str, options: object) -> list[tuple[int, int, tuple[str, ...]]]:
        asked.append(name)
        return [(0, 100, ("127.0.0.7" if name.endswith("0") else "10.9.9.9",))]

    locality = Locality(graph(2), blocks)
    locality.came("localhost")
    event = located(locality)
    assert [place.task for place in event.places] == [0, 1]  # the merge reads no file
    assert event.places[0].hosts == ("localhost",) and "localhost" not in event.places[1].hosts
    locality.came("10.9.9.9")
    assert located(locality).places[1].hosts == ("10.9.9.9",)
    assert sorted(asked) == ["hdfs://head/0", "hdfs://head/1"]  # once
    locality.count(0, "localhost", 30)
    locality.count(1, "localhost", 70)
    assert (locality.local, locality.located) == (30, 100)
    locality.close()


def test_addresses() -> None:
    assert address("LOCALHOST") == "127.0.0.1"
    assert address("no-such-host.invalid") == "no-such-host.invalid"
