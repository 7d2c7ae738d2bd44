"""What a run makes the driver's own process hold."""

from __future__ import annotations

from typing import Any

from shardwise.compute.machine import forget_peak_memory, peak_memory, resident_memory

GROWN = 1.1
"""A peak is news once it is so many times the one that was told last."""


class DriverMemory:
    """Looks at this process from now on: what it held at most before is the person's, and forgotten where it can be."""

    def __init__(self) -> None:
        forget_peak_memory()
        self._before = resident_memory()
        self._old_peak = peak_memory()
        self._told = 0

    def told(self, at_last: bool = False) -> dict[str, Any] | None:
        """What is worth a line of the journal: bytes held before the run, and the most since. None: that is known."""
        most = peak_memory()
        if most <= self._old_peak:  # of what came before the run: what it held since is not known better than by now
            most = max(self._before, resident_memory())
        if most < GROWN * self._told and not (at_last and most > self._told):
            return None
        self._told = most
        return {"before": self._before, "peak": most}
