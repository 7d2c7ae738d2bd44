"""When a line was printed, in front of it: how the logs in a run directory are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

Said = list[tuple[float | None, str]]
"""Lines of a log, and when each was printed, by the clock of its worker's host, where that is known."""

_LENGTH = len("2031-05-04T10:11:12.123456Z")


def stamped(lines: Sequence[str], times: Sequence[float]) -> Iterator[str]:
    """Lines with the moments in front of them; as they are, where nobody knows these.

    Examples
    --------
    >>> list(stamped(["hello"], [1935655872.25]))
    ['2031-05-04T10:11:12.250000Z hello']
    """
    if len(times) != len(lines):
        return iter(lines)
    return (f"{_stamp(at)} {line}" for line, at in zip(lines, times, strict=True))


def unstamped(line: str) -> tuple[float | None, str]:
    """When a line was printed, in seconds since 1970, and the line itself.

    Examples
    --------
    >>> unstamped("2031-05-04T10:11:12.250000Z hello"), unstamped("of an earlier version")
    ((1935655872.25, 'hello'), (None, 'of an earlier version'))
    """
    if line[_LENGTH : _LENGTH + 1] == " " and line[_LENGTH - 1] == "Z":
        try:
            return datetime.fromisoformat(line[:_LENGTH]).timestamp(), line[_LENGTH + 1 :]
        except ValueError:
            return None, line
    return None, line


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
