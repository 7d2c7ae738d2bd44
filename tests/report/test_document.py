"""The report's document: JSON values, true sums, bounded, of runs that are over, failed, broken off or under way."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from report.recorded import JOB, ROWS, carry_out
from shardwise.compute.task import Metrics, Outcome, Output
from shardwise.engines.simulated import Faults
from shardwise.errors import StorageError
from shardwise.plan.memory import DRIVER_BASE
from shardwise.report import timing
from shardwise.report.choice import MOST_SPANS, SPAN_BYTES, chosen, shown_span
from shardwise.report.document import document
from shardwise.report.summary import summary
from shardwise.run.commits import Commit
from shardwise.run.directory import RunDirectory
from shardwise.run.spans import Spans, spans_in
from shardwise.run.view import RunView
from shardwise.storage import digest

KEYS = {
    "run", "plan", "sessions", "stages", "spans", "workers", "throughput", "where", "links", "communication",
    "stragglers", "skew", "quarantine", "logs", "advice", "left_out", "prediction",
}  # fmt: skip
SPAN = {
    "task", "stage", "attempt", "slot", "host", "began", "ended", "how", "backup", "read", "compute", "write", "rows",
    "bytes_in", "bytes_out", "peak", "failure",
}  # fmt: skip


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return carry_out(str(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module")
def made(view: RunView) -> dict[str, Any]:
    return document(view)


def test_it_is_json_with_all_that_is_promised(made: dict[str, Any]) -> None:
    assert set(made) == KEYS
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["run"]["status"] == "done"
    assert made["run"]["job"] == JOB["summary"]
    assert all(set(span) >= SPAN for span in made["spans"])
    assert {span["slot"] for span in made["spans"]} <= {worker["slot"] for worker in made["workers"]}


def test_sums_are_those_of_the_journal(view: RunView, made: dict[str, Any]) -> None:
    commits = view.committed("partial")
    (stage,) = (stage for stage in made["stages"] if stage["name"] == "partial")
    assert (stage["tasks"], stage["done"]) == (24, 24)
    assert stage["rows_in"] == 24 * ROWS
    assert stage["bytes_in"] == sum(commit.metrics.bytes_in for commit in commits)
    assert stage["seconds"] == pytest.approx(sum(commit.metrics.seconds for commit in commits), abs=1e-3)
    assert stage["predicted_seconds"] == 14.0
    assert [stage["name"] for stage in made["stages"]] == ["partial", "merge", "finish"]
    assert made["run"]["ends"] == Counter(span["how"] for span in spans_in(view.events()))


def test_every_worker_second_is_somewhere(made: dict[str, Any]) -> None:
    """What workers lived, and were waited for to start, is what their time went into."""
    lived = sum((w["down"] or made["sessions"][-1][1]) - w["asked"] for w in made["workers"])
    assert sum(made["where"].values()) == pytest.approx(lived, abs=0.1)
    assert all(seconds >= 0 for seconds in made["where"].values())
    vain = sum(span["ended"] - span["began"] for span in made["spans"] if span["how"] != "committed")
    assert made["where"]["retrying"] == pytest.approx(vain, abs=1e-3)


def test_throughput_adds_up_to_what_was_read(made: dict[str, Any]) -> None:
    points = made["throughput"]
    width = points[1][0] - points[0][0]
    assert sum(rows for _, rows, _ in points) * width == pytest.approx(24 * ROWS, rel=1e-3)
    assert sum(size for *_, size in points) * width == pytest.approx(24 * ROWS * 40, rel=1e-3)


def test_links_carry_what_was_read_and_sent(made: dict[str, Any], view: RunView) -> None:
    spans = spans_in(view.events())
    reading = sum(link["bytes"] for link in made["links"] if link["from"] == "storage")
    assert reading == sum(span["bytes_in"] for span in spans)
    sent = sum(link["bytes"] for link in made["links"] if link["from"] == "driver")
    assert sent == sum(span["sent"] for span in spans) > 0
    assert 0 < made["communication"] < 1


def test_the_slow_task_is_named_and_so_is_the_skew(made: dict[str, Any]) -> None:
    assert made["stragglers"][0]["task"] == "partial-7-8"
    assert "computing" in made["stragglers"][0]["why"]
    skew = {one["stage"]: one for one in made["skew"]}
    assert skew["partial"]["ratio"] > 3
    assert skew["merge"]["ratio"] < 1.5


def test_predicted_is_beside_measured(made: dict[str, Any]) -> None:
    prediction = made["prediction"]
    assert prediction["seconds"] == 16.5
    assert prediction["error"] == pytest.approx(16.5 / prediction["measured_seconds"] - 1, abs=1e-5)
    assert 0 < prediction["measured_memory"] <= 4 * 104_000_000
    assert prediction["measured_memory"] >= max(stage["measured_memory"] for stage in made["stages"])


def test_the_summary_says_both(made: dict[str, Any]) -> None:
    first, *rest = summary(made).splitlines()
    assert "s from the plan on, predicted 16 s, 14 s to 21 s" in first
    (stage,) = (line for line in rest if line.startswith("stage       partial"))
    assert "(predicted 14 s)" in stage
    assert sum(line.startswith("next") for line in rest) == 3


def test_what_was_predicted_is_measured_from_the_plan_on(tmp_path: Path) -> None:
    """A plan is made after the sample: what it predicts is the rest, stage after stage."""
    url, now = str(tmp_path / "run"), 0.0
    with RunDirectory.open(url, JOB) as ledger:
        zero = ledger.at
        spans = Spans(lambda: now, lambda: zero + now)
        spans.up(0, "box")
        for task, seconds in (("sample-0-1", 3.0), ("read-0-1", 5.0), ("read-1-2", 4.0), ("end-0-2", 2.0)):
            if task == "read-0-1":
                spans.save(ledger)
                stages = [{"name": name, "what": "", "tasks": 2, "seconds": 8.0} for name in ("read", "end")]
                ledger.note_later("plan", {"seconds": 10.0, "stages": stages})
                ledger._later[-1] = replace(ledger._later[-1], at=zero + now)
            attempt = ledger.next_attempt()
            spans.began(attempt, task, task.split("-")[0], 0, "box")
            now += seconds
            spans.ended(attempt, "committed")
        spans.save(ledger)
        ledger.finish({"seconds": 14.0, "engine": "local", "workers": 1})
    made = document(RunDirectory.read(url))
    assert made["prediction"]["measured_seconds"] == pytest.approx(11.0, abs=0.01)
    assert made["prediction"]["since"] == pytest.approx(3.0, abs=0.01)
    measured = {stage["name"]: stage["measured_seconds"] for stage in made["stages"]}
    assert measured == {"read": pytest.approx(9.0, abs=0.01), "end": pytest.approx(2.0, abs=0.01), "sample": None}


def _held(path: Path, engine: str, driver: dict[str, int] | None) -> dict[str, Any]:
    """A sample on a worker that held much, a plan, and two workers who carry it out; all in megabytes."""
    url, now = str(path / f"run-{engine}-{driver is not None}"), 0.0
    with RunDirectory.open(url, JOB) as ledger:
        zero = ledger.at
        spans = Spans(lambda: now, lambda: zero + now)
        for slot in (0, 1, 2):
            spans.up(slot, "box")
        for task, slot, peak in (("read-0-1", 0, 900), ("read-1-2", 1, 100), ("read-2-3", 2, 150)):
            if slot == 1:
                spans.down(0, "another engine")
                spans.save(ledger)
                ledger.note_later("plan", {"engine": engine, "memory_bytes": 300_000_000, "stages": []})
                ledger._later[-1] = replace(ledger._later[-1], at=zero + now)
            attempt = ledger.next_attempt()
            spans.began(attempt, task, "read", slot, "box")
            now += 1.0
            spans.heard(Outcome(0, attempt, metrics=Metrics(1.0, peak_memory=peak * 1_000_000)))
            spans.ended(attempt, "committed")
        spans.save(ledger)
        if driver is not None:
            ledger.note_later("driver", {"before": driver["before"], "peak": driver["peak"]})
        ledger.finish({"seconds": 3.0, "engine": engine, "workers": 2})
    return document(RunDirectory.read(url))


def test_memory_is_measured_of_what_was_projected(tmp_path: Path) -> None:
    """Of workers since the plan and the driver together: of the sample's worker, and what is the person's, nothing."""
    made = _held(tmp_path, "local:2", {"before": 5_000_000_000, "peak": 5_030_000_000})
    expected = 250_000_000 + DRIVER_BASE + 30_000_000
    assert made["prediction"]["measured_memory"] == expected
    assert [stage["measured_memory"] for stage in made["stages"]] == [expected]
    small = _held(tmp_path / "small", "local:2", {"before": 80_000_000, "peak": 130_000_000})
    assert small["prediction"]["measured_memory"] == 250_000_000 + 130_000_000
    assert "380 MB held by the processes of a host, 300 MB projected" in summary(small)


def test_the_memory_of_a_run_in_one_process_is_that_process_s(tmp_path: Path) -> None:
    made = _held(tmp_path, "inline", {"before": 80_000_000, "peak": 400_000_000})
    assert made["prediction"]["measured_memory"] == 400_000_000


def test_journals_that_do_not_tell_of_the_driver_tell_of_workers(tmp_path: Path) -> None:
    assert _held(tmp_path, "local:2", None)["prediction"]["measured_memory"] == 250_000_000


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    made = document(carry_out(str(tmp_path / "run"), faults=Faults(input=0.3), seed=3))
    assert made["run"]["status"] == "failed"
    assert made["run"]["failure"]["message"].startswith("simulated input")
    assert made["run"]["ends"]["failed"] >= 1
    assert made["prediction"]["measured_seconds"] is None


def test_one_that_was_broken_off(tmp_path: Path) -> None:
    made = document(carry_out(str(tmp_path / "run"), tasks=8, finish=False))
    assert made["run"]["status"] == "interrupted"
    assert made["run"]["ended"] is not None
    assert made["run"]["seconds"] > 0


def test_one_that_is_under_way(tmp_path: Path) -> None:
    url = str(tmp_path / "run")
    now = 1000.0
    with RunDirectory.open(url, JOB) as ledger:
        began = ledger.at
        spans = Spans(lambda: now, lambda: began + now - 1000.0)
        spans.up(0, "box")
        spans.up(1, "box")
        for number in range(3):
            spans.began(ledger.next_attempt(), f"read-{number}-{number + 1}", "read", number % 2, "box")
            now += 2.0
            spans.ended(ledger.next_attempt() - 1, "committed")
        spans.save(ledger)
        ledger.write_notes()
        made = document(RunDirectory.read(url), now=began + 60.0)
    assert made["run"]["status"] == "running"
    assert made["run"]["ended"] is None
    assert made["run"]["seconds"] == pytest.approx(60.0, abs=0.01)
    assert all(worker["down"] is None for worker in made["workers"])
    assert made["where"]["waiting"] < 7.0  # what a worker does now is not known: it is not said to wait


class Older(RunView):
    """A run as versions before spans have left it."""

    def events(self) -> Any:
        return (line for line in super().events() if line.kind not in ("attempts", "plan"))


def test_directories_without_spans_still_open(view: RunView) -> None:
    older = Older(view.url)
    older._load()
    made = document(older)
    assert set(made) == KEYS
    assert made["spans"] == made["workers"] == made["throughput"] == []
    assert made["plan"] is None
    assert {stage["name"]: stage["done"] for stage in made["stages"]} == {"partial": 24, "merge": 6, "finish": 1}
    assert {stage["name"]: stage["wall"] for stage in made["stages"]}["partial"] is None


def test_a_resumed_run_is_one_timeline_of_several_sessions(tmp_path: Path) -> None:
    url = str(tmp_path / "run")
    carry_out(url, tasks=8, finish=False)
    with RunDirectory.open(url, JOB) as ledger:
        attempt = ledger.next_attempt()
        spans = Spans(lambda: 0.0, lambda: ledger.at + 50.0)
        spans.up(0, "host-0")
        spans.began(attempt, "partial-90-91", "partial", 0, "host-0")
        spans.ended(attempt, "committed")
        spans.save(ledger)
        ledger.finish({"seconds": 1.0, "engine": "local", "workers": 1})
    made = document(RunDirectory.read(url))
    assert len(made["sessions"]) == 2
    first = {span["slot"] for span in made["spans"] if span["task"] != "partial-90-91"}
    (last,) = {span["slot"] for span in made["spans"] if span["task"] == "partial-90-91"}
    assert last not in first  # slot 0 of another driver is another worker


@pytest.mark.parametrize("spans", [[{"task": 1}], ["x"], 7, [{"attempt": "a", "began": None}]])
def test_lines_that_no_driver_writes_are_refused(tmp_path: Path, spans: Any) -> None:
    url = str(tmp_path / "run")
    with RunDirectory.open(url, JOB) as ledger:
        ledger.note("attempts", {"spans": spans})
    with pytest.raises(StorageError, match="no Shardwise wrote"):
        document(RunDirectory.read(url))


# --- bounds --------------------------------------------------------------------------------------------------------


def many(count: int) -> list[dict[str, Any]]:
    spans = []
    for n in range(count):
        how = "failed" if n % 997 == 5 else "committed"
        seconds = 9.0 if n == count // 2 else 1.0
        span = dict.fromkeys(("read", "compute", "write", "seconds"), 0.1) | dict.fromkeys(
            ("rows", "bytes_in", "bytes_out", "rows_out", "peak", "sent", "received", "stored"), 123456
        )
        began = float(n // 10)
        span |= {"task": f"map-{n}-{n + 1}", "stage": "map", "attempt": 1 << 32 | n, "slot": n % 10, "host": "box"}
        span |= {"began": began, "ended": began + seconds, "how": how, "backup": False, "failure": "", "clock": None}
        spans.append(span)
    return spans


def test_the_choice_of_spans_is_bounded_and_keeps_what_matters() -> None:
    spans = many(50_000)
    kept = chosen(spans)
    assert len(kept) <= MOST_SPANS
    assert len(json.dumps([shown_span(span) for span in kept])) < 1.1 * SPAN_BYTES
    tasks = {span["task"] for span in kept}
    assert {span["task"] for span in spans if span["how"] == "failed"} <= tasks
    assert "map-25000-25001" in tasks
    gaps = [b["began"] - a["began"] for a, b in pairwise(kept)]
    assert max(gaps) < 5 * 5000 / len(kept) * 2
    assert [span["attempt"] for span in kept] == sorted(span["attempt"] for span in kept)


def test_a_document_of_very_many_tasks_stays_small(tmp_path: Path) -> None:
    url, count = str(tmp_path / "run"), 20_000
    with RunDirectory.open(url, JOB) as ledger:
        spans = many(count)
        slots = [{"slot": n, "host": "box", "asked": 0.0, "up": 0.0} for n in range(10)]
        ledger.note("attempts", {"spans": spans, "slots": slots})
        for n in range(300):
            ledger.append_logs(f"map-{n}-{n + 1}", 1 << 32 | n, [f"{k} " * 200 for k in range(200)])
        number = ledger.next_attempt()
        data = Output("rows", 1, 1, digest(b"x"), b"x")
        ledger.commit([Commit("map", n, n + 1, number + n, (data,), Metrics(rows_in=7)) for n in range(count)])
        ledger.finish({"seconds": 2000.0, "engine": "local", "workers": 10})
    made = document(RunDirectory.read(url))
    assert len(json.dumps(made)) < 310_000
    assert made["left_out"]["spans"] == count - len(made["spans"]) > 0
    assert made["left_out"]["logs"] > 0
    assert made["stages"][0]["rows_in"] == 7 * count
    rows = sum(rows for _, rows, _ in made["throughput"]) * (made["throughput"][1][0] - made["throughput"][0][0])
    assert rows == pytest.approx(123456 * sum(span["how"] == "committed" for span in spans), rel=1e-3)


def test_times_of_phases_never_make_more_than_the_attempt() -> None:
    span = many(2)[0]
    assert timing.overhead(span) == pytest.approx(0.7)
    assert timing.overhead(span | {"read": 5.0}) == 0.0
