"""The driver on a simulated engine: what is split, what is tried twice, and what is left of losers."""

from __future__ import annotations

from collections.abc import Sequence

from shardwise import records
from shardwise.compute.task import Failure, Output, TaskSpec
from shardwise.engines.protocol import EngineEvent, Want
from shardwise.engines.simulated import SimulatedEngine
from shardwise.run.commits import Commit
from shardwise.run.driver import Driver
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.graph import Graph
from shardwise.run.messages import Budgets, Task


class Ledger(EphemeralLedger):
    """Remembers what was discarded, and which slots were alive then; and what was noted."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.discarded: list[tuple[int, bool]] = []  # attempt, whether its worker was alive
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.committed_attempts: list[int] = []

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        self.committed_attempts += [commit.attempt for commit in commits]
        return super().commit(commits)

    def discard(self, attempt: int) -> None:
        self.discarded.append((attempt, self.engine.spec_of[attempt][0] in self.engine._alive))

    def note(self, kind: str, data: dict[str, object]) -> None:
        self.notes.append((kind, data))


class Engine(SimulatedEngine):
    """Remembers what was sent where."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.spec_of: dict[int, tuple[int, TaskSpec]] = {}

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        spec = records.from_json(TaskSpec, task)
        assert spec.memory == memory
        self.spec_of[spec.attempt] = slot, spec
        super().send(slot, task, memory)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """A little longer, so that rounding cannot make time stand still."""
        return super().wait(None if timeout is None else timeout + 1e-6)


class Watcher:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, graph: Graph, slots: int) -> None:
        """Nothing."""

    def moved(self, now: float, running: int, commits: Sequence[Commit]) -> None:
        """Nothing."""

    def retried(self, task: Task, failure: Failure) -> None:
        self.told.append("retried")

    def split(self, task: Task, halves: Sequence[Task], failure: Failure) -> None:
        self.told.append("split")

    def speculated(self, task: Task) -> None:
        self.told.append("speculated")

    def draining(self, running: int) -> None:
        """Nothing."""


def ordinals(spec: TaskSpec) -> tuple[Output, ...]:
    """As output of a task: what it read."""
    read = ",".join(output.name for output in spec.inputs) or f"{spec.first}-{spec.last}"
    return (Output(read, 1, 1, "", data=b"x"),)


def drive(engine: Engine, graph: Graph, budgets: Budgets, **options: int) -> tuple[dict[int, Commit], Driver, Ledger]:
    engine.open(Want(2))
    ledger = Ledger(engine)
    driver = Driver(engine, ledger, budgets, Watcher(), clock=engine.clock, **options)  # type: ignore[arg-type]
    return driver.run(graph), driver, ledger


def test_halves_are_read_in_order_in_the_place_of_their_task() -> None:
    graph = Graph()
    graph.stage("read", program=None)  # type: ignore[arg-type]
    graph.stage("merge", program=None, tree=True)  # type: ignore[arg-type]
    leaves = [graph.task("read", 0, 8, unit=1), graph.task("read", 8, 11, unit=1)]
    top = graph.task("merge", 0, 11, tuple(leaves))
    engine = Engine(2, outputs=ordinals, needs=lambda spec: 0 if spec.inputs else 100 * (spec.last - spec.first))
    commits, driver, ledger = drive(engine, graph, Budgets(shares=2), memory=150)
    pieces = [tuple(map(int, piece.split("-"))) for piece in commits[top].outputs[0].name.split(",")]
    assert [first for first, _ in pieces] == [0, *(last for _, last in pieces[:-1])]
    assert pieces[-1][1] == 11
    assert len(pieces) > 2
    splits = [data for kind, data in ledger.notes if kind == "split"]
    assert len(splits) == driver.watcher.told.count("split") == len(graph.halves)  # type: ignore[attr-defined]
    assert splits[0]["task"] == "read-0-8"
    driver.close()


def test_nothing_is_left_of_the_slower_attempt() -> None:
    graph = Graph()
    graph.stage("read", program=None)  # type: ignore[arg-type]
    for number in range(4):
        graph.task("read", number, number + 1)
    slow: set[int] = set()

    def seconds(spec: TaskSpec) -> float:
        if spec.task == 3 and not slow:
            slow.add(spec.attempt)
            return 1000.0
        return 1.0

    engine = Engine(2, costs=seconds, outputs=ordinals)
    commits, driver, ledger = drive(engine, graph, Budgets())
    driver.close()
    (loser,) = slow
    assert engine.clock() < 100.0
    assert commits[3].attempt not in slow
    assert len(ledger.committed_attempts) == 4
    assert not slow & set(ledger.committed_attempts)
    assert [attempt for attempt, _ in ledger.discarded] == [loser, loser]
    assert not ledger.discarded[-1][1], "when it could not write any more, it was discarded again"
    assert ("speculation", {"started": 1, "won": 1}) in ledger.notes
    assert driver.watcher.told == ["speculated"]  # type: ignore[attr-defined]
