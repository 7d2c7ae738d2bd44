"""Every attempt leaves one span, however it ends; and nothing is written for them alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import shardwise as sw
from processes import PATIENCE
from shardwise.compute.task import Failure, Output, TaskSpec
from shardwise.engines.protocol import EngineEvent, Want
from shardwise.engines.simulated import Faults, SimulatedEngine
from shardwise.errors import RunIsTaken, ShardwiseError, StorageError
from shardwise.run.directory import RunDirectory
from shardwise.run.driver import Driver
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.graph import Graph
from shardwise.run.messages import Budgets
from shardwise.run.spans import SAVE_SECONDS, Span, Spans, spans_in
from shardwise.run.view import RunView
from shardwise.storage import digest

JOB = {"summary": "count"}


class Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None


class Engine(SimulatedEngine):
    """Counts what it is sent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sent: Counter[int] = Counter()

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        super().send(slot, task, memory)
        attempt = self._alive.get(slot)
        if attempt is not None:
            self.sent[attempt] += 1

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        return super().wait(None if timeout is None else timeout + 1e-6)  # no clock stands still


def outputs(spec: TaskSpec) -> tuple[Output, ...]:
    return (Output("state", 1, 1, digest(b"x"), b"x"),)


def graph_of(tasks: int) -> Graph:
    graph = Graph()
    graph.stage("read", None)  # type: ignore[arg-type]
    graph.stage("end", None)  # type: ignore[arg-type]
    leaves = tuple(graph.task("read", n, n + 1) for n in range(tasks))
    graph.task("end", 0, tasks, leaves)
    return graph


def drive(engine: Engine, ledger: Any, graph: Graph, budgets: Budgets | None = None, slots: int = 3) -> Driver:
    engine.open(Want(slots))
    driver = Driver(engine, ledger, budgets or Budgets(), Silent(), clock=engine.clock)
    driver.run(graph)
    return driver


def noted(ledger: EphemeralLedger) -> tuple[list[Span], list[dict[str, Any]]]:
    data = [line for kind, _, line in ledger.notes if kind == "attempts"]
    return [s for line in data for s in line["spans"]], [s for line in data for s in line["slots"]]


def check(spans: list[Span], slots: list[dict[str, Any]]) -> None:
    """Times make sense: an attempt lies within the life of its slot, and none overlaps another one there."""
    up = {news["slot"]: news for news in slots if "up" in news}
    down = {news["slot"]: news["down"] for news in slots if "down" in news}
    by_slot: dict[int, list[Span]] = {}
    for span in spans:
        assert span["began"] <= span["ended"]
        assert up[span["slot"]]["asked"] <= up[span["slot"]]["up"] <= span["began"]
        assert span["ended"] <= down.get(span["slot"], span["ended"])
        assert span["host"] == up[span["slot"]]["host"]
        by_slot.setdefault(span["slot"], []).append(span)
    for there in by_slot.values():
        there.sort(key=lambda span: span["began"])
        assert all(before["ended"] <= after["began"] for before, after in pairwise(there))


def play(seed: int) -> tuple[list[Span], Counter[str]]:
    faults = Faults(exception=0.1, crash=0.1, engine=0.05, hang=0.05, start=2.0, hosts=2, mortality=0.2, lifetime=9.0)
    slow: set[int] = set()

    def seconds(spec: TaskSpec) -> float:
        if spec.first % 9 == 5 and spec.task not in slow:
            slow.add(spec.task)
            return 40.0
        return 1.0 + (spec.first * 7919 % 100) / 100

    engine, ledger = Engine(3, seed, seconds, faults, outputs), EphemeralLedger()
    budgets = Budgets(2, 2, 2, 2, 2, seconds=60.0)
    try:
        drive(engine, ledger, graph_of(30), budgets).close()
    except ShardwiseError:
        engine.close()
    spans, slots = noted(ledger)
    check(spans, slots)
    committed = sorted(commit.attempt for stage in ("read", "end") for commit in ledger.committed(stage))
    assert sorted(span["attempt"] for span in spans if span["how"] == "committed") == committed
    attempts = [span["attempt"] for span in spans]
    assert len(set(attempts)) == len(attempts)
    assert set(attempts) == set(engine.sent)
    for span in spans:
        assert bool(span["failure"]) == (span["how"] in ("failed", "lost")) or span["how"] == "cancelled"
    return spans, Counter(span["how"] for span in spans)


def test_every_attempt_has_one_span_however_it_ends() -> None:
    hows: Counter[str] = Counter()
    backups = 0
    for seed in range(25):
        spans, found = play(seed)
        hows += found
        backups += sum(span["backup"] for span in spans)
    assert set(hows) >= {"committed", "failed", "lost", "cancelled"}
    assert backups > 0


def test_one_that_succeeds_too_late_says_so() -> None:
    attempts: list[int] = []

    def seconds(spec: TaskSpec) -> float:
        if spec.stage == "read" and spec.first == 7:
            attempts.append(spec.attempt)
            return 16.0 - engine.clock()  # both attempts answer in the same instant
        return 1.0

    engine, ledger = Engine(2, 0, seconds, outputs=outputs), EphemeralLedger()
    drive(engine, ledger, graph_of(8), slots=2).close()
    spans, slots = noted(ledger)
    check(spans, slots)
    assert len(attempts) == 2
    assert sorted(span["how"] for span in spans if span["attempt"] in attempts) == ["committed", "late"]


def test_an_attempt_that_took_too_long_is_lost_with_the_reason() -> None:
    first: list[int] = []

    def seconds(spec: TaskSpec) -> float:
        first.append(spec.attempt)
        return 100.0 if len(first) == 1 else 1.0

    engine, ledger = Engine(1, 0, seconds, outputs=outputs), EphemeralLedger()
    drive(engine, ledger, graph_of(2), Budgets(seconds=5.0), slots=1).close()
    spans, _ = noted(ledger)
    (lost,) = (span for span in spans if span["how"] == "lost")
    assert lost["failure"] == "task 0 took more than 5 s"
    assert lost["ended"] - lost["began"] == pytest.approx(5.0, abs=0.01)


class Full(EphemeralLedger):
    """Refuses the first group of commits."""

    refused = False

    def commit(self, commits: Any) -> Any:
        if not self.refused:
            self.refused = True
            raise StorageError("the disk is full", "free space")
        return super().commit(commits)


def test_a_commit_that_failed_is_a_failed_attempt() -> None:
    ledger = Full()
    drive(Engine(2, outputs=outputs), ledger, graph_of(4), slots=2).close()
    spans, _ = noted(ledger)
    failed = [span for span in spans if span["how"] == "failed"]
    assert {span["failure"] for span in failed} == {"StorageError: the disk is full"}
    assert len(spans) == 5 + len(failed)


# --- in the journal ------------------------------------------------------------------------------------------------


def test_spans_travel_with_commits_and_cost_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def segments(name: str) -> int:
        with RunDirectory.open(str(tmp_path / name), JOB) as run:
            drive(Engine(3, outputs=outputs), run, graph_of(60)).close()
            run.finish({})
        return len(list((tmp_path / name / "journal").iterdir()))

    with_spans = segments("with")
    spans = spans_in(RunDirectory.read(str(tmp_path / "with")).events())
    assert len(spans) == 61
    assert {span["how"] for span in spans} == {"committed"}
    monkeypatch.setattr(Spans, "save", lambda self, ledger: None)
    assert segments("without") == with_spans


def test_a_run_that_commits_nothing_for_long_is_seen_all_the_same(tmp_path: Path) -> None:
    """Attempts that fail leave no commit: their spans are written every few seconds."""
    seen: list[int] = []

    def seconds(spec: TaskSpec) -> float:
        seen.append(len(spans_in(RunDirectory.read(str(tmp_path / "run")).events())))
        return 3.0 * SAVE_SECONDS

    faults = Faults(storage=1.0)
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run, pytest.raises(StorageError):
        drive(Engine(1, 0, seconds, faults), run, graph_of(1), Budgets(storage=4), slots=1)
    assert seen[0] == 0
    assert seen[-1] >= len(seen) - 2


def test_a_full_disk_keeps_spans_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunDirectory.open(str(tmp_path / "run"), JOB) as run:
        run.next_attempt()
        now = 0.0
        spans = Spans(lambda: now)
        spans.up(0, "here")
        now = 2 * SAVE_SECONDS
        with monkeypatch.context() as patch:
            patch.setattr(run._journal, "append", _refuse(StorageError("the disk is full")))
            spans.save_at_once(run)
        with monkeypatch.context() as patch:
            patch.setattr(run._journal, "append", _refuse(RunIsTaken("another driver", "wait")))
            now = 4 * SAVE_SECONDS
            with pytest.raises(RunIsTaken):
                spans.save_at_once(run)
    lines = [line for line in RunDirectory.read(str(tmp_path / "run")).events() if line.kind == "attempts"]
    assert [news["host"] for line in lines for news in line.data["slots"]] == ["here"]


def _refuse(error: Exception) -> Callable[..., None]:
    def refuse(*arguments: Any) -> None:
        raise error

    return refuse


def test_a_resumed_run_has_the_spans_of_all_its_drivers(tmp_path: Path) -> None:
    url = str(tmp_path / "run")

    def dies(spec: TaskSpec) -> float:
        if spec.first == 5:
            raise KeyboardInterrupt
        return 1.0

    with RunDirectory.open(url, JOB) as run, pytest.raises(KeyboardInterrupt):
        drive(Engine(2, 0, dies, outputs=outputs), run, graph_of(8), slots=2)
    with RunDirectory.open(url, JOB) as run:
        graph = Graph()
        graph.stage("read", None)  # type: ignore[arg-type]
        for commit in run.committed("read"):
            graph.committed("read", commit)
        there = {commit.first for commit in run.committed("read")}
        for number in set(range(8)) - there:
            graph.task("read", number, number + 1)
        drive(Engine(2, outputs=outputs), run, graph, slots=2)
        run.finish({})
    spans = spans_in(RunDirectory.read(url).events())
    assert len({span["attempt"] >> 32 for span in spans}) == 2
    done = sorted({span["task"] for span in spans if span["how"] == "committed"})
    assert done == [f"read-{n}-{n + 1}" for n in range(8)]


# --- real workers --------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_leaves_a_lost_span(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.write_text("")

    def dies_once(x: int) -> int:
        if x == 3 and flag.exists():
            flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    job = sw.from_items(list(range(8))).map_items(dies_once).collect()
    result = job.run(engine="local:2", run_dir=str(tmp_path / "run"), shard_size=1)
    assert result.to_list() == list(range(8))
    lines = list(RunDirectory.read(str(tmp_path / "run")).events())
    spans = spans_in(lines)
    lost = [span for span in spans if span["how"] == "lost"]
    assert len(lost) == 1
    assert "SIGKILL" in lost[0]["failure"]
    assert sum(span["rows"] for span in spans if span["how"] == "committed") == 8
    check(spans, [news for line in lines if line.kind == "attempts" for news in line.data["slots"]])
    for span in spans:
        if span["how"] == "committed":
            assert 0 <= span["read"] + span["compute"] + span["write"] <= span["seconds"] + 1e-5
            assert span["sent"] > 0
            assert span["received"] > 0


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import shardwise as sw

driver, flag = os.getpid(), Path(sys.argv[1])

def kills_the_driver(x):
    time.sleep(0.03)  # so that there are several groups of commits
    if x == 25 and flag.exists():
        flag.unlink()
        os.kill(int(os.environ["DRIVER"]), signal.SIGKILL)
    return x

os.environ["DRIVER"] = str(driver)
job = sw.from_items(list(range(30))).map_items(kills_the_driver).collect()
result = job.run(engine="local:1", run_dir=sys.argv[2], shard_size=1)
assert result.to_list() == list(range(30))
"""


def test_a_killed_driver_loses_only_the_spans_that_were_not_saved(tmp_path: Path) -> None:
    flag, run = tmp_path / "flag", str(tmp_path / "run")
    flag.write_text("")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(flag), run]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(command, env=environment, timeout=PATIENCE).returncode == -signal.SIGKILL
    view = RunDirectory.read(run)
    kept = {span["attempt"] for span in spans_in(view.events()) if span["how"] == "committed"}
    committed = [commit.attempt for commit in view.committed("collect")]
    last = {commit["attempt"] for commit in _last_group(view)}
    assert len(committed) > len(last) > 0
    assert set(committed) - last <= kept <= set(committed)
    assert subprocess.run(command, env=environment, timeout=PATIENCE).returncode == 0
    spans = [span for span in spans_in(RunDirectory.read(run).events()) if span["how"] == "committed"]
    assert kept < {span["attempt"] for span in spans}
    assert len({span["task"] for span in spans}) >= 30 - len(last)


def _last_group(view: RunView) -> list[dict[str, Any]]:
    """Commits of the last segment of the journal that has any."""
    for path in sorted(Path(view.url, "journal").iterdir(), reverse=True):
        lines = [json.loads(line) for line in path.read_text().splitlines()[2:]]
        found = [line["data"]["commit"] for line in lines if line["kind"] == "committed"]
        if found:
            return found
    return []


def test_a_failure_is_one_line() -> None:
    spans = Spans(lambda: 1.0, lambda: 1000.0)
    spans.up(0, "here")
    spans.began(1, "read-0-1", "read", 0, "here")
    spans.ended(1, "failed", str(Failure("exception", "ValueError", "no\n" + "x" * 9999).message) + "y")
    spans.began(2, "read-0-1", "read", 0, "here")
    spans.ended(2, "failed", "z" * 9999)
    first, second = spans.take()["spans"]
    assert first["failure"] == "no"
    assert len(second["failure"]) == 300
