"""How long a process has run on a processor, and how long it has waited for its turn there."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Processor:
    """Seconds of all threads of some processes: running, and ready to run while others did."""

    ran: float = 0.0
    queued: float = 0.0

    def __add__(self, other: Processor) -> Processor:
        return Processor(self.ran + other.ran, self.queued + other.queued)

    def __sub__(self, other: Processor) -> Processor:
        return Processor(max(0.0, self.ran - other.ran), max(0.0, self.queued - other.queued))

    def busy(self, seconds: float) -> float:
        """Share of ``seconds`` that would have been spent running, had no other process been in the way.

        Examples
        --------
        >>> Processor(ran=2.0, queued=6.0).busy(8.0), Processor(ran=0.1, queued=6.0).busy(8.0)
        (1.0, 0.05)
        """
        return min(1.0, self.ran / max(seconds - self.queued, self.ran, 1e-9))


def processor_seconds(pid: int | None = None) -> Processor:
    """What a process, this one unless a number is given, has had of processors so far; nothing where it is gone.

    Where the kernel does not tell how long it waited (macOS), and of threads that have ended, only the first part is
    known.

    Examples
    --------
    >>> processor_seconds().ran > 0
    True
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        ran = sum(psutil.Process(pid).cpu_times()[:4])  # its own, and of its children that were waited for
        return Processor(float(ran), _queued(pid or os.getpid()))
    return Processor()


def _queued(pid: int) -> float:
    """Seconds that living threads spent on the run queue of a core (see proc(5), ``schedstat``)."""
    nanoseconds = 0
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError, IndexError):
            nanoseconds += int((thread / "schedstat").read_bytes().split()[1])
    return nanoseconds / 1e9
