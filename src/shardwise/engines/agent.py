"""What lives in a slot that a cluster lends: it starts the worker process there, feeds it, and speaks for it.

It is the local engine with one worker, and a letter box: so deaths, time-outs, ceilings, last calls and what is printed
are the same on every engine.
"""

from __future__ import annotations

import mmap
import os
import socket
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shardwise import records
from shardwise.compute.task import TaskSpec
from shardwise.engines import mail
from shardwise.engines.handshake import about_this_host, answer_proof, lacks
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import EngineEvent, Finished, Progress, Returned, SlotDown, SlotUp, Want
from shardwise.engines.shipping import SHIP_OURS
from shardwise.engines.waits import Waits
from shardwise.errors import EngineError
from shardwise.storage import Trusted

REST_SECONDS = 0.25
"""After an outcome the next task is likely on its way: it asks for news, too, which saves a message for each task.
Where none comes for so long, the agent is asked for news by itself."""

BRIEF_SECONDS = 0.02
"""And so long where a task has ended while another one is under way: what it is sent next is on its way, too."""

BEAT_SECONDS = 1.0
"""How often an agent looks whether it is still wanted, and says how far its task is."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an agent must know before it starts."""

    threads: int = 1
    memory: int | None = None
    poll_seconds: float = Waits().poll
    orphan_seconds: float = Waits().orphan
    root: str = ""  # the run directory, where hosts must prove that they use it, and the driver's nonce
    nonce: str = ""
    access: Trusted | None = None  # what it takes to open the run directory
    data: tuple[str, int] | None = None  # a file that the host must have, and its bytes
    gpus: int = 0  # that the slot holds


class Agent:
    """One slot on the host that lends it.

    `run` belongs in a thread that lives as long as the worker; everything else may be called from any thread.

    Parameters
    ----------
    terms : Terms
        From the driver.
    """

    def __init__(self, terms: Terms) -> None:
        self.id = uuid.uuid4().hex
        self.outbox = mail.Outbox()
        self.poll_seconds = terms.poll_seconds
        self._inbox = mail.Inbox()
        self._terms = terms
        self._orders: list[bytes] = []
        self._lock = threading.Lock()
        self._called = threading.Event()
        self._engine = LocalEngine(1)
        self._polled_at = time.monotonic()
        self._closing = False
        self._ended = threading.Event()
        self._programs: dict[str, _Kept | None] = {}  # None: asked for
        self._tasks: deque[tuple[bytes, int | None]] = deque()  # that wait for programs, or for the one under way
        self._slot: int | None = None  # the worker's number, while it is there
        self._busy = False
        self._obeyed = 0  # orders so far
        self._progress: Progress | None = None  # the last one, not told yet
        self._told_at = 0.0

    # --- any thread ------------------------------------------------------------------------------------------------

    def post(self, number: int, messages: list[bytes]) -> None:
        """Take orders, in pieces that the driver numbers."""
        orders = self._inbox.take(number, messages)
        with self._lock:
            self._orders += orders
            self._ring()

    def poll(self, seen: int) -> tuple[int, list[bytes]]:
        """News after those that were ``seen``, and the number of the last; waits for some."""
        self.touch()
        news = self.outbox.after(seen, self.poll_seconds)
        self.touch()
        return news

    def touch(self) -> None:
        """The driver has just shown that it lives."""
        self._polled_at = time.monotonic()
        self._called.set()

    def close(self) -> None:
        """End soon."""
        with self._lock:
            self._closing = True
            self._ring()

    def has_ended(self, seen: int) -> bool:
        """Whether it has ended, and all that it said has been ``seen``."""
        return self._ended.is_set() and not self.outbox.after(seen)[1]

    def _ring(self) -> None:
        self._called.set()
        self._engine.wake()

    # --- the thread of the worker ----------------------------------------------------------------------------------

    def run(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Lend the slot until the driver closes it or is gone, or ``wanted`` says no. No worker is left then."""
        engine = self._engine
        try:
            self.outbox.put(mail.write("hello", **self._greeting()))
            while not self._called.wait(BEAT_SECONDS) and self._goes_on(wanted):  # no worker for a driver that is gone
                pass
            if self._goes_on(wanted):
                engine.open(Want(1, self._terms.threads, self._terms.memory))
            while self._goes_on(wanted):
                self._obey(engine)
                for event in engine.wait(BEAT_SECONDS):
                    self._hear(event)
                self._tell_progress()
        except EngineError as error:
            self.outbox.put(mail.write("broken", message=f"{socket.gethostname()}: {error.message}", fix=error.fix))
        finally:
            engine.close()
            self._clear()
            self.outbox.put(mail.write("closed"))
            self._ended.set()

    def _greeting(self) -> dict[str, Any]:
        """What this host says of itself, and what it could prove."""
        terms = self._terms
        try:
            about = about_this_host()
        except Exception as error:  # what this host lacks, NumPy say
            fix = "install there what this driver has; " + SHIP_OURS
            raise EngineError(f"{type(error).__name__}: {error}", fix) from error
        if terms.access is not None:
            terms.access.remember()
        if terms.root:
            about["root_error"] = answer_proof(terms.root, terms.nonce, about)
        if terms.data is not None:
            about["data_error"] = lacks(*terms.data)
        return about

    def _hear(self, event: EngineEvent) -> None:
        """Pass an event on; how far a task is can wait, and is no news once it has ended by itself."""
        if isinstance(event, Progress):
            self._progress = event
            return
        if self._progress is not None and isinstance(event, SlotDown):
            self.outbox.put(written(self._progress))
        self._progress = None
        match event:
            case SlotUp(slot):
                self._slot = slot
                event = replace(event, gpus=self._terms.gpus)
            case SlotDown():
                self._slot, self._busy = None, False
                self._tasks.clear()
            case Finished():
                self._busy = False
                self._start()  # the driver need not be asked
        idle = not self._busy and not self._tasks
        self.outbox.put(written(event, self._obeyed if idle else 0))

    def _tell_progress(self) -> None:
        """Say how far a task is, once a beat: each message costs an exchange with the driver."""
        now = time.monotonic()
        if self._progress is not None and now - self._told_at >= BEAT_SECONDS:
            self.outbox.put(written(self._progress))
            self._progress, self._told_at = None, now

    def _goes_on(self, wanted: Callable[[], bool]) -> bool:
        lonely = time.monotonic() - self._polled_at > self._terms.orphan_seconds
        return not self._closing and not lonely and wanted()

    def _clear(self) -> None:
        for kept in self._programs.values():
            if kept is not None:
                kept.close()

    def _obey(self, engine: LocalEngine) -> None:
        with self._lock:
            orders, self._orders = self._orders, []
        for order in orders:
            self._obeyed += 1
            kind, fields, payload = mail.read(order)
            if kind == "task":
                if fields["slot"] == self._slot:
                    self._tasks.append((payload, fields["memory"]))
                self._ask_for({ref for ref in fields["programs"] if ref not in self._programs})
            elif kind == "kill":
                engine.kill(fields["slot"])
            elif kind == "recall":
                self._give_back(**fields)
            elif kind == "program":
                self._keep(engine, payload, **fields)
            elif kind == "look":
                self._look(engine, **fields)
            elif kind == "close":
                self.close()
        self._start()

    def _start(self) -> None:
        """Start the first task that waits, if none is under way and the programs named so far are all here."""
        if self._tasks and not self._busy and self._slot is not None and all(self._programs.values()):
            self._busy = True
            self._engine.send(self._slot, *self._tasks.popleft())

    def _give_back(self, slot: int, attempt: int) -> None:
        """Drop a task that has not begun."""
        kept = [(task, memory) for task, memory in self._tasks if records.from_json(TaskSpec, task).attempt != attempt]
        if slot == self._slot and len(kept) < len(self._tasks):
            self._tasks = deque(kept)
            self.outbox.put(written(Returned(slot, attempt)))

    def _ask_for(self, refs: set[str], found: bool = True) -> None:
        for ref in sorted(refs):
            self._programs[ref] = None
            self.outbox.put(mail.write("need", ref=ref, found=found))

    def _look(self, engine: LocalEngine, ref: str, file: str, path: list[str]) -> None:
        """Take a program from another agent of this host; from the driver, where that cannot be."""
        try:
            kept = _Kept.found(file)
            whole = engine.put(kept.view, tuple(path)) == ref
        except (OSError, ValueError):
            whole = False
        if whole:
            self._programs[ref] = kept
        else:
            self._ask_for({ref}, found=False)

    def _keep(self, engine: LocalEngine, blob: bytes, ref: str, path: list[str]) -> None:
        kept = self._programs[ref] = _Kept.of(blob)
        engine.put(kept.view, tuple(path))
        self.outbox.put(mail.write("have", ref=ref, file=kept.file))


class _Kept:
    """A program in an unnamed file that other agents of this host, and this user, can map, too."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.file = f"/proc/{os.getpid()}/fd/{descriptor}"
        self._map = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        self.view: Any = memoryview(self._map)

    @classmethod
    def of(cls, blob: bytes) -> _Kept:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("shardwise")
        else:  # it is found by no other process then, which are sent the bytes
            with tempfile.TemporaryFile(prefix="shardwise-") as file:
                descriptor = os.dup(file.fileno())
        with open(os.dup(descriptor), "wb") as target:
            target.write(blob)
        return cls(descriptor)

    @classmethod
    def found(cls, file: str) -> _Kept:
        return cls(os.open(file, os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        self.view.release()
        self._map.close()
        os.close(self._descriptor)


def written(event: EngineEvent, idle_after: int = 0) -> bytes:
    """An engine event as a message. ``idle_after``: so many orders there is nothing to do."""
    match event:
        case SlotUp(slot, host, pid, memory, gpus):
            return mail.write("up", slot=slot, host=host, pid=pid, memory=memory, gpus=gpus)
        case SlotDown(slot, kind, reason, used, call):
            return mail.write("down", call, slot=slot, kind=kind, reason=reason, used=used)
        case Progress(slot, attempt, rows, size, memory):
            return mail.write("progress", slot=slot, attempt=attempt, rows=rows, size=size, memory=memory)
        case Finished(slot, outcome):
            return mail.write("finished", outcome, slot=slot, idle_after=idle_after)
        case Returned(slot, attempt):
            return mail.write("returned", slot=slot, attempt=attempt)


def understood(kind: str, fields: dict[str, Any], payload: bytes, slot: int) -> EngineEvent:
    """The engine event that a message tells, with the number that the slot has for the driver."""
    fields = {**fields, "slot": slot}
    match kind:
        case "up":
            return SlotUp(**fields)
        case "down":
            return SlotDown(**fields, call=payload)
        case "progress":
            return Progress(**fields)
        case "returned":
            return Returned(**fields)
    return Finished(slot, payload)


def rest_after(news: list[bytes], posted: int) -> float:
    """Seconds that an agent with these news, after so many pieces of mail, need not be asked for more: mail that comes
    meanwhile travels along with the question.

    Examples
    --------
    >>> busy, idle = written(Finished(0, b"{}")), written(Finished(0, b"{}"), idle_after=3)
    >>> rest_after([busy, idle], posted=3) == REST_SECONDS
    True
    >>> rest_after([idle], posted=4) == rest_after([idle, busy], posted=3) == BRIEF_SECONDS
    True
    >>> rest_after([], posted=3)
    0.0
    """
    ends = [message for message in news if message.startswith(b'["finished"')]
    if not ends:
        return 0.0
    return REST_SECONDS if mail.read(ends[-1])[1]["idle_after"] == posted else BRIEF_SECONDS
