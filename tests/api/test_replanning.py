"""A run under ``auto`` changes its engine once it has a sample, where enough is left to do and another way is sooner.

Clocks here are moved by tasks alone: the trial takes a task to last as long as the test says, and what the sample
measured is replaced by figures of the test. The tasks themselves are real, as are the workers that carry them out.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import shardwise as sw
from shardwise.api import prediction, trial
from shardwise.api.sampling import Sampler
from shardwise.plan import choose
from shardwise.plan.sample import Phase, Sample
from shardwise.run.directory import RunDirectory
from shardwise.run.view import RunView

ITEMS = 400
WORKERS = 2

Job = Callable[[], Any]


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (choose, prediction):
        monkeypatch.setattr(module, "usable_cores", lambda: WORKERS)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A file with a line for each call of the job's function: the item, and the process that it was called in."""
    return tmp_path / "calls"


@pytest.fixture
def job(calls: Path) -> Job:
    path = str(calls)

    def square(item: int) -> int:
        with open(path, "ab", buffering=0) as lines:  # one write at the end of the file: nothing is torn
            lines.write(b"%d %d\n" % (item, os.getpid()))
        return item * item

    return lambda: sw.from_items(range(ITEMS)).map_items(square).collect()


def lasting(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have an item that is tried in this process last so long by the trial's clock."""
    now, attempt = [0.0], trial.Trial._try

    def tried(self: trial.Trial, stage: Any, program: Any, first: int, last: int, limit: float) -> bool:
        now[0] += seconds * (last - first)
        return attempt(self, stage, program, first, last, limit)

    monkeypatch.setattr(trial.Trial, "_try", tried)
    monkeypatch.setattr(
        trial, "_at_most", lambda limit: contextlib.nullcontext(trial._Bound())
    )  # the machine's clock ends nothing
    monkeypatch.setattr(trial, "time", SimpleNamespace(monotonic=lambda: now[0]))


def measured(monkeypatch: pytest.MonkeyPatch, seconds: float, crowding: float, working: float = 1.0) -> list[Sample]:
    """Have the sample find that an item takes so long, and by this part longer for each other worker, and that a
    processor works this part of it; what it said."""
    said: list[Sample] = []
    take = Sampler.take

    def costing(phase: Phase) -> Phase:
        each = seconds * (1 + crowding * (phase.busy - 1))
        tried = tuple(
            replace(t, seconds=s, compute=s, read=0.0, write=0.0, cpu=working * s, queued=0.0)
            for t, s in ((t, each * t.weight) for t in phase.tried)
        )
        return replace(phase, seconds=sum(t.seconds for t in tried) / phase.busy, tried=tried)

    def taken(self: Sampler, *args: Any) -> Sample:
        sample = take(self, *args)
        said.append(replace(sample, phases=tuple(map(costing, sample.phases)), start=0.1, merge=0.0))
        return said[-1]

    monkeypatch.setattr(Sampler, "take", taken)
    return said


def where(calls: Path) -> dict[int, int]:
    """The process that each item was called in; no item was called on twice."""
    lines = [line.split() for line in calls.read_text().splitlines()]
    assert Counter(int(item) for item, _ in lines) == dict.fromkeys(range(ITEMS), 1)
    return {int(item): int(pid) for item, pid in lines}


def ranges(view: RunView) -> list[tuple[int, int]]:
    return sorted((commit.first, commit.last) for commit in view.committed("collect"))


def test_workers_that_only_hinder_each_other_give_way_to_this_process(
    job: Job, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting(monkeypatch, 0.05)
    samples = measured(monkeypatch, 0.05, crowding=2.0)
    path = str(tmp_path / "run")
    result = job().run(run_dir=path, progress="none")
    assert len(samples) == 1 and samples[0].engine == f"local:{WORKERS}"
    pids = where(calls)
    there = {item for item, pid in pids.items() if pid != os.getpid()}
    assert pids[0] == pids[1] == os.getpid(), "the trial began here"
    assert 0 < len(there) <= ITEMS * 0.05, "the sample was taken on workers, and nothing after it"
    view = RunDirectory.read(path)
    (plan,) = view.noted("plan")
    assert (plan["engine"], plan["workers"]) == ("inline", 1)
    (chosen,) = [way for way in plan["alternatives"] if way["chosen"]]
    assert chosen["engine"] == "inline"
    assert (result.run.engine, result.run.workers) == ("inline", 1)
    assert (result.run.rows, result.run.resumed_tasks) == (ITEMS, 0)
    assert sum(last - first for first, last in ranges(view)) == ITEMS, "each committed once"
    assert result.to_list() == [item * item for item in range(ITEMS)]


def test_workers_that_pay_keep_what_this_process_began(
    job: Job, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting(monkeypatch, 0.05)
    samples = measured(monkeypatch, 0.05, crowding=0.0)
    path = str(tmp_path / "run")
    result = job().run(run_dir=path, progress="none")
    assert len(samples) == 1
    here = {item for item, pid in where(calls).items() if pid == os.getpid()}
    assert here == {0, 1}, "the trial begins here, and all else is done by workers"
    (plan,) = RunDirectory.read(path).noted("plan")
    assert (plan["engine"], plan["workers"]) == (f"local:{WORKERS}", WORKERS)
    assert (result.run.engine, result.run.rows, result.run.resumed_tasks) == (f"local:{WORKERS}", ITEMS, 0)


def test_more_workers_than_cores_take_over_where_those_of_the_sample_waited(
    job: Job, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting(monkeypatch, 0.05)
    samples = measured(monkeypatch, 0.05, crowding=0.0, working=0.01)
    path = str(tmp_path / "run")
    result = job().run(run_dir=path, progress="none")
    assert len(samples) == 1 and samples[0].engine == f"local:{WORKERS}"
    assert (result.run.engine, result.run.workers) == ("local:16", 16)
    (plan,) = RunDirectory.read(path).noted("plan")
    (chosen,) = [way for way in plan["alternatives"] if way["chosen"]]
    assert (chosen["engine"], plan["workers"]) == ("local:16", 16)
    assert any("as tasks wait 99 % of their time" in reason for reason in plan["reasons"])
    assert len(ranges(RunDirectory.read(path))) >= 16 * 4, "each gets several tasks"
    assert result.to_list() == [item * item for item in range(ITEMS)]


def test_a_short_rest_is_not_sampled(job: Job, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds are left: workers would do it sooner than this process, but a plan costs more than it could save."""
    lasting(monkeypatch, 2.0 / ITEMS)
    samples = measured(monkeypatch, 2.0 / ITEMS, crowding=2.0)
    path = str(tmp_path / "run")
    result = job().run(run_dir=path, progress="none")
    assert samples == [] and RunDirectory.read(path).noted("sample") == []
    assert result.run.engine == f"local:{WORKERS}"
    assert {pid == os.getpid() for pid in where(calls).values()} == {True, False}


def test_too_few_tasks_to_compare_are_not_sampled(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lasting(monkeypatch, 10.0)
    samples = measured(monkeypatch, 10.0, crowding=2.0)
    result = sw.from_items(range(100)).map_items(abs).collect().run(run_dir=str(tmp_path / "run"), progress="none")
    assert samples == [] and result.run.engine == f"local:{WORKERS}"


def test_the_bytes_are_those_of_one_process(
    job: Job, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(name: str, **options: Any) -> dict[str, bytes]:
        def row(item: int) -> dict[str, Any]:
            return {"item": item, "root": item**0.5}

        directory = tmp_path / name
        done = (
            sw.from_items(range(32 * 170))
            .map_items(row)
            .write_parquet(str(directory))
            .run(run_dir=str(tmp_path / f"{name}-run"), progress="none", **options)
        )
        engines.append(done.run.engine)
        return {file.name: file.read_bytes() for file in sorted(directory.glob("*.parquet"))}

    engines: list[str] = []
    alone = written("alone", engine="inline")
    lasting(monkeypatch, 0.01)
    samples = measured(monkeypatch, 0.01, crowding=2.0)
    assert written("replanned") == alone and len(alone) > 1
    assert len(samples) == 1 and engines == ["inline", "inline"]
