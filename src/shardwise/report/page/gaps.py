"""A run that was interrupted and went on days later is drawn as if it had gone on at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shardwise.report.page import pen

Document = dict[str, Any]
Gap = tuple[float, float]

LEAST_SECONDS = 1.0
"""A shorter time without a driver is left as it is."""


def gaps_of(document: Document) -> list[Gap]:
    """When nobody worked on the run: from the end of a driver to the beginning of the next.

    Examples
    --------
    >>> gaps_of({"sessions": [[0.0, 5.0], [100.0, 130.0], [130.2, 140.0]]})
    [(5.0, 100.0)]
    """
    sessions = sorted(
        (began, ended)
        for each in pen.items(document.get("sessions"))
        if isinstance(each, list) and len(each) == 2
        for began, ended in [(pen.number(each[0]), pen.number(each[1]))]
        if began is not None and ended is not None
    )
    found: list[Gap] = []
    until = sessions[0][1] if sessions else 0.0
    for began, ended in sessions:
        if began - until >= LEAST_SECONDS:
            found.append((until, began))
        until = max(until, ended)
    return found


def without_gaps(document: Document) -> Document:
    """The same document with all times moved together over its gaps."""
    gaps = gaps_of(document)
    if not gaps:
        return document
    points = [point for point in pen.items(document.get("throughput")) if not _is_inside(point, gaps)]
    return {
        **document,
        "spans": [_moved(span, ("began", "ended"), gaps) for span in pen.records(document.get("spans"))],
        "workers": [_moved(each, ("asked", "up", "down"), gaps) for each in pen.records(document.get("workers"))],
        "throughput": [[_earlier(point[0], gaps), *point[1:]] for point in points],
    }


def _moved(said: dict[str, Any], names: Sequence[str], gaps: Sequence[Gap]) -> dict[str, Any]:
    return said | {name: _earlier(said[name], gaps) for name in names if name in said}


def _earlier(moment: Any, gaps: Sequence[Gap]) -> Any:
    known = pen.number(moment)
    if known is None:
        return moment
    return known - sum(min(max(0.0, known - began), ended - began) for began, ended in gaps)


def _is_inside(point: Any, gaps: Sequence[Gap]) -> bool:
    known = pen.number(point[0]) if isinstance(point, list) and point else None
    return known is None or any(began < known < ended for began, ended in gaps)
