"""What the charts are drawn from: columns of plain numbers, small enough to travel in the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shardwise.report.page import pen
from shardwise.report.page.html import visible
from shardwise.run.publish import attempt_label

Document = dict[str, Any]
Span = dict[str, Any]

MOST_LOG_CHARACTERS = 100_000
"""Of all logs together; what does not fit is in the run directory, and ``shardwise logs`` shows it."""

LEAST_LOG_CHARACTERS = 400
HOW = ("committed", "failed", "lost", "cancelled", "late", "running")
TIMES = ("read", "compute", "write")


def series(document: Document) -> dict[str, Any]:
    """All that the page's script draws, as JSON values."""
    spans = timed_spans(document)
    lanes = lanes_of(document)
    end = max([_end_of(document), *(span["ended"] for span in spans), 0.001])
    digits = max(0, 5 - len(str(int(end))))
    return {
        "end": round(end, digits),
        "left_out": round(pen.number(pen.fields(document.get("left_out")).get("spans")) or 0),
        "lanes": [_lane(lane, digits) for lane in lanes],
        "stages": [_stage(stage) for stage in pen.records(document.get("stages"))],
        "spans": _columns(spans, {lane["slot"]: at for at, lane in enumerate(lanes)}, digits),
        "throughput": _throughput(document),
        "where": {name: pen.number(value) for name, value in pen.fields(document.get("where")).items()},
        "logs": _logs(document),
    }


def timed_spans(document: Document) -> list[Span]:
    """Attempts in the order in which they began, whatever is missing filled in: one that has not ended is under way."""
    end = _end_of(document)
    found = []
    for span in pen.records(document.get("spans")):
        began = pen.number(span.get("began"))
        if began is None:
            continue
        ended = pen.number(span.get("ended"))
        how = span.get("how") if span.get("how") in HOW else "running" if ended is None else "lost"
        until = max(began, end if ended is None else ended)
        inside = {name: max(0.0, pen.number(span.get(name)) or 0.0) for name in TIMES}
        slot = span["slot"] if isinstance(span.get("slot"), (int, str)) else ""
        found.append({**span, **inside, "began": began, "ended": until, "how": how, "slot": slot})
    return sorted(found, key=lambda span: span["began"])


def lanes_of(document: Document) -> list[dict[str, Any]]:
    """Workers by slot: ``{slot, host, up: [(up, down), ...]}``. A slot whose worker died has several stretches."""
    end = _end_of(document)
    lanes: dict[Any, dict[str, Any]] = {}
    for worker in pen.records(document.get("workers")):
        up, down = pen.number(worker.get("up")), pen.number(worker.get("down"))
        lane = _lane_of(lanes, worker)
        if up is not None:
            lane["up"].append((up, max(up, end if down is None else down)))
    for span in timed_spans(document):
        if span["slot"] not in lanes:
            lane = _lane_of(lanes, span)
            lane["up"].append((span["began"], span["ended"]))
    return sorted(lanes.values(), key=lambda lane: (isinstance(lane["slot"], str), lane["slot"]))


def _lane_of(lanes: dict[Any, dict[str, Any]], said: Document) -> dict[str, Any]:
    slot = said["slot"] if isinstance(said.get("slot"), (int, str)) else ""
    return lanes.setdefault(
        slot, {"slot": slot, "host": visible(said.get("host") or ""), "driver": said.get("driver") is True, "up": []}
    )


def _columns(spans: list[Span], lanes: dict[Any, int], digits: int) -> dict[str, Any]:
    stages = list(dict.fromkeys(str(span.get("stage", "")) for span in spans))
    at = {name: place for place, name in enumerate(stages)}
    columns: dict[str, Any] = {
        "task": [visible(span.get("task", "")) for span in spans],
        "stage": [at[str(span.get("stage", ""))] for span in spans],
        "attempt": [_attempt(span.get("attempt")) for span in spans],
        "lane": [lanes[span["slot"]] for span in spans],
        "began": [_rounded(span["began"], digits) for span in spans],
        "took": [_rounded(span["ended"] - span["began"], digits) for span in spans],
        "how": [HOW.index(span["how"]) for span in spans],
        "backup": [at for at, span in enumerate(spans) if span.get("backup")],
        "failure": {at: visible(span["failure"])[:500] for at, span in enumerate(spans) if span.get("failure")},
    }
    columns |= {name: [_rounded(span[name], digits) for span in spans] for name in TIMES}
    columns |= {name: [_whole(span.get(name)) for span in spans] for name in ("rows", "bytes_in", "peak")}
    return {**columns, "stages": [visible(name) for name in stages]}


def _attempt(number: Any) -> str:
    """An attempt as its logs name it."""
    return attempt_label(number) if isinstance(number, int) and 0 <= number < 1 << 62 else ""


def _rounded(value: float, digits: int) -> float:
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _whole(value: Any) -> int:
    """Three digits are drawn, four are sent."""
    known = pen.number(value)
    if not known:
        return 0
    whole = int(known)
    return whole if whole < 1_000_000 else round(whole, 4 - len(str(whole)))


def _lane(lane: dict[str, Any], digits: int) -> dict[str, Any]:
    stretches = [[_rounded(up, digits), _rounded(down, digits)] for up, down in lane["up"]]
    return {"slot": visible(lane["slot"]), "host": lane["host"], "driver": lane["driver"], "up": stretches}


def measured_of(stage: Document) -> tuple[Any, Any]:
    """What is comparable with the predicted time and memory of a stage; its workers' seconds are another thing."""
    return (
        stage.get("measured_seconds", stage.get("seconds")),
        stage.get("measured_memory", stage.get("peak_memory")),
    )


def _stage(stage: Document) -> dict[str, Any]:
    seconds, memory = map(pen.number, measured_of(stage))
    predicted = {name: pen.number(stage.get(name)) for name in ("predicted_seconds", "predicted_memory")}
    return {"name": visible(stage.get("name", "")), "seconds": seconds, "memory": memory, **predicted}


def _throughput(document: Document) -> list[list[float]]:
    points = (point for point in pen.items(document.get("throughput")) if isinstance(point, list) and len(point) == 3)
    return [[pen.number(value) or 0 for value in point] for point in points]


def _end_of(document: Document) -> float:
    return pen.number(pen.fields(document.get("run")).get("seconds")) or 0.0


def _logs(document: Document) -> dict[str, Any]:
    """``{task: [[attempt, text, whether its beginning is left out], ...]}``, ends of logs where all is too much."""
    logs = pen.fields(document.get("logs"))
    each = max(LEAST_LOG_CHARACTERS, MOST_LOG_CHARACTERS // max(1, len(logs)))
    room = 2 * MOST_LOG_CHARACTERS
    found = {}
    for task, attempts in logs.items():
        kept = [_log(said, each) for said in pen.records(attempts)]
        room -= len(task) + sum(len(said[1]) for said in kept)
        if room < 0:
            break
        found[visible(task)] = kept
    return found


def _log(said: Document, most: int) -> list[Any]:
    lines = _text_lines(pen.items(said.get("lines")))
    return [visible(said.get("attempt", "")), lines[-most:], len(lines) > most]


def _text_lines(lines: Iterable[Any]) -> str:
    return "\n".join(visible(line) for line in lines)
