"""The trace keeps the rules of the Trace Event Format, so that Perfetto and Chrome draw what happened."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from report.recorded import carry_out
from shardwise.errors import StorageError
from shardwise.report.document import document
from shardwise.report.trace import trace_of, write_trace
from shardwise.run.spans import spans_in
from shardwise.run.view import RunView


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return carry_out(str(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module")
def trace(view: RunView) -> dict[str, Any]:
    return trace_of(view)


def events(trace: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


def test_every_event_has_what_its_kind_needs(trace: dict[str, Any]) -> None:
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X", "C"}
    for event in trace["traceEvents"]:
        assert type(event["pid"]) is type(event["tid"]) is int
        assert type(event["name"]) is str
        assert event["name"]
    for event in events(trace, "X"):
        assert type(event["ts"]) is type(event["dur"]) is int
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        assert event["cat"]
    for event in events(trace, "C"):
        assert all(type(value) in (int, float) for value in event["args"].values())


def test_slices_of_a_thread_nest_or_lie_apart(trace: dict[str, Any]) -> None:
    threads: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events(trace, "X"):
        threads[event["pid"], event["tid"]].append(event)
    nested = 0
    for slices in threads.values():
        open_: list[int] = []
        for event in sorted(slices, key=lambda one: (one["ts"], -one["dur"])):
            while open_ and open_[-1] <= event["ts"]:
                open_.pop()
            assert not open_ or event["ts"] + event["dur"] <= open_[-1], event
            nested += bool(open_)
            open_.append(event["ts"] + event["dur"])
    assert nested > 50


def test_processes_and_threads_have_names(trace: dict[str, Any]) -> None:
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in events(trace, "M") if e["name"] == "thread_name"}
    hosts = {e["pid"]: e["args"]["name"] for e in events(trace, "M") if e["name"] == "process_name"}
    assert {(event["pid"], event["tid"]) for event in events(trace, "X")} <= set(named)
    assert {event["pid"] for event in trace["traceEvents"]} <= set(hosts)
    assert set(hosts.values()) == {"run", "host-0", "host-1"}


def test_times_are_microseconds_and_every_attempt_is_there(view: RunView, trace: dict[str, Any]) -> None:
    spans = {span["attempt"]: span for span in spans_in(view.events())}
    slices = {event["args"]["attempt"]: event for event in events(trace, "X") if "attempt" in event["args"]}
    assert set(slices) == set(spans)
    for attempt, span in spans.items():
        assert slices[attempt]["dur"] == pytest.approx(1e6 * (span["ended"] - span["began"]), abs=30)
        assert (span["how"] in slices[attempt]["name"]) == (span["how"] != "committed")
    backups = [span["attempt"] for span in spans.values() if span["backup"]]
    assert backups
    assert all("second attempt" in slices[attempt]["name"] for attempt in backups)


def test_a_document_makes_the_same_trace(view: RunView, trace: dict[str, Any], tmp_path: Path) -> None:
    write_trace(document(view), tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text()) == trace
    with pytest.raises(StorageError, match="cannot be written"):
        write_trace(view, tmp_path / "nowhere" / "trace.json")


def test_throughput_ends_at_nothing(trace: dict[str, Any]) -> None:
    rows = [event for event in events(trace, "C") if event["name"] == "rows per second"]
    assert max(event["args"]["rows"] for event in rows) > 0
    assert max(rows, key=lambda event: event["ts"])["args"] == {"rows": 0}
