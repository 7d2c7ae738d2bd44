"""Workers that were stopped (SIGSTOP, a debugger) and will not go on by themselves.

A worker that is busy says once a second that it lives, but silence proves nothing: a long call in C that holds the
interpreter's lock is silent too, and does its work. What the kernel says of the process is certain.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

PATIENCE_SECONDS = 5.0
"""A worker that is stopped for so long is given up."""

LOOK_SECONDS = 1.0
"""How often the states of the workers are looked at."""

GAP_SECONDS = 3.0
"""Whoever was not looking for so long was stopped too, perhaps together with the workers, and begins anew."""


class StoppedWatch:
    """Finds processes that stay stopped. Knows no clock: it is told the time.

    Examples
    --------
    >>> watch = StoppedWatch(stopped=lambda pid: pid == 7)
    >>> [watch.look(float(now), [6, 7]) for now in (0, 1, 3, 5, 6)]
    [[], [], [], [7], [7]]
    """

    def __init__(self, stopped: Callable[[int], bool] | None = None) -> None:
        self._is_stopped = is_stopped if stopped is None else stopped
        self._since: dict[int, float] = {}
        self._looked_at = float("-inf")

    def due(self, now: float) -> float:
        """Seconds until the next look."""
        return max(0.0, self._looked_at + LOOK_SECONDS - now)

    def look(self, now: float, pids: Iterable[int]) -> list[int]:
        """Those of some processes that have been stopped, at every look, for as long as patience lasts."""
        before = self._since if now - self._looked_at < GAP_SECONDS else {}
        self._since = {pid: before.get(pid, now) for pid in pids if self._is_stopped(pid)}
        self._looked_at = now
        return [pid for pid, since in self._since.items() if now - since >= PATIENCE_SECONDS]


def is_stopped(pid: int) -> bool:
    """Whether the kernel holds a process of this host stopped."""
    if sys.platform != "linux":
        import psutil

        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        except psutil.NoSuchProcess:
            return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[0]
    except OSError:  # it has ended, which is noticed elsewhere
        return False
    return state in (b"T", b"t")
