"""How long a process has wanted a processor: while it ran, and while it waited for its turn."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def wanted_seconds(pid: int | None = None) -> float:
    """Seconds that all threads of a process, of this one unless a number is given, have run or waited for a core.

    On a busy machine the second part is as much its own as the first. Where the kernel does not tell it (macOS), and of
    threads that have ended, only the first part is known; 0 for a process that is gone.

    Examples
    --------
    >>> wanted_seconds() > 0
    True
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        ran = sum(psutil.Process(pid).cpu_times()[:4])  # of itself, and of its children that were waited for
        return float(ran) + _queued(pid or os.getpid())
    return 0.0


def _queued(pid: int) -> float:
    """Seconds that living threads spent on the run queue of a core (see proc(5), ``schedstat``)."""
    nanoseconds = 0
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError, IndexError):
            nanoseconds += int((thread / "schedstat").read_bytes().split()[1])
    return nanoseconds / 1e9
