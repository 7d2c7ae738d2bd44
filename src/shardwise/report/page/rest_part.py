"""The parts of the page about what was slow, what was set aside, what tasks said, and what to do next."""

from __future__ import annotations

from typing import Any

from shardwise.report.page import pen
from shardwise.report.page.html import Column, Html, join, table, tag
from shardwise.report.page.texts import Texts

Document = dict[str, Any]

MOST_ROWS = 50
LONGEST_CELL = 300


def slow(document: Document, t: Texts) -> Html:
    """Attempts that took much longer than others, and stages whose tasks are unequal."""
    stragglers = [
        [
            task_button(each.get("task", "")),
            *map(pen.seconds, (each.get("seconds"), each.get("median"))),
            each.get("why", ""),
        ]
        for each in pen.records(document.get("stragglers"))
    ]
    skew = [
        [
            each.get("stage", ""),
            *map(pen.seconds, (each.get("median"), each.get("longest"))),
            pen.ratio(each.get("ratio")),
        ]
        for each in pen.records(document.get("skew"))
    ]
    stragglers_columns = [
        Column(t["task"]),
        Column(t["took"], True),
        Column(t["median"], True),
        Column(t["why"], wide=True),
    ]
    skew_columns = [Column(t["stage"]), *(Column(t[name], True) for name in ("median", "longest", "ratio"))]
    return join([_some(t["stragglers"], stragglers_columns, stragglers, t), _some(t["skew"], skew_columns, skew, t)])


def _some(caption: str, columns: list[Column], rows: list[list[Any]], t: Texts) -> Html:
    """A table of the first rows, or a heading that says that there are none."""
    if not rows:
        return join([tag("h3", caption), tag("p", t["nothing"], class_="note")])
    more = len(rows) - MOST_ROWS
    note = tag("p", t["and_more"].format(pen.count(more)), class_="note") if more > 0 else Html("")
    return join([table(caption, columns, rows[:MOST_ROWS]), note])


def quarantine(document: Document, t: Texts) -> Html:
    """How many rows were set aside, and the first of them."""
    found = pen.fields(document.get("quarantine"))
    rows = pen.number(found.get("rows")) or 0
    if not rows:
        return tag("p", t["quarantine_none"])
    first = pen.records(found.get("first"))[:MOST_ROWS]
    names = list(dict.fromkeys(name for row in first for name in row))
    columns = [Column(t.get(f"column_{name}", name), wide=name == "message") for name in names]
    cells = [[_short(row.get(name)) for name in names] for row in first]
    told = tag("p", t["quarantine_rows"].format(pen.count(rows)))
    return join([told, table(t["quarantine"], columns, cells, hidden=True)]) if names else told


def _short(value: Any) -> str:
    said = pen.DASH if value is None else str(value)
    return said if len(said) <= LONGEST_CELL else said[:LONGEST_CELL] + " …"


def task_button(task: Any) -> Html:
    """A task's name, which opens its logs."""
    return tag("button", task, type="button", class_="task", data_task=task)


def said(document: Document, t: Texts) -> Html:
    """Which tasks said something."""
    logs = pen.fields(document.get("logs"))
    rows = []
    for task, attempts in logs.items():
        lines = [line for each in pen.records(attempts) for line in pen.items(each.get("lines"))]
        if lines:
            rows.append([task_button(task), pen.count(len(lines)), tag("code", _short(lines[-1]))])
    if not rows:
        return tag("p", t["logs_none"])
    columns = [Column(t["task"]), Column(t["lines"], True), Column(t["last_line"], wide=True)]
    return join([tag("p", t["logs_about"]), _some(t["logs"], columns, rows, t)])


def advice(document: Document, t: Texts) -> Html:
    """What to do next, in the order of what it is predicted to gain."""
    found = pen.records(document.get("advice"))
    if not found:
        return tag("p", t["advice_none"])
    return tag("ol", *(_piece(each, t) for each in found), class_="advice")


def _piece(each: dict[str, Any], t: Texts) -> Html:
    known = pen.number(each.get("gain_seconds"))
    gain = "" if known is None else t["gain"].format(pen.seconds(known))
    what = tag("strong", each.get("what", ""), lang="en")
    return tag("li", what, " ", tag("span", gain, class_="gain"), tag("p", each.get("why", ""), lang="en"))
