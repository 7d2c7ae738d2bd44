"""Where the time of a run's workers went. Pure: spans and workers in, plain JSON values out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from shardwise.report.facts import Facts, Worker
from shardwise.run.spans import Span

BINS = 120
"""Points of the throughput over time."""

HOSTS = 30
"""Links of so many hosts are told one by one."""

STRAGGLER = 2.0
"""An attempt is a straggler when it took so many times the median of its stage ..."""

STRAGGLER_SECONDS = 0.2
"""... and so many seconds more than that."""

MOST_STRAGGLERS = 10

ENOUGH = 4
"""Attempts of a stage before a median of it means anything."""


def duration(span: Span) -> float:
    """Seconds from sending an attempt to hearing of its end."""
    return float(span["ended"] - span["began"])


def overhead(span: Span) -> float:
    """Seconds of an attempt that its worker did not read, compute or write in: travelling, unpacking, waiting."""
    return float(max(0.0, duration(span) - span["read"] - span["compute"] - span["write"]))


def end_of(worker: Worker, facts: Facts) -> float:
    """When a worker was gone, or, where nobody has said so, until when it surely was at work."""
    if worker.down is not None:
        return worker.down
    session = next((s for s in facts.sessions if s.epoch == worker.epoch), None)
    return max(session.ended, worker.last) if session is not None and session.said_how else worker.last


def where(facts: Facts) -> dict[str, float]:
    """Worker-seconds by what they were spent on.

    ``retrying`` is all that attempts took which came to nothing. ``starting`` lasts from asking for a worker until it
    is there, and what its first attempt took beyond reading, computing and writing. ``waiting`` is the rest.
    """
    spent = dict.fromkeys(("reading", "computing", "writing", "waiting", "starting", "retrying"), 0.0)
    busy: dict[int, float] = defaultdict(float)
    begun: set[int] = set()
    for span in facts.spans:
        busy[span["slot"]] += duration(span)
        if span["how"] == "committed":
            spent["reading"] += span["read"]
            spent["computing"] += span["compute"]
            spent["writing"] += span["write"]
            spent["waiting" if span["slot"] in begun else "starting"] += overhead(span)
        else:
            spent["retrying"] += duration(span)
        begun.add(span["slot"])
    for worker in facts.workers:
        spent["starting"] += max(0.0, worker.up - worker.asked)
        spent["waiting"] += max(0.0, end_of(worker, facts) - worker.up - busy[worker.number])
    return {name: round(seconds, 6) for name, seconds in spent.items()}


def throughput(facts: Facts) -> list[list[float]]:
    """Rows and bytes read per second over time: what an attempt read is spread evenly over its time."""
    spans = [span for span in facts.spans if span["how"] == "committed" and span["stage"] != "settle"]
    if not spans:
        return []
    begin, end = min(span["began"] for span in spans), max(span["ended"] for span in spans)
    width = max((end - begin) / BINS, 1e-3)
    count = max(1, min(BINS, int((end - begin) / width + 0.999)))
    rows, sizes = [0.0] * count, [0.0] * count
    for span in spans:
        for place, share in _shares((span["began"] - begin) / width, (span["ended"] - begin) / width, count):
            rows[place] += span["rows"] * share
            sizes[place] += span["bytes_in"] * share
    return [
        [round(begin + place * width, 6), round(rows[place] / width, 3), round(sizes[place] / width, 3)]
        for place in range(count)
    ]


def _shares(begin: float, end: float, count: int) -> Iterable[tuple[int, float]]:
    """Bins that a time lies in, and which part of it lies in each."""
    first, last = min(int(begin), count - 1), min(int(end), count - 1)
    if first == last or end <= begin:
        return [(first, 1.0)]
    return [
        (place, (min(end, place + 1 if place < last else end) - max(begin, place)) / (end - begin))
        for place in range(first, last + 1)
    ]


def links(facts: Facts) -> list[dict[str, Any]]:
    """Bytes and seconds by link, summed over attempts side by side.

    The time that messages between driver and worker took is what an attempt took beyond its worker's own time; it is
    divided between both ways by their bytes.
    """
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    names = _names_of_hosts(facts.spans)
    for span in facts.spans:
        host = names[span["host"]]
        _add(sums["storage", host], span["bytes_in"], span["read"])
        _add(sums[host, "storage"], span["stored"], span["write"])
        if not span["seconds"]:  # it never answered
            _add(sums["driver", host], span["sent"], 0.0)
            continue
        travel = max(0.0, duration(span) - span["seconds"])
        both = max(1, span["sent"] + span["received"])
        _add(sums["driver", host], span["sent"], travel * span["sent"] / both)
        _add(sums[host, "driver"], span["received"], travel * span["received"] / both)
    return [
        {"from": begin, "to": end, "bytes": int(size), "seconds": round(seconds, 6)}
        for (begin, end), (size, seconds) in sums.items()
        if size or seconds
    ]


def _add(sums: list[float], size: float, seconds: float) -> None:
    sums[0] += size
    sums[1] += seconds


def _names_of_hosts(spans: Iterable[Span]) -> dict[str, str]:
    """Names of hosts by themselves; those beyond ``HOSTS`` are one."""
    known = dict.fromkeys(span["host"] for span in spans)
    return {host: host if place < HOSTS else f"{len(known) - HOSTS} other hosts" for place, host in enumerate(known)}


def communication(moved: Sequence[dict[str, Any]], spent: dict[str, float]) -> float:
    """Share of all worker-seconds in which bytes were on their way: between storage and host, and driver and host."""
    total = sum(spent.values())
    return round(min(1.0, sum(link["seconds"] for link in moved) / total), 6) if total > 0 else 0.0


def of_stages(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Committed spans by stage."""
    found: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span["how"] == "committed":
            found[span["stage"]].append(span)
    return dict(found)


def skew(facts: Facts) -> list[dict[str, Any]]:
    """How uneven the attempts of each stage were."""
    made = []
    for stage, spans in of_stages(facts.spans).items():
        if len(spans) >= ENOUGH:
            times = [duration(span) for span in spans]
            middle, longest = median(times), max(times)
            rows = [span["rows"] for span in spans]
            made.append(
                {
                    "stage": stage,
                    "median": round(middle, 6),
                    "longest": round(longest, 6),
                    "ratio": round(longest / middle, 3) if middle > 0 else 1.0,
                    "rows_ratio": round(max(rows) / median(rows), 3) if median(rows) > 0 else 1.0,
                }
            )
    return made


def stragglers(facts: Facts) -> list[dict[str, Any]]:
    """Attempts that took much longer than those of their stage, and what was different about them; the worst first."""
    found: list[tuple[float, dict[str, Any]]] = []
    for spans in of_stages(facts.spans).values():
        if len(spans) < ENOUGH:
            continue
        middle = median(map(duration, spans))
        slow = [s for s in spans if duration(s) > max(STRAGGLER * middle, middle + STRAGGLER_SECONDS)]
        for span in sorted(slow, key=duration, reverse=True)[:MOST_STRAGGLERS]:
            about = {"task": span["task"], "seconds": round(duration(span), 6), "median": round(middle, 6)}
            found.append((duration(span) - middle, {**about, "why": _why(span, spans)}))
    found.sort(key=lambda one: -one[0])
    return [about for _, about in found[:MOST_STRAGGLERS]]


def _why(span: Span, others: Sequence[Span]) -> str:
    rows = median(other["rows"] for other in others)
    if rows and span["rows"] > 1.5 * rows:
        return f"{span['rows'] / rows:.1f} times as many rows as the median"
    size = median(other["bytes_in"] for other in others)
    if size and span["bytes_in"] > 1.5 * size:
        return f"{span['bytes_in'] / size:.1f} times as many bytes as the median"
    there = [duration(other) for other in others if other["host"] == span["host"] and other is not span]
    middle = median(map(duration, others))
    if len({other["host"] for other in others}) > 1 and there and median(there) > 1.5 * middle:
        return f"the host {span['host']} is slow: {median(there) / middle:.1f} times the median there"
    parts = {"reading": _read, "computing": _compute, "writing": _write, "starting": overhead}
    longer = {name: part(span) - median(map(part, others)) for name, part in parts.items()}
    worst = max(longer, key=lambda name: longer[name])
    excess = duration(span) - middle
    if worst == "starting" and longer[worst] > excess / 2:
        return "its worker had only just started, or its messages waited"
    return f"{worst} took {longer[worst]:.2g} s longer, with no more data than the others"


def _read(span: Span) -> float:
    return float(span["read"])


def _compute(span: Span) -> float:
    return float(span["compute"])


def _write(span: Span) -> float:
    return float(span["write"])


def since_the_plan(facts: Facts, by_stage: Mapping[str, Sequence[Span]]) -> dict[str, float]:
    """Seconds of each stage as plans predict them: from the end of the one before (or from the plan) to its own."""
    ends = sorted((max(span["ended"] for span in spans), name) for name, spans in by_stage.items() if spans)
    found: dict[str, float] = {}
    last = facts.planned_at
    for end, name in ends:
        if end > last + 1e-4:  # clocks since 1970 are not exact to the last digit
            found[name], last = round(end - last, 6), end
    return found
