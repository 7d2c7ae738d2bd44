"""The parts of the page that say who worked when, and where the time went."""

from __future__ import annotations

from typing import Any

from shardwise.report.page import pen
from shardwise.report.page.gaps import gaps_of
from shardwise.report.page.html import Column, Html, join, table, tag
from shardwise.report.page.series import lanes_of, timed_spans
from shardwise.report.page.texts import Texts
from shardwise.sizes import format_rate

Document = dict[str, Any]

MOST_WORKERS = 100
MOST_INTERVALS = 12
SPENT = ("reading", "computing", "writing", "waiting", "starting", "retrying")


def workers(document: Document, t: Texts) -> Html:
    """One row a worker: attempts, and what its time was spent on."""
    lanes, spans = lanes_of(document), timed_spans(document)
    by_slot: dict[Any, list[dict[str, Any]]] = {}
    for span in spans:
        by_slot.setdefault(span["slot"], []).append(span)
    rows = [_worker(lane, by_slot.get(lane["slot"], []), t) for lane in lanes[:MOST_WORKERS]]
    names = ("attempts", "not_kept", "busy", "reading", "computing", "writing", "waiting")
    columns = [Column(t["worker"]), Column(t["host"]), *(Column(t[name].capitalize(), number=True) for name in names)]
    more = len(lanes) - len(rows)
    note = [tag("p", t["and_more"].format(pen.count(more)), class_="note")] if more > 0 else []
    gaps = gaps_of(document)
    if gaps:
        left_out = pen.seconds(sum(ended - began for began, ended in gaps))
        note.append(tag("p", t["gaps"].format(pen.count(len(gaps)), left_out), class_="note"))
    return join([table(t["workers"], columns, rows), *note])


def _worker(lane: dict[str, Any], spans: list[dict[str, Any]], t: Texts) -> list[str]:
    busy = sum(span["ended"] - span["began"] for span in spans)
    there = sum(down - up for up, down in lane["up"])
    inside = [pen.seconds(sum(span[name] for span in spans)) for name in ("read", "compute", "write")]
    lost = sum(span["how"] != "committed" for span in spans)
    waiting = pen.seconds(max(0.0, there - busy))
    host = lane["host"] or pen.DASH
    name = t["driver"] if lane["driver"] else str(lane["slot"])
    return [name, host, pen.count(len(spans)), pen.count(lost), pen.share(pen.over(busy, there)), *inside, waiting]


def throughput(document: Document, t: Texts) -> Html:
    """The curve as a few rows."""
    points = [point for point in pen.items(document.get("throughput")) if _is_point(point)]
    if not points:
        return tag("p", t["no_throughput"], class_="note")
    step = -(-len(points) // MOST_INTERVALS)
    rows = []
    for first in range(0, len(points), step):
        some = points[first : first + step]
        until = points[first + step][0] if first + step < len(points) else some[-1][0]
        rows.append(
            [
                f"{pen.seconds(some[0][0])} – {pen.seconds(until)}",
                format_rate(sum(point[1] for point in some) / len(some), t["rows_unit"]),
                format_rate(sum(point[2] for point in some) / len(some)),
            ]
        )
    columns = [Column(t["from_to"]), Column(t["rows_per_second"], True), Column(t["bytes_per_second"], True)]
    return table(t["throughput"], columns, rows, hidden=True)


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 3 and all(pen.number(value) is not None for value in point)


def where(document: Document, t: Texts) -> Html:
    """What the workers' seconds were spent on, and what went over which link."""
    spent = {name: pen.number(pen.fields(document.get("where")).get(name)) for name in SPENT}
    whole = sum(value or 0 for value in spent.values())
    about = t["where_about"].format(pen.seconds(whole), pen.share(document.get("communication")))
    rows = [
        [t[name].capitalize(), pen.seconds(value), pen.share(pen.over(value, whole))] for name, value in spent.items()
    ]
    columns = [Column(t["spent_on"]), Column(t["worker_seconds"], True), Column(t["share"], True)]
    return join([tag("p", about), table(t["where"], columns, rows, hidden=True), _links(document, t)])


def _links(document: Document, t: Texts) -> Html:
    links = pen.records(document.get("links"))
    if not links:
        return Html("")
    columns = [Column(t["from"]), Column(t["to"]), *(Column(t[name], True) for name in ("size", "time", "rate"))]
    rows = [
        [
            link.get("from", ""),
            link.get("to", ""),
            pen.size(link.get("bytes")),
            pen.seconds(link.get("seconds")),
            pen.rate(link.get("bytes"), link.get("seconds")),
        ]
        for link in links
    ]
    return table(t["links"], columns, rows)
