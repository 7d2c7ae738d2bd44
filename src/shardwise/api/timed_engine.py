"""An engine under a clock: when its workers were ready, and when each task was sent and had ended.

It lends the slots of another engine to several runs, one after another: workers stay, so that a run can be measured
apart from their start. All of them are there before the first task is sent, each with one thread for native libraries,
so that twice the workers are twice the means.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shardwise.compute.processor import Processor, processor_seconds
from shardwise.engines.protocol import Engine, EngineEvent, Finished, SlotDown, SlotUp, Want
from shardwise.engines.registry import make_engine
from shardwise.errors import EngineError, UsageError

if TYPE_CHECKING:
    from shardwise.engines.registry import Place

PATIENCE_SECONDS = 120.0
"""Workers that are not there after so long will not come."""


@dataclass(slots=True)
class Try:
    """A task that was sent: of which stage, when, when it had ended, and what it said of itself."""

    stage: str
    sent: float
    ended: float = 0.0
    peak: int = 0
    size: int = 0


class TimedEngine:
    """An engine whose workers stay between runs, and whose tasks are timed.

    Parameters
    ----------
    place : str, Engine, Executor or ParallelBackendBase
        Whose slots are lent.
    workers : int
        How many slots there have to be before anything begins.

    Attributes
    ----------
    start : float
        Seconds until all workers were ready.
    tries : list of Try
        Tasks since the last ``forget``.
    """

    def __init__(self, place: Place, workers: int) -> None:
        self._engine: Engine = make_engine(place)
        self._workers = workers
        self._slots: dict[int, SlotUp] = {}
        self._again: list[EngineEvent] = []
        self._running: dict[int, Try] = {}
        self._opened = False
        self.name = self._engine.name
        self.reach = getattr(self._engine, "reach", "network")
        self.start = 0.0
        self.tries: list[Try] = []

    def forget(self) -> None:
        """Forget the tasks so far."""
        self.tries = []

    @property
    def is_inline(self) -> bool:
        """Whether there is one slot, in this process, and a worker is a thread."""
        return self.reach == "process"

    def processor_seconds(self) -> Processor | None:
        """What its workers have had of processors so far; None where they are on other hosts."""
        if self.is_inline:
            return processor_seconds()
        here = socket.gethostname()
        if self.reach != "host" or any(up.host != here for up in self._slots.values()):
            return None
        return sum((processor_seconds(up.pid) for up in self._slots.values()), Processor())

    # --- as an engine ------------------------------------------------------------------------------------------------

    def open(self, want: Want) -> None:
        """Open the engine, and wait for all of its workers; a second time they are there."""
        if not self._opened:
            if not self.is_inline and want.slots < self._workers:
                raise UsageError(
                    f"only {want.slots} of {self._workers} workers fit in the memory allowed", "allow more memory"
                )
            began = time.monotonic()
            self._opened = True
            threads = want.threads if self.is_inline else 1
            self._engine.open(replace(want, threads=threads))
            self._wait_for_all(began + PATIENCE_SECONDS)
            self.start = time.monotonic() - began
        self._again = list(self._slots.values())

    def _wait_for_all(self, until: float) -> None:
        wanted = 1 if self.is_inline else self._workers
        while len(self._slots) < wanted:
            left = until - time.monotonic()
            if left <= 0:
                raise EngineError(
                    f"{self.name} lent {len(self._slots)} of {wanted} slots within {PATIENCE_SECONDS:.0f} s",
                    "give fewer --workers, or free some there",
                )
            self._note(self._engine.wait(left))

    def put(self, blob: bytes) -> str:
        """Pass on."""
        return self._engine.put(blob)

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Pass on, with one thread, and note when."""
        spec = json.loads(task)
        if not self.is_inline:
            spec["threads"] = 1
            task = json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode()
        attempt = Try(spec["stage"], time.monotonic())
        self._running[slot] = attempt
        self.tries.append(attempt)
        self._engine.send(slot, task, memory)

    def kill(self, slot: int) -> None:
        """Pass on."""
        self._engine.kill(slot)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Pass on what happened; first of all, in a new run, which slots there are."""
        if self._again:
            events, self._again = self._again, []
            return events
        events = self._engine.wait(timeout)
        self._note(events)
        return events

    def wake(self) -> None:
        """Pass on."""
        self._engine.wake()

    def close(self) -> None:
        """A run is over: workers stay. ``end`` sends them away."""

    def end(self) -> None:
        """Take all slots back."""
        self._engine.close()

    def _note(self, events: list[EngineEvent]) -> None:
        now = time.monotonic()
        for event in events:
            match event:
                case SlotUp(slot):
                    self._slots[slot] = event
                case SlotDown(slot):
                    self._slots.pop(slot, None)
                    self._ended(slot, now)
                case Finished(slot, outcome):
                    attempt = self._ended(slot, now)
                    metrics = json.loads(outcome).get("metrics") or {}
                    if attempt is not None:
                        attempt.peak, attempt.size = metrics.get("peak_memory", 0), metrics.get("bytes_out", 0)

    def _ended(self, slot: int, now: float) -> Try | None:
        attempt = self._running.pop(slot, None)
        if attempt is not None:
            attempt.ended = now
        return attempt


@contextlib.contextmanager
def timed(place: Place, workers: int) -> Iterator[TimedEngine]:
    """An engine under a clock, closed in the end."""
    engine = TimedEngine(place, workers)
    try:
        yield engine
    finally:
        engine.end()
