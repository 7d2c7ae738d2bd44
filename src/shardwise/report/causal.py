"""Logs of many hosts in one order that contradicts no cause, whatever the hosts' clocks say.

A line carries the time of its worker's clock, and clocks of hosts differ, by minutes at times. What the driver saw
bounds that: an attempt began when it was sent, and ended when its answer came, by the driver's own clock. So each
attempt says how far its host's clock may be off: an interval, as wide as messages took. The offset of a host is taken
from the narrowest of them, corrected times are kept within their attempt, and within an attempt the order is kept. A
task that reads what another one made was sent after that had answered, so no line of it comes before the other's.

That is the bound of Cristian (1989), applied to every message that was exchanged anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardwise.report.facts import facts_of
from shardwise.run.publish import attempt_label

if TYPE_CHECKING:
    from shardwise.run.record import Record
    from shardwise.run.spans import Span
    from shardwise.run.stamps import Said

Key = tuple[str, str]
"""A task's name, as directories of logs are called, and the label of an attempt."""


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """A line of a log. ``at``: seconds since 1970 by the driver's clock, as far as can be told."""

    at: float
    task: str
    attempt: str
    host: str
    line: str


@dataclass(slots=True)
class _Talk:
    """The log of an attempt, and what is known of when it was."""

    key: Key
    lines: Said
    host: str = ""
    began: float | None = None
    ended: float | None = None
    least: float | None = None  # bounds of what is to be added to the host's clock
    most: float | None = None


def logs_in_order(record: Record, task: str | None = None) -> list[LogLine]:
    """What the tasks of a run said, of all or of one, in an order that contradicts no cause."""
    speakers = [key for key in record.speakers() if task in (None, key[0])]
    facts = facts_of(record, None)
    base = facts.epoch_seconds
    spans = [{**s, "began": s["began"] + base, "ended": s["ended"] + base} for s in facts.spans]
    needs = {_named(name): tuple(map(_named, wanted)) for name, wanted in facts.needs.items()}
    return merged([(key, record.lines_of(*key)) for key in speakers], spans, needs)


def merged(
    said: Iterable[tuple[Key, Said]], spans: Sequence[Span], needs: Mapping[str, Sequence[str]]
) -> list[LogLine]:
    """Merge logs.

    Parameters
    ----------
    said : iterable
        Logs by (task, label of the attempt), with the times of the workers' clocks where they are known.
    spans : sequence of dict
        Attempts, with ``began`` and ``ended`` in seconds since 1970 by the driver's clock.
    needs : mapping
        The tasks whose outputs each task read.
    """
    bounds = {(_named(span["task"]), attempt_label(span["attempt"])): span for span in spans}
    talks = [_talk(key, lines, bounds.get(key)) for key, lines in said if lines]
    offsets = _offsets(spans)
    times = {talk.key: _times(talk, offsets) for talk in talks}
    ranks = {task: rank for rank, task in enumerate(_causes_first([talk.key[0] for talk in talks], needs))}
    _obey(talks, times, needs, ranks)
    order = sorted(
        (*_place(talk.key, at, ranks), number, LogLine(at, *talk.key, talk.host, line))
        for talk in talks
        for number, (at, (_, line)) in enumerate(zip(times[talk.key], talk.lines, strict=True))
    )
    return [line for *_, line in order]


def _place(key: Key, at: float, ranks: Mapping[str, int]) -> tuple[int, float, int, int]:
    """Drivers come one after the other, whatever their clocks say; then times; then causes before what they caused."""
    driver, _, number = key[1].partition("-")
    return int(driver), at, ranks[key[0]], int(number or 0)


def _named(task: str) -> str:
    return task.replace("/", "_")


def _talk(key: Key, lines: Said, span: Span | None) -> _Talk:
    if span is None:
        return _Talk(key, lines)
    talk = _Talk(key, lines, str(span["host"]), span["began"], span["ended"])
    talk.least, talk.most = _bounds(span)
    if talk.least is None:
        known = [at for at, _ in lines if at is not None]
        if known:
            talk.least, talk.most = span["began"] - known[0], span["ended"] - known[-1]
    return talk


def _bounds(span: Span) -> tuple[float | None, float | None]:
    """How much may have to be added to the clock of a span's host: it began after it was sent, and ended before it was
    heard of."""
    clock = span.get("clock")
    if clock is None:
        return None, None
    return span["began"] - clock, span["ended"] - clock - span.get("seconds", 0.0)


def _offsets(spans: Iterable[Span]) -> dict[str, float]:
    """What is to be added to each host's clock: what the narrowest bounds allow, and nothing where they allow that."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for span in spans:
        least, most = _bounds(span)
        if least is not None and most is not None:
            found[span["host"]].append((least, max(least, most)))
    return {host: _offset(bounds) for host, bounds in found.items()}


def _offset(bounds: Sequence[tuple[float, float]]) -> float:
    least, most = max(low for low, _ in bounds), min(high for _, high in bounds)
    if least > most:  # the clock was set in between: the narrowest single one
        least, most = min(bounds, key=lambda both: both[1] - both[0])
    return _within(0.0, least, most) if least <= 0.0 <= most else (least + most) / 2


def _within(value: float, least: float | None, most: float | None) -> float:
    if least is not None and value < least:
        return least
    if most is not None and value > most:
        return most
    return value


def _times(talk: _Talk, offsets: Mapping[str, float]) -> list[float]:
    """Times of an attempt's lines by the driver's clock, within it, and never going back."""
    offset = _within(offsets.get(talk.host, 0.0), talk.least, talk.most)
    latest = talk.began if talk.began is not None else float("-inf")
    times = []
    for at, _ in talk.lines:
        moment = latest if at is None else _within(at + offset, talk.began, talk.ended)
        latest = max(latest, moment)
        times.append(latest)
    known = [moment for moment in times if moment > float("-inf")]
    return [max(moment, known[0] if known else 0.0) for moment in times]


def _obey(
    talks: Sequence[_Talk], times: dict[Key, list[float]], needs: Mapping[str, Sequence[str]], ranks: Mapping[str, int]
) -> None:
    """Move what comes before its cause behind it: where an attempt has no span, as its driver was killed."""
    by_task: dict[str, list[_Talk]] = defaultdict(list)
    for talk in talks:
        by_task[talk.key[0]].append(talk)
    ends: dict[str, float] = {}
    for task in sorted(ranks, key=lambda name: ranks[name]):
        ends[task] = max((ends[need] for need in needs.get(task, ()) if need in ends), default=float("-inf"))
        for talk in by_task.get(task, ()):
            if talk.began is None:
                times[talk.key] = [max(at, ends[task]) for at in times[talk.key]]
        ends[task] = max([ends[task], *(times[talk.key][-1] for talk in by_task.get(task, ()))])


def _causes_first(wanted: Iterable[str], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Tasks, and all that they come from, each after what it needs."""
    order: dict[str, None] = {}
    entered: set[str] = set()
    waiting = [(task, False) for task in wanted]
    while waiting:
        task, ready = waiting.pop()
        if ready:
            order[task] = None
        elif task not in entered:
            entered.add(task)
            waiting.append((task, True))
            waiting += [(need, False) for need in needs.get(task, ())]
    return list(order)
