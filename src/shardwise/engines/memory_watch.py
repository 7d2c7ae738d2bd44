"""Watches from outside that workers of this host stay below their ceilings, and stops those that do not."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from shardwise.compute.footprint import Footprint, Relatives
from shardwise.engines.process import WorkerProcess

GROWTH = 4 << 30
"""Bytes per second that a worker is taken to grow by at most: it is looked at again before it could be too large."""

SHORTEST, LONGEST = 0.002, 0.05
"""Seconds between two looks at a worker."""

RELATIVES_SECONDS = 0.02
"""How often processes that functions started are looked for: one that grows fast should be known when it does."""

MOST_OF_A_CORE = 0.1
"""Looking takes no more of a core than this, however long one look takes."""


@dataclass(slots=True)
class _Watched:
    worker: WorkerProcess
    ceiling: int
    footprint: Footprint
    next_look: float = 0.0


class MemoryWatch:
    """A thread of the driver that measures workers with an attempt under way, the fuller the more often.

    It needs nothing from the worker: neither its interpreter's lock nor a thread of it that gets to run.
    """

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._relatives = Relatives()
        self._next_search = 0.0
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self, slot: int, worker: WorkerProcess, ceiling: int) -> None:
        """Watch the worker of a slot from now on."""
        with self._lock:
            self._watched[slot] = _Watched(worker, ceiling, Footprint(worker.pid))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shardwise-memory", daemon=True)
            self._thread.start()
        self._changed.set()

    def end(self, slot: int) -> None:
        """Watch it no more: when this returns, nothing is done to it."""
        with self._lock:
            self._watched.pop(slot, None)

    def close(self) -> None:
        """End the thread. Twice is harmless."""
        self._closed = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._changed.clear()
            with self._lock:
                wait = self._look_at_all()
            self._changed.wait(wait)

    def _look_at_all(self) -> float | None:
        """Look at those that are due; seconds until the next is, or None where there is none."""
        now = time.monotonic()
        if self._watched and now >= self._next_search:
            began = time.thread_time()
            self._relatives.find(watched.footprint for watched in self._watched.values())
            took = time.thread_time() - began  # not while others had the core: they may be growing
            self._next_search = now + max(RELATIVES_SECONDS, took / MOST_OF_A_CORE)
        for slot, watched in list(self._watched.items()):
            if watched.next_look <= now:
                self._look_at(slot, watched)
        if not self._watched:
            return None
        return max(0.0, min(watched.next_look for watched in self._watched.values()) - time.monotonic())

    def _look_at(self, slot: int, watched: _Watched) -> None:
        began = time.thread_time()
        held = watched.footprint.held(watched.ceiling)
        if held > watched.ceiling:
            watched.worker.stop_for_memory(held, watched.ceiling)
            del self._watched[slot]
            return
        took = time.thread_time() - began
        pause = min(LONGEST, max(SHORTEST, (watched.ceiling - held) / GROWTH))
        watched.next_look = time.monotonic() + max(pause, took / MOST_OF_A_CORE)
