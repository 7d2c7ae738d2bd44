"""What to do next, ranked by what it would gain: a pure function of a run's document.

Each piece of advice is a rule that looks at sums of the document, says what it would save in seconds of the run's
time, and says nothing where that is too little to care.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

from shardwise.sizes import format_duration, format_percent, format_size

Document = dict[str, Any]
Advice = dict[str, Any]

LEAST_SECONDS = 0.5
LEAST_SHARE = 0.05
"""What would gain less than both is not worth a sentence."""

UNEVEN = 2.0
"""A longest attempt of so many medians is skew."""

DOMINANT = 0.4
"""A part of all worker-seconds that is worth a rule of its own."""

SLOW_ROW = 1e-6
"""Seconds of computing a row: a loop in Python takes as much, a vectorised function a hundredth of it."""

LARGE_ROW = 1e-3
"""What takes longer is no small row: a file, say, or a picture."""

NEAR = 0.85
"""Memory beyond this share of what is allowed is near the ceiling."""

SMALL_TASK = 0.1
"""Seconds of a task below which what is said about it weighs."""


def advice(document: Document) -> list[Advice]:
    """What to do next, the greatest gain first.

    Parameters
    ----------
    document : dict
        ``run, stages, where, skew, links, quarantine, prediction, plan, stragglers`` of a report.

    Returns
    -------
    list of dict
        ``what`` to do, ``why``, and ``gain_seconds`` of the run's time: None where it is not about time.
    """
    least = max(LEAST_SECONDS, LEAST_SHARE * document["run"]["seconds"])
    timed = [one for rule in _TIMED for one in rule(document) if one["gain_seconds"] >= least]
    timed.sort(key=lambda one: -one["gain_seconds"])
    return [*timed, *(one for rule in _OTHERS for one in rule(document))]


def _advice(what: str, why: str, gain: float | None) -> Advice:
    return {"what": what, "why": why, "gain_seconds": None if gain is None else round(gain, 3)}


def _workers(document: Document) -> int:
    """Attempts that could run side by side."""
    return max(1, int(document["run"]["workers"] or 1))


def _wall(document: Document, worker_seconds: float) -> float:
    """Seconds of the run that so many worker-seconds are, spread over all workers."""
    return worker_seconds / _workers(document)


def _name(document: Document) -> str:
    """What commands know the run by: its id where the cache has it, else its directory; empty for memory."""
    name, directory = str(document["run"]["id"]), str(document["run"]["dir"])
    return name if directory.rstrip("/").endswith(name) else shlex.quote(directory) if directory else ""


# --- rules about time ----------------------------------------------------------------------------------------------


def _skewed(document: Document) -> Iterator[Advice]:
    """The end of a stage is waiting for its longest task."""
    uneven = {one["stage"]: one for one in document["skew"] if one["ratio"] >= UNEVEN}
    for stage in document["stages"]:
        one = uneven.get(stage["name"])
        workers = _workers(document)
        if one is None or stage["wall"] is None or workers < 2:
            continue
        wall = stage["wall"][1] - stage["wall"][0]
        even = max((stage["busy"] + stage["in_vain"]) / workers, one["median"])
        times = f"the longest took {format_duration(one['longest'])}, {one['ratio']:.1f} times the median"
        if one["rows_ratio"] >= UNEVEN:
            what = f"use smaller shards (--shard-size), or salt the key that gathers rows, in stage {stage['name']}"
            why = f"tasks of stage {stage['name']} are uneven: {times}, with {one['rows_ratio']:.1f} times the rows"
        else:
            what = f"use smaller shards (--shard-size) in stage {stage['name']}, so that slow ones fill gaps"
            why = f"tasks of stage {stage['name']} are uneven: {times}, with no more rows than the others"
        yield _advice(what, why, min(wall - even, one["longest"] - one["median"]))


def _waiting(document: Document) -> Iterator[Advice]:
    """Workers had nothing to do, or waited for messages."""
    spent = document["where"]
    total = sum(spent.values())
    workers = _workers(document)
    if workers < 2 or total <= 0 or spent["waiting"] < DOMINANT * total:
        return
    gain = spent["waiting"] / workers
    readers = [stage for stage in document["stages"] if stage["bytes_in"] or stage["rows_in"]]
    largest = max(readers or document["stages"], key=lambda stage: stage["busy"], default=None)
    share = format_percent(spent["waiting"] / total, 0)
    if largest is not None and largest["done"] < 2 * workers:
        few = f"stage {largest['name']} had {largest['done']} tasks for {workers} workers"
        yield _advice(
            "use more, smaller shards (--shard-size), or fewer workers",
            f"workers waited {share} of their time: {few}",
            gain,
        )
        return
    tasks = sum(stage["done"] for stage in document["stages"])
    each = sum(stage["busy"] for stage in document["stages"]) / max(1, tasks)
    if each < SMALL_TASK:
        yield _advice(
            "use larger shards (--shard-size), so that less is said about each",
            f"workers waited {share} of their time: {tasks} tasks took {format_duration(each)} each",
            gain,
        )


def _starting(document: Document) -> Iterator[Advice]:
    """Workers took longer to start than to work."""
    spent = document["where"]
    total = sum(spent.values())
    work = spent["reading"] + spent["computing"] + spent["writing"]
    workers = _workers(document)
    if total <= 0 or spent["starting"] < DOMINANT * total or document["run"]["engine"] == "inline":
        return
    here = work  # in one process, which is there already
    gain = document["run"]["seconds"] - here
    why = (
        f"starting workers took {format_duration(spent['starting'])} of their time, the work itself "
        f"{format_duration(work)}"
    )
    if gain > 0:
        yield _advice("run it with --engine inline", why, gain)
    elif workers > 2:
        yield _advice("use fewer workers (--workers)", why, spent["starting"] / workers / 2)


def _reading(document: Document) -> Iterator[Advice]:
    """Most of the time goes into reading."""
    spent = document["where"]
    total = sum(spent.values())
    if total <= 0 or spent["reading"] < DOMINANT * total:
        return
    size = sum(link["bytes"] for link in document["links"] if link["from"] == "storage")
    rate = f" at {format_size(size / spent['reading'])}/s per worker" if size and spent["reading"] else ""
    yield _advice(
        "read less: name the columns that are needed (select), or store the data as Parquet, compressed, once",
        f"reading took {format_percent(spent['reading'] / total, 0)} of the workers' time{rate}",
        _wall(document, spent["reading"]) / 2,
    )


def _interpreted(document: Document) -> Iterator[Advice]:
    """A function that computes row by row."""
    kinds = document["run"]["functions"]
    for stage in document["stages"]:
        rows, compute = stage["rows_in"], stage["compute"]
        if (
            not kinds
            or stage["name"] == "settle"
            or not rows
            or not SLOW_ROW <= compute / rows <= LARGE_ROW
            or compute < stage["read"]
        ):
            continue
        spared = compute - max(stage["read"], 0.1 * compute)
        times = f", {compute / stage['read']:.0f} times what reading it took" if stage["read"] else ""
        how = "map instead of map_items, on arrays of many items" if "map_items" in kinds else "columns, not rows"
        yield _advice(
            f"vectorise the function of stage {stage['name']} before you add workers ({how})",
            f"it took {compute / rows * 1e6:.1f} microseconds a row{times}",
            _wall(document, spared),
        )


def _retried(document: Document) -> Iterator[Advice]:
    """Attempts that came to nothing."""
    seconds = document["where"]["retrying"]
    ends = {how: n for how, n in document["run"]["ends"].items() if how in ("failed", "lost")}
    if not ends:
        return
    vain = sum(ends.values())
    reasons: dict[str, int] = {}
    for span in document["spans"]:
        if span["how"] in ends and span["failure"]:
            reasons[span["failure"]] = reasons.get(span["failure"], 0) + 1
    most = max(reasons, key=lambda reason: reasons[reason], default="")
    name = _name(document)
    yield _advice(
        "look into why attempts fail" + (f": shardwise logs {name}" if name else " (the report's spans and logs)"),
        f"{vain} {'attempt' if vain == 1 else 'attempts'} failed or died" + (f", most often: {most}" if most else ""),
        _wall(document, seconds),
    )


# --- rules about other things --------------------------------------------------------------------------------------


def _memory(document: Document) -> Iterator[Advice]:
    """Little memory was left."""
    limit = document["prediction"]["memory_limit"]
    held = document["prediction"]["measured_memory"]
    if limit and held and held > NEAR * limit:
        yield _advice(
            "give more memory (--memory), use fewer workers, or smaller shards (--shard-size)",
            f"the processes of a host held {format_size(held)} of the {format_size(limit)} allowed",
            None,
        )


def _left_out(document: Document) -> Iterator[Advice]:
    """Rows that are in none of the outputs."""
    rows = document["quarantine"]["rows"]
    if rows:
        first = document["quarantine"]["first"]
        why = f": {first[0]['type']}: {first[0]['message']}" if first else ""
        name = _name(document)
        yield _advice(
            f"see the first one fail: shardwise replay {name}" if name else "look at result.quarantine",
            f"{rows:,} {'row is' if rows == 1 else 'rows are'} in quarantine, and in none of the outputs{why}",
            None,
        )


Rule = Callable[[Document], Iterator[Advice]]
_TIMED: tuple[Rule, ...] = (_skewed, _waiting, _starting, _reading, _interpreted, _retried)
_OTHERS: tuple[Rule, ...] = (_memory, _left_out)
