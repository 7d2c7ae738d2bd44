"""The report of a run as plain JSON values: what the page draws, what `Result.report` prints, what advice is given on.

It is bounded however many tasks there were: sums, throughput, skew and stragglers are of all of them, spans and logs
are a choice, and ``left_out`` says of how many.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shardwise.compute.task import QUARANTINE, Output
from shardwise.errors import StorageError
from shardwise.report import memory, timing
from shardwise.report.advice import advice
from shardwise.report.choice import DIGITS, chosen, evenly, shown_span
from shardwise.report.facts import Facts, StageFacts, Worker, facts_of
from shardwise.run.publish import attempt_label
from shardwise.run.record import MemoryRecord, Record
from shardwise.run.spans import HERE, Span

if TYPE_CHECKING:
    from shardwise.run.stamps import Said

LOG_BYTES = 40_000
MOST_LOGS = 100
"""Logs of so many attempts are read."""

MOST_WORKERS = 200
FIRST_BAD_ROWS = 5
HOWS = ("committed", "failed", "lost", "cancelled", "late")


def document(record: Record, now: float | None = None, whole: bool = False) -> dict[str, Any]:
    """Make the report of a run: one that is over, however it ended, or one that is under way.

    Parameters
    ----------
    record : RunView or MemoryRecord
        The run.
    now : float, optional
        Seconds since 1970, for a run that is under way; the clock's unless given.
    whole : bool
        With all spans and workers, however many there are.

    Returns
    -------
    dict
        ``run, plan, prediction, sessions, stages, spans, workers, throughput, where, links, communication, stragglers,
        skew, quarantine, logs, advice, left_out``. Times are seconds since the run began.
    """
    facts = facts_of(record, time.time() if now is None else now)
    spent, moved = timing.where(facts), timing.links(facts)
    spans = facts.spans if whole else chosen(facts.spans)
    shown = {worker.number for worker in facts.workers}
    if len(shown) > MOST_WORKERS and not whole:
        shown = set(evenly(sorted({span["slot"] for span in spans}), MOST_WORKERS))
        spans = [span for span in spans if span["slot"] in shown]
    said, silent = _logs(record, facts.spans)
    made: dict[str, Any] = {
        "run": _run(record, facts),
        "plan": facts.plan,
        "sessions": [[round(s.began, 6), round(s.ended, 6)] for s in facts.sessions[-MOST_WORKERS:]],
        "stages": _stages(facts),
        "spans": [shown_span(span) for span in spans],
        "workers": [_worker(worker) for worker in facts.workers if worker.number in shown],
        "throughput": timing.throughput(facts),
        "where": spent,
        "links": moved,
        "communication": timing.communication(moved, spent),
        "stragglers": timing.stragglers(facts),
        "skew": timing.skew(facts),
        "quarantine": _quarantine(record, facts),
        "logs": said,
        "left_out": {
            "spans": len(facts.spans) - len(spans),
            "workers": len(facts.workers) - len(shown),
            "logs": silent,
        },
    }
    made["prediction"] = _prediction(made, facts)
    made["advice"] = advice(made)
    return made


def document_of(
    notes: Sequence[tuple[str, float, dict[str, Any]]],
    logs: dict[tuple[str, int], Said],
    about: dict[str, Any],
    job: str,
) -> dict[str, Any]:
    """The same for a run that was kept in memory only, after its end.

    Parameters
    ----------
    notes, logs
        What its ledger was told (``EphemeralLedger.notes`` and ``logs``).
    about : dict
        What it cost (``RunInfo.to_json()``).
    job : str
        The job, for people.
    """
    return document(MemoryRecord(notes, logs, about, job))


# --- parts ---------------------------------------------------------------------------------------------------------


def _run(record: Record, facts: Facts) -> dict[str, Any]:
    running = record.status == "running"
    ended = facts.sessions[-1].ended if facts.sessions else 0.0
    alive = sum(session.ended - session.began for session in facts.sessions)
    seconds = facts.info.get("seconds") if record.status == "done" and len(facts.sessions) == 1 else None
    plan = facts.plan or {}
    return {
        "id": record.id,
        "dir": record.url,
        "status": record.status,
        "job": str(record.job.get("summary", "") or plan.get("job", "")),
        "engine": facts.info.get("engine", plan.get("engine")),
        "workers": facts.info.get("workers", plan.get("workers")),
        "seconds": round(alive if seconds is None else seconds, 6),
        "began": facts.epoch_seconds,
        "ended": None if running else round(facts.epoch_seconds + ended, 6),
        "version": facts.version,
        "functions": _functions(record, plan),
        "failure": facts.failure,
        "tasks": sum(stage.done for stage in facts.stages.values()),
        "attempts": len(facts.spans),
        "ends": {how: n for how in HOWS if (n := sum(span["how"] == how for span in facts.spans))},
    }


def _functions(record: Record, plan: dict[str, Any]) -> list[str]:
    """Which operations call a function: ``map`` (on batches), ``map_items`` (on items)."""
    steps = " ".join(
        [
            *(key for step in record.job.get("operations", ()) for key in step),
            *(s["what"] for s in plan.get("stages", ())),
        ]
    )
    return sorted(set(re.findall(r"\bmap(?:_items)?\b", steps)))


def _stages(facts: Facts) -> list[dict[str, Any]]:
    """Stages in the order of the plan, then in that in which they began."""
    planned = {stage["name"]: stage for stage in (facts.plan or {}).get("stages", ())}
    spans: dict[str, list[Span]] = {}
    for span in facts.spans:
        spans.setdefault(span["stage"], []).append(span)
    names = dict.fromkeys([*planned, *spans, *facts.stages])
    measured = timing.since_the_plan(facts, spans)
    return [
        _stage(facts.stages.get(name, StageFacts(name)), spans.get(name, []), planned.get(name, {}))
        | {"measured_seconds": measured.get(name), "measured_memory": memory.held(facts, spans.get(name, ()))}
        for name in names
    ]


def _stage(stage: StageFacts, spans: Sequence[Span], planned: dict[str, Any]) -> dict[str, Any]:
    made = [timing.duration(span) for span in spans if span["how"] == "committed"]
    vain = [timing.duration(span) for span in spans if span["how"] != "committed"]
    began, ended = min((s["began"] for s in spans), default=0.0), max((s["ended"] for s in spans), default=0.0)
    return {
        "name": stage.name,
        "what": planned.get("what", ""),
        "tasks": max(stage.done, planned.get("tasks") or 0),
        "done": stage.done,
        "rows_in": stage.rows_in,
        "bytes_in": stage.bytes_in,
        "rows_out": stage.rows_out,
        "bytes_out": stage.bytes_out,
        "seconds": round(stage.seconds, 6),
        "wall": [round(began, 6), round(ended, 6)] if spans else None,
        "read": round(stage.read, 6),
        "compute": round(stage.compute, 6),
        "write": round(stage.write, 6),
        "peak_memory": stage.peak_memory,
        "predicted_seconds": planned.get("seconds"),
        "predicted_memory": planned.get("memory_bytes"),
        "attempts": len(spans),
        "busy": round(sum(made), 6),
        "in_vain": round(sum(vain), 6),
        "longest": round(max(made, default=0.0), 6),
        "slots": len({span["slot"] for span in spans}),
    }


def _worker(worker: Worker) -> dict[str, Any]:
    return {
        "slot": worker.number,
        "host": worker.host,
        "asked": round(worker.asked, DIGITS),
        "up": round(worker.up, DIGITS),
        "down": None if worker.down is None else round(worker.down, DIGITS),
        "why": worker.why,
        "driver": worker.slot == HERE,
    }


def _prediction(made: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Predicted beside measured: seconds from the plan to the end, and bytes of memory of a host."""
    plan = facts.plan or {}
    measured = None
    if made["run"]["status"] == "done" and facts.sessions:
        measured = round(facts.sessions[-1].ended - facts.planned_at, 6)
    predicted = plan.get("seconds")
    return {
        "since": round(facts.planned_at, 6),
        "seconds": predicted,
        "seconds_low": plan.get("seconds_low"),
        "seconds_high": plan.get("seconds_high"),
        "measured_seconds": measured,
        "error": round(predicted / measured - 1, 6) if predicted and measured else None,
        "memory_bytes": plan.get("memory_bytes"),
        "memory_limit": plan.get("memory_limit"),
        "measured_memory": memory.held(facts, facts.spans),
    }


def _quarantine(record: Record, facts: Facts) -> dict[str, Any]:
    rows = sum(stage.quarantined for stage in facts.stages.values()) or int(facts.info.get("quarantined") or 0)
    return {"rows": rows, "first": _first_bad_rows(record) if rows else []}


def _first_bad_rows(record: Record) -> list[dict[str, Any]]:
    """What is known of the first rows that were left out, without their data."""
    bad: list[dict[str, Any]] = []
    for stage in record.stages:
        for commit in record.committed(stage):
            for output in commit.outputs:
                if output.name == QUARANTINE and len(bad) < FIRST_BAD_ROWS:
                    bad += _rows_of(record.url, output)
    return bad[:FIRST_BAD_ROWS]


def _rows_of(url: str, output: Output) -> list[dict[str, Any]]:
    from shardwise.compute.bad_rows import from_ipc
    from shardwise.compute.logs import shorten
    from shardwise.storage import open_store

    try:
        data = output.data if output.data is not None else open_store(url).get(output.path)
    except StorageError:  # damaged: the next run makes it again
        return []
    rows = from_ipc([data]).select(["file", "batch", "row", "scope", "kind", "type", "message"])
    return [row | {"message": shorten(str(row["message"]), 300)} for row in rows.slice(0, FIRST_BAD_ROWS).to_pylist()]


def _logs(record: Record, spans: Sequence[Span]) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """What tasks said, those first that failed or took long; and of how many attempts it is left out."""
    speakers = record.speakers()
    about = {(span["task"].replace("/", "_"), attempt_label(span["attempt"])): span for span in spans}

    def interest(speaker: tuple[str, str]) -> tuple[bool, float]:
        span = about.get(speaker)
        return (span is None or span["how"] == "committed", -timing.duration(span) if span else 0.0)

    said: dict[str, list[dict[str, Any]]] = {}
    left = LOG_BYTES
    wanted = speakers if len(speakers) <= MOST_LOGS else sorted(speakers, key=interest)[:MOST_LOGS]
    shown = 0
    for task, attempt in wanted:
        lines = []
        for _, line in record.lines_of(task, attempt):
            left -= len(line) + 4
            if left < 0:
                lines.append("...")
                break
            lines.append(line)
        said.setdefault(task, []).append({"attempt": attempt, "lines": lines})
        shown += 1
        if left < 0:
            break
    return said, len(speakers) - shown
