"""The parts of the page that say what ran, why, and how that compares with what was predicted."""

from __future__ import annotations

from typing import Any

from shardwise.report.page import pen
from shardwise.report.page.html import Column, Html, facts, join, table, tag
from shardwise.report.page.series import measured_of
from shardwise.report.page.texts import Texts

Document = dict[str, Any]

STATES = ("done", "running", "failed", "planned", "interrupted")


def summary(document: Document, t: Texts) -> Html:
    """What run this is, how it stands, and its main figures."""
    run = pen.fields(document.get("run"))
    state = str(run.get("status", ""))
    named = t[state] if state in STATES else state
    badge = tag("strong", named, class_=f"badge {state if state in STATES else 'interrupted'}")
    said = tag("p", badge, " ", tag("span", t[f"{state}_how"]) if f"{state}_how" in t else "", class_="state")
    stages = pen.records(document.get("stages"))
    rows, size = (_total(stages, key) for key in ("rows_in", "bytes_in"))
    amounts = [f"{pen.count(rows)} {t['rows_unit']}"] * bool(rows) + [pen.size(size)] * bool(size)
    read = [Html(f"{tag('span', each, class_='whole')} ") for each in amounts]
    done, tasks = _total(stages, "done"), _total(stages, "tasks")
    told = "tasks_done" if state == "done" or document.get("plan") else "tasks_so_far"  # no plan: nobody knows how many
    known = [
        (t["took"], pen.seconds(run.get("seconds"))),
        (t["engine"], run.get("engine") or t["unknown"]),
        (t["workers"], pen.count(run.get("workers"))),
        (t["tasks"], t[told].format(pen.count(done), pen.count(tasks))),
        (t["read_in_all"], join(read or [pen.DASH])),
        (t["peak"], pen.size(_greatest(stages, "peak_memory"))),
        (t["began"], pen.moment(run.get("began"))),
        (t["ended"], pen.moment(run.get("ended"))),
    ]
    failure = pen.fields(run.get("failure"))
    why = [tag("pre", failure.get("message", ""), class_="callout bad", lang="en")] if failure.get("message") else []
    return join([said, *why, facts(known)])


def plan(document: Document, t: Texts) -> Html:
    """The job, the plan, its reasons, the bottleneck, and what else was considered."""
    run, planned = pen.fields(document.get("run")), pen.fields(document.get("plan"))
    known: list[tuple[str, object]] = [
        (t["job"], tag("code", run.get("job") or t["unknown"])),
        (t["directory"], tag("code", run.get("dir") or pen.DASH)),
    ]
    known += [(t["version"], run["version"])] if run.get("version") else []
    if not planned:
        return join([facts(known), tag("p", t["no_plan"], class_="note")])
    known += [
        (t["threads"], pen.count(planned.get("threads"))),
        (t["limit"], pen.size(planned.get("memory_limit"))),
    ]
    return join([facts(known), *_why(planned, t), _planned_stages(planned, t), _alternatives(planned, t)])


def _why(planned: Document, t: Texts) -> list[Html]:
    reasons = pen.items(planned.get("reasons"))
    found = [tag("h3", t["why"])]
    if reasons:
        found.append(tag("ul", *(tag("li", reason) for reason in reasons), lang="en"))
    else:
        found.append(tag("p", t["no_reasons"], class_="note"))
    bottleneck, sample = pen.fields(planned.get("bottleneck")), pen.fields(planned.get("sample"))
    if bottleneck:
        named = tag("strong", t["bottleneck"].format(bottleneck.get("name", "")))
        found.append(tag("p", named, tag("br"), tag("span", bottleneck.get("why", ""), lang="en"), class_="callout"))
        if bottleneck.get("strategy"):
            found.append(tag("p", t["strategy"].format(bottleneck["strategy"])))
    if sample:
        told = (pen.count(sample.get("tasks")), pen.share(sample.get("share")), pen.seconds(sample.get("seconds")))
        found.append(tag("p", t["sampled"].format(*told), class_="note"))
    return found


def _planned_stages(planned: Document, t: Texts) -> Html:
    columns = [
        Column(t["stage"]),
        Column(t["what"], wide=True),
        *(Column(t[name], number=True) for name in ("tasks", "before", "batches", "rows", "size", "time", "memory")),
    ]
    rows = [
        [
            stage.get("name", ""),
            stage.get("what", ""),
            *(pen.count(stage.get(name)) for name in ("tasks", "done", "batches", "rows")),
            pen.size(stage.get("size")),
            pen.seconds(stage.get("seconds")),
            pen.size(stage.get("memory_bytes")),
        ]
        for stage in pen.records(planned.get("stages"))
    ]
    return table(t["planned_stages"], columns, rows)


def _alternatives(planned: Document, t: Texts) -> Html:
    found = pen.records(planned.get("alternatives"))
    if not found:
        return Html("")
    columns = [
        Column(t["engine"]),
        *(Column(t[name], number=True) for name in ("workers", "shard", "predicted", "between", "memory")),
        Column(t["fits"]),
        Column(t["chosen"].capitalize()),
    ]
    rows = [
        [
            each.get("engine", ""),
            pen.count(each.get("workers")),
            _shard(each, t),
            pen.seconds(each.get("seconds")),
            _interval(each),
            pen.size(each.get("memory_bytes")),
            pen.DASH if each.get("fits") is None else t["yes" if each["fits"] else "no"],
            t["chosen"] if each.get("chosen") else "",
        ]
        for each in found
    ]
    return table(t["alternatives"], columns, rows)


def _shard(each: Document, t: Texts) -> str:
    """How long a shard is: bytes, or batches where nobody knows their bytes."""
    if pen.number(each.get("shard_bytes")) is None and pen.number(each.get("shard_batches")):
        return f"{pen.count(each['shard_batches'])} {t['batches'].lower()}"
    return pen.size(each.get("shard_bytes"))


def _interval(planned: Document) -> str:
    low, high = planned.get("seconds_low"), planned.get("seconds_high")
    return (
        pen.DASH if pen.number(low) is None or pen.number(high) is None else f"{pen.seconds(low)} – {pen.seconds(high)}"
    )


def measured(document: Document, t: Texts) -> Html:
    """The whole run and each stage: predicted, measured, and how far apart."""
    planned, stages = pen.fields(document.get("plan")), pen.records(document.get("stages"))
    known = [planned.get("seconds"), *(stage.get("predicted_seconds") for stage in stages)]
    note = (
        [] if any(pen.number(value) is not None for value in known) else [tag("p", t["not_predicted"], class_="note")]
    )
    return join([*note, _whole_run(document, t), _stages(stages, t)])


def _whole_run(document: Document, t: Texts) -> Html:
    told = {**pen.fields(document.get("plan")), **pen.fields(document.get("prediction"))}
    took = told.get("measured_seconds", pen.fields(document.get("run")).get("seconds"))
    most = told.get("measured_memory", _greatest(pen.records(document.get("stages")), "peak_memory"))
    columns = [Column(t["quantity"]), *(Column(t[c], number=True) for c in ("predicted", "between", "was", "off_by"))]
    off = pen.ratio(pen.over(took, told.get("seconds"))), pen.ratio(pen.over(most, told.get("memory_bytes")))
    rows = [
        [t["time_since_plan"], pen.seconds(told.get("seconds")), _interval(told), pen.seconds(took), off[0]],
        [t["memory"], pen.size(told.get("memory_bytes")), pen.DASH, pen.size(most), off[1]],
    ]
    return table(t["whole_run"], columns, rows)


def _stages(stages: list[Document], t: Texts) -> Html:
    times, sizes = ("time_predicted", "time_was", "off_by", "worker_seconds"), ("memory_predicted", "memory_was")
    names = (*times, *sizes, "tasks", "rows", "read_in_all")
    columns = [Column(t["stage"]), *(Column(t[name], number=True) for name in names)]
    return table(t["by_stage"], columns, [_stage(stage) for stage in stages])


def _stage(stage: Document) -> list[str]:
    seconds, memory = measured_of(stage)
    return [
        stage.get("name", ""),
        pen.seconds(stage.get("predicted_seconds")),
        pen.seconds(seconds),
        pen.ratio(pen.over(seconds, stage.get("predicted_seconds"))),
        pen.seconds(stage.get("seconds")),
        pen.size(stage.get("predicted_memory")),
        pen.size(memory),
        f"{pen.count(stage.get('done'))} / {pen.count(stage.get('tasks'))}",
        pen.count(stage.get("rows_in")),
        pen.size(stage.get("bytes_in")),
    ]


def _total(stages: list[Document], key: str) -> float:
    return sum(pen.number(stage.get(key)) or 0 for stage in stages)


def _greatest(stages: list[Document], key: str) -> float | None:
    return max((known for stage in stages if (known := pen.number(stage.get(key))) is not None), default=None)
