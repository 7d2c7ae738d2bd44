"""Numbers of a document as words. What is missing, or is no number, is a dash: a page is drawn whatever a run says."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from shardwise.sizes import format_count, format_duration, format_percent, format_rate, format_size

DASH = "–"


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def items(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def fields(value: Any) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [each for each in items(value) if isinstance(each, dict)]


def size(value: Any) -> str:
    """Bytes."""
    known = number(value)
    return DASH if known is None else format_size(known)


def count(value: Any) -> str:
    """A whole number."""
    known = number(value)
    return DASH if known is None else format_count(round(known))


def seconds(value: Any) -> str:
    """A duration."""
    known = number(value)
    if known is None:
        return DASH
    return f"-{format_duration(-known)}" if known < 0 else format_duration(known)


def share(value: Any) -> str:
    """A part of one."""
    known = number(value)
    return DASH if known is None else format_percent(known)


def ratio(value: Any) -> str:
    """How many times."""
    known = number(value)
    return DASH if known is None else f"{known:.2f} ×"


def rate(amount: Any, time: Any) -> str:
    """Bytes per second."""
    known, during = number(amount), number(time)
    return DASH if known is None or not during else format_rate(known / during)


def moment(value: Any) -> str:
    """Seconds since 1970 as a date and time of this place."""
    known = number(value)
    if known is None:
        return DASH
    try:
        return f"{datetime.fromtimestamp(known, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (OverflowError, OSError, ValueError):
        return DASH


def over(part: Any, whole: Any) -> float | None:
    """One number divided by another, where that can be done."""
    above, below = number(part), number(whole)
    return None if above is None or not below else above / below
