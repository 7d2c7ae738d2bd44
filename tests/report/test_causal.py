"""Logs of hosts whose clocks differ by minutes come out in an order that contradicts no cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.recorded import carry_out
from shardwise.cli.main import main
from shardwise.engines.simulated import Faults
from shardwise.report.causal import logs_in_order, merged
from shardwise.run.journal import Line
from shardwise.run.publish import attempt_label
from shardwise.run.view import RunView

NEEDS = {
    **{f"merge-{n}-{n + 4}": tuple(f"partial-{k}-{k + 1}" for k in range(n, n + 4)) for n in range(0, 24, 4)},
    "finish-0-24": tuple(f"merge-{n}-{n + 4}" for n in range(0, 24, 4)),
}


def misplaced(tasks: list[str]) -> list[tuple[str, str]]:
    """Tasks that speak before what they need has spoken its last, given who speaks in which order."""
    first = {task: place for place, task in reversed(list(enumerate(tasks)))}
    last = {task: place for place, task in enumerate(tasks)}
    return [(task, need) for task, needs in NEEDS.items() for need in needs if first[task] < last[need]]


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return carry_out(str(tmp_path_factory.mktemp("run") / "run"), faults=Faults(start=1.0, latency=0.02, hosts=2))


def test_no_task_speaks_before_its_causes(view: RunView) -> None:
    lines = logs_in_order(view)
    assert len(lines) == 2 * 31
    assert len({line.host for line in lines}) == 2
    assert misplaced([line.task for line in lines]) == []
    assert all(before.at <= after.at for before, after in pairwise(lines))


def test_the_clocks_alone_would_misplace_them(view: RunView) -> None:
    """The test above can fail: hosts are seven minutes apart."""
    stamped = sorted((at, task) for task, _, lines in view.said() for at, _ in lines if at is not None)
    assert misplaced([task for _, task in stamped])


def test_times_are_those_of_the_driver(view: RunView) -> None:
    """What a task says when it begins and ends is when its attempt began and ended, but for the messages' time."""
    spans = {attempt_label(span["attempt"]): span for line in view.events() for span in line.data.get("spans", ())}
    for one in logs_in_order(view):
        span = spans[one.attempt]
        assert span["began"] <= one.at <= span["ended"]
        there = span["began"] if one.line.endswith("begins") else span["ended"]
        assert abs(one.at - there) < 0.05


class WithoutSpans(RunView):
    """A run whose driver was killed before it wrote any span."""

    def events(self) -> Iterator[Line]:
        return (line for line in super().events() if line.kind != "attempts")


def test_commits_say_enough_where_spans_are_lost(view: RunView) -> None:
    bare = WithoutSpans(view.url)
    bare._load()
    lines = logs_in_order(bare)
    assert len(lines) == 2 * 31
    assert misplaced([line.task for line in lines]) == []


def test_one_task(view: RunView) -> None:
    lines = logs_in_order(view, "merge-4-8")
    assert [line.line for line in lines] == ["merge 4 begins", "merge 4 ends"]


def test_the_command_prints_them_in_that_order(view: RunView, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", view.url, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert misplaced([row["task"] for row in rows]) == []
    assert rows[-1]["line"] == "finish 0 ends"
    assert main(["logs", view.url, "finish-0-24"]) == 0
    heading, *said = capsys.readouterr().out.splitlines()
    assert heading.startswith("--- finish-0-24, attempt 1-")
    assert [line.split("  ", 1)[1] for line in said] == ["finish 0 begins", "finish 0 ends"]


# --- laws ----------------------------------------------------------------------------------------------------------


def story(seed: int) -> tuple[list[Any], list[dict[str, Any]], dict[str, tuple[str, ...]], dict[str, float]]:
    """A chain of tasks on hosts with any clocks: logs by their clocks, what the driver saw, who needs whom, and when
    each line was truly printed."""
    chance = Random(seed)
    skews = [chance.uniform(-900, 900) for _ in range(3)]
    said, spans, needs, truth, now = [], [], {}, {}, 1e9
    for number in range(chance.randint(2, 12)):
        task, host = f"t-{number}-{number + 1}", chance.randrange(3)
        began, started = now, now + chance.uniform(0, 0.2)
        times = sorted(started + chance.uniform(0, 30) for _ in range(chance.randint(1, 4)))
        seconds = max(times) - started + chance.uniform(0, 5)
        ended = started + seconds + chance.uniform(0, 0.2)
        lines = [f"{task} {n}" for n in range(len(times))]
        truth.update(dict(zip(lines, times, strict=True)))
        skewed = [at + skews[host] for at in times]
        known = chance.random() < 0.9
        said.append(((task, attempt_label(number)), [(at if known else None, line) for at, line in zip(skewed, lines)]))
        span = {"task": task, "attempt": number, "host": str(host), "began": began, "ended": ended, "seconds": seconds}
        spans.append(span | {"clock": started + skews[host] if chance.random() < 0.9 else None})
        needs[task] = (f"t-{number - 1}-{number}",) if number else ()
        now = ended if chance.random() < 0.3 else ended + chance.uniform(0, 3)
    chance.shuffle(said)
    return said, spans, needs, truth


@given(st.integers(0, 10**9))
def test_chains_are_told_in_their_order_whatever_the_clocks_say(seed: int) -> None:
    said, spans, needs, truth = story(seed)
    lines = merged(said, spans, needs)
    assert len(lines) == len(truth)
    told = [(int(one.task.split("-")[1]), one.line) for one in lines]
    assert told == sorted(told)  # task after task, and each task's lines as it said them


@given(st.integers(0, 10**9))
def test_corrected_times_are_off_by_no_more_than_messages_took(seed: int) -> None:
    said, spans, needs, truth = story(seed)
    measured = {span["task"]: span for span in spans if span["clock"] is not None}
    known = {key[0] for key, lines in said if lines[0][0] is not None}
    for one in merged(said, spans, needs):
        if one.task in measured and one.task in known:
            assert abs(one.at - truth[one.line]) <= 0.4 + 1e-6


def test_a_clock_that_was_set_in_between_is_followed() -> None:
    said, spans = [], []
    for number, skew in enumerate((0.0, 0.0, 600.0)):
        began = 1000.0 + 10 * number
        said.append(((f"t-{number}-{number + 1}", attempt_label(number)), [(began + 5 + skew, f"{number}")]))
        span = {"task": f"t-{number}-{number + 1}", "attempt": number, "host": "a", "began": began, "ended": began + 9}
        spans.append(span | {"clock": began + 0.001 + skew, "seconds": 8.9})
    assert [one.at for one in merged(said, spans, {})] == pytest.approx([1005.0, 1015.0, 1025.0], abs=0.1, rel=0)


def test_what_quick_messages_tell_of_a_clock_serves_where_one_waited_long() -> None:
    """The second answer was heard ten seconds late, as its driver was busy: the first tells how the clock is off."""
    quick = {"task": "t-0-1", "attempt": 0, "host": "a", "began": 1000.0, "ended": 1009.0, "clock": 1300.01}
    slow = {"task": "t-1-2", "attempt": 1, "host": "a", "began": 1010.0, "ended": 1029.0, "clock": 1310.01}
    said = [((span["task"], attempt_label(span["attempt"])), [(span["clock"] + 5.0, "said")]) for span in (quick, slow)]
    times = [one.at for one in merged(said, [quick | {"seconds": 8.98}, slow | {"seconds": 9.0}], {})]
    assert times == pytest.approx([1005.0, 1015.0], abs=0.03, rel=0)


def test_drivers_come_one_after_the_other_whatever_their_clocks_say() -> None:
    early = (("t-0-1", "5-1"), [(100.0, "second")])
    late = (("t-1-2", "1-9"), [(900.0, "first")])
    assert [one.line for one in merged([early, late], [], {})] == ["first", "second"]


def test_the_run_directory_is_only_read(view: RunView) -> None:
    before = sorted(path.stat().st_mtime_ns for path in Path(view.url).rglob("*"))
    logs_in_order(view)
    assert sorted(path.stat().st_mtime_ns for path in Path(view.url).rglob("*")) == before
