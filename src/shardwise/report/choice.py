"""Which of very many spans a report shows, and how: a timeline of a million tasks would drown whoever opens it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from shardwise.report import timing
from shardwise.run.spans import Span

MOST_SPANS = 2_000
SPAN_BYTES = 220_000
"""Spans take no more as JSON."""

DIGITS = 5
"""Times of spans and workers are told to ten microseconds, all of them, so that what was apart stays so."""


def chosen(spans: Sequence[Span]) -> list[Span]:
    """At most ``MOST_SPANS``, and no more than fit: those of tasks that were tried several times, those that took
    longest, and an even choice of the rest."""
    sample = spans[:: max(1, len(spans) // 200)]
    room = min(MOST_SPANS, int(SPAN_BYTES / max(1.0, _size(sample) / max(1, len(sample)))))
    if len(spans) <= room:
        return list(spans)
    again = {span["task"] for span in spans if span["how"] != "committed" or span["backup"]}
    kept = set(evenly([n for n, span in enumerate(spans) if span["task"] in again], room // 2))
    kept.update(sorted(range(len(spans)), key=lambda n: -timing.duration(spans[n]))[: room // 4])
    kept.update(evenly([n for n in range(len(spans)) if n not in kept], room - len(kept)))
    return [spans[n] for n in sorted(kept)]


def evenly(numbers: Sequence[int], most: int) -> list[int]:
    """So many of them, evenly spaced.

    Examples
    --------
    >>> evenly(range(10), 4)
    [0, 2, 5, 7]
    """
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[n * len(numbers) // most] for n in range(most)]


def _size(values: Any) -> int:
    return sum(len(json.dumps(shown_span(value))) for value in values)


_TIMES = ("began", "ended", "read", "compute", "write", "seconds")


def shown_span(span: Span) -> Span:
    """A span as the report tells it: without what only sums are made of."""
    made = {name: value for name, value in span.items() if name not in ("clock", "sent", "received", "stored")}
    return made | {name: round(span[name], DIGITS) for name in _TIMES}
