"""A run in virtual time, on two hosts whose clocks differ, with all that can happen to attempts; and its report.

``python tests/report/recorded.py FILE.json`` writes the report's document, for whoever draws it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shardwise import records
from shardwise.compute.task import Metrics, Outcome, Output, TaskSpec
from shardwise.engines.protocol import EngineEvent, Finished, SlotUp, Want
from shardwise.engines.simulated import Faults, SimulatedEngine
from shardwise.errors import ShardwiseError
from shardwise.run.directory import RunDirectory
from shardwise.run.driver import Driver
from shardwise.run.graph import Graph
from shardwise.run.messages import Budgets
from shardwise.run.view import RunView
from shardwise.storage import digest

JOB = {"summary": "mean of fare by zone of trips/*.parquet", "operations": [{"map": {}}]}
SKEWS = (300.0, -120.0)
"""Seconds that the clocks of the two hosts are off."""

ROWS = 131_072


class Silent:
    """A watcher."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None


class Talking(SimulatedEngine):
    """Its attempts read, compute, write and say something, by the clocks of their hosts.

    Parameters
    ----------
    wall : float
        What the driver's clock says when the virtual one says 0.
    """

    def __init__(self, *arguments: Any, wall: float = 0.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.wall = wall
        self.specs: dict[int, TaskSpec] = {}

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Remember what was sent."""
        spec = records.from_json(TaskSpec, task)
        self.specs[spec.attempt] = spec
        super().send(slot, task, memory)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Let time go on: no clock stands still."""
        return super().wait(None if timeout is None else timeout + 1e-6)

    def _tell(self, event: EngineEvent) -> None:
        match event:
            case SlotUp(slot):
                event = replace(event, host=f"host-{slot % 2}")
            case Finished(slot, raw):
                event = Finished(slot, records.to_json(self._told(slot, records.from_json(Outcome, raw))).encode())
        super()._tell(event)

    def _told(self, slot: int, outcome: Outcome) -> Outcome:
        spec, seconds = self.specs[outcome.attempt], outcome.metrics.seconds
        rows = ROWS * (spec.last - spec.first) if spec.stage == "partial" else 0
        metrics = Metrics(
            seconds,
            read_seconds=0.3 * seconds,
            compute_seconds=0.55 * seconds,
            write_seconds=0.05 * seconds,
            rows_in=rows,
            bytes_in=rows * 40,
            rows_out=3,
            batches=1,
            peak_memory=90_000_000 + rows * 100,
        )
        ended = self.wall + self.clock() + SKEWS[slot % 2]
        lines = (f"{spec.stage} {spec.first} begins", f"{spec.stage} {spec.first} ends")
        times = (ended - seconds, ended)
        return replace(outcome, metrics=metrics, logs=lines, times=times, began=ended - seconds)


def state(spec: TaskSpec) -> tuple[Output, ...]:
    """What an attempt gives."""
    data = f"{spec.stage} {spec.first}".encode()
    return (Output("state", 1, len(data), digest(data), data),)


def seconds_of(spec: TaskSpec) -> float:
    """Uneven tasks: one takes five times as long, and the first attempt at another one far too long."""
    if spec.stage != "partial":
        return 0.4
    if spec.first == 11 and spec.attempt & 0xFFFFFFFF < 20:
        return 60.0
    return 1.0 + (spec.first * 37 % 10) / 10 + (5.0 if spec.first == 7 else 0.0)


def graph_of(tasks: int) -> Graph:
    """A group-by: states of shards, merged four at a time, finished."""
    graph = Graph()
    graph.stage("partial", None)  # type: ignore[arg-type]
    graph.stage("merge", None, tree=True)  # type: ignore[arg-type]
    graph.stage("finish", None, tree=True)  # type: ignore[arg-type]
    leaves = [graph.task("partial", n, n + 1) for n in range(tasks)]
    merges = [graph.task("merge", n, min(n + 4, tasks), tuple(leaves[n : n + 4])) for n in range(0, tasks, 4)]
    graph.task("finish", 0, tasks, tuple(merges))
    return graph


def carry_out(
    url: str, tasks: int = 24, slots: int = 4, faults: Faults | None = None, seed: int = 7, finish: bool = True
) -> RunView:
    """Carry out a run in a directory; the same arguments give the same course."""
    faults = faults or Faults(exception=0.06, crash=0.06, start=1.5, latency=0.02, hosts=2)
    with RunDirectory.open(url, JOB) as ledger:
        ledger.note("plan", plan_of(tasks, slots))
        engine = Talking(slots, seed, seconds_of, faults, state)
        engine.open(Want(slots))
        driver = Driver(engine, ledger, Budgets(5, 5, 5, 5, 5), Silent(), clock=engine.clock)
        engine.wall = driver.spans.now() - engine.clock()
        try:
            driver.run(graph_of(tasks))
            if finish:
                ledger.finish({"engine": "simulated", "workers": slots, "seconds": engine.clock(), "quarantined": 0})
        except ShardwiseError as error:
            ledger.note("failed", {"code": error.code, "message": error.message, "fix": error.fix})
        finally:
            driver.close()
    return RunDirectory.read(url)


def plan_of(tasks: int, slots: int) -> dict[str, Any]:
    """A plan such as `job.plan()` makes."""
    stages = [
        ("partial", "map speed", tasks, 14.0, 110_000_000),
        ("merge", "merge states, in a tree", -(-tasks // 4), 0.9, 90_000_000),
        ("finish", "the result", 1, 0.4, 90_000_000),
    ]
    return {
        "job": JOB["summary"],
        "engine": "simulated",
        "workers": slots,
        "threads": 1,
        "stages": [
            {"name": name, "what": what, "tasks": count, "done": 0, "batches": count, "rows": None, "size": None}
            | {"seconds": seconds, "memory_bytes": memory}
            for name, what, count, seconds, memory in stages
        ],
        "seconds": 16.5,
        "seconds_low": 14.0,
        "seconds_high": 21.0,
        "memory_bytes": 480_000_000,
        "memory_limit": 2_000_000_000,
        "run_dir": "",
        "reasons": ["four workers: predicted 16.5 s, where one would take 52 s"],
        "bottleneck": {"name": "computing", "why": "the function takes 55 % of the time", "strategy": "data parallel"},
        "alternatives": [
            {"engine": engine, "workers": workers, "shard_bytes": 5_242_880, "seconds": seconds, "seconds_low": low}
            | {"seconds_high": high, "memory_bytes": memory, "fits": True, "chosen": workers == slots}
            for engine, workers, seconds, low, high, memory in [
                ("inline", 1, 52.0, 47.0, 60.0, 210_000_000),
                ("local", 2, 28.0, 25.0, 33.0, 300_000_000),
                ("local", 4, 16.5, 14.0, 21.0, 480_000_000),
            ]
        ],
        "sample": {"tasks": 2, "share": 0.04, "seconds": 1.1},
    }


if __name__ == "__main__":
    import tempfile

    from shardwise.report.document import document

    with tempfile.TemporaryDirectory() as directory:
        made = document(carry_out(str(Path(directory) / "run")))
    Path(sys.argv[1]).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
