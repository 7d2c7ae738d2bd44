"""One slot in this very process."""

from __future__ import annotations

import hashlib
import os
import socket
import threading

from shardwise import records
from shardwise.compute.connection import forget_connection
from shardwise.compute.execute import PickledProgram, execute
from shardwise.compute.machine import usable_memory
from shardwise.compute.task import TaskSpec
from shardwise.engines.protocol import EngineEvent, Finished, Progress, Reach, SlotDown, SlotUp, Want
from shardwise.errors import InternalError


class InlineEngine:
    """Executes attempts in ``wait``, one at a time, with all the native threads that a task's spec allows.

    Notes
    -----
    While an attempt is under way nothing else is: ``kill`` cannot be called, so time-outs and the memory watch are
    not enforced, and a function that crashes takes the driver with it.

    Ctrl-C during an attempt is what the process's handler for SIGINT makes of it. A handler that takes a note lets the
    attempt end, and ``wait`` returns its outcome. One that raises (Python's own does) ends the attempt, and the
    KeyboardInterrupt comes out of ``wait``; the next ``wait`` reports the slot as down (``killed``) and a fresh one
    as up. Elsewhere ``wait`` raises nothing.
    """

    name = "inline"
    reach: Reach = "process"

    def __init__(self) -> None:
        self._want = Want(1)
        self._slot = -1
        self._task: bytes | None = None
        self._programs: dict[str, PickledProgram] = {}
        self._events: list[EngineEvent] = []
        self._woken = threading.Event()

    def open(self, want: Want) -> None:
        """Lend the one slot, whatever number is wanted."""
        self._want = want
        self._lend()

    def put(self, blob: bytes) -> str:
        """Keep a program."""
        ref = hashlib.blake2b(blob, digest_size=20).hexdigest()
        self._programs.setdefault(ref, PickledProgram(blob))
        return ref

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Keep the task for ``wait``. Nobody watches its memory."""
        if slot == self._slot:
            self._task = task

    def kill(self, slot: int) -> None:
        """Forget the task, which has not begun."""
        if slot == self._slot:
            self._renew("killed by the driver before it began")

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Execute the task that was sent, if any; else there is nothing to wait for but the time."""
        if self._task is not None and not self._events:
            self._execute(self._task)
        if not self._events and timeout is None:
            raise InternalError("the inline engine was to wait for a task that nobody had sent")
        if not self._events and timeout:
            self._woken.wait(timeout)
        self._woken.clear()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        """Have ``wait`` return soon; an attempt under way ends first."""
        self._woken.set()

    def close(self) -> None:
        """Give the slot back."""
        self._slot, self._task = -1, None
        self._programs.clear()
        self._events.clear()
        forget_connection()

    def _execute(self, task: bytes) -> None:
        spec = records.from_json(TaskSpec, task)
        latest = Progress(self._slot, spec.attempt, 0, 0, 0)

        def note(rows: int, size: int, memory: int) -> None:
            nonlocal latest
            latest = Progress(self._slot, spec.attempt, rows, size, memory)

        try:
            outcome = execute(spec, self._programs[spec.program], note, interruptible=True)
            payload = records.to_json(outcome).encode("utf-8", "surrogatepass")
        except KeyboardInterrupt:
            self._renew("interrupted by Ctrl-C")
            raise
        self._task = None
        self._events += [*([latest] if latest.memory else []), Finished(self._slot, payload)]

    def _renew(self, reason: str) -> None:
        self._task = None
        self._events.append(SlotDown(self._slot, "killed", reason))
        self._lend()

    def _lend(self) -> None:
        self._slot += 1
        memory = self._want.memory or usable_memory()
        self._events.append(SlotUp(self._slot, socket.gethostname(), os.getpid(), memory))
