"""Slots that are processes of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import selectors
import time

from shardwise import records
from shardwise.compute import wire
from shardwise.engines.bell import Bell
from shardwise.engines.children import ForkServer, fork_server, module_path
from shardwise.engines.memory_watch import MemoryWatch
from shardwise.engines.process import WorkerProcess
from shardwise.engines.protocol import EngineEvent, Finished, Progress, Reach, SlotDown, SlotUp, Want
from shardwise.engines.stopped import StoppedWatch
from shardwise.errors import EngineError

STILLBORN = 3
"""So many workers in a row that die before they are ready mean that none ever will be."""

BELL = -1
"""Stands for the bell where a slot's number would stand for its worker."""

LOOK_SECONDS = 0.2
"""How often deaths are looked for where the kernel does not announce them."""


class LocalEngine:
    """Lends slots that are worker processes of this machine.

    Parameters
    ----------
    workers : int, optional
        How many, whatever ``open`` wants.
    hash_seed : str, optional
        What decides the order of sets of strings in workers, to see whether answers depend on it.

    Notes
    -----
    `open`, `wait` and `close` belong in one thread that lives as long as the engine: the kernel ends workers together
    with the thread that started them. After ``kill(slot)`` nothing but ``SlotDown`` comes from that slot, even if an
    attempt finished just before.
    """

    name = "local"
    reach: Reach = "host"

    def __init__(self, workers: int | None = None, hash_seed: str | None = None) -> None:
        self.workers = workers
        self._hash_seed = hash_seed
        self._bell: Bell | None = None
        self._rung = False
        self._want = Want(0)
        self._slots: dict[int, WorkerProcess] = {}
        self._next_slot = 0
        self._programs: list[tuple[bytes, bytes]] = []
        self._refs: set[str] = set()
        self._known: dict[int, int] = {}  # how many of the programs a slot has been sent
        self._selector: selectors.BaseSelector | None = None
        self._events: list[EngineEvent] = []
        self._stillborn = 0
        self._memory = MemoryWatch()
        self._stopped = StoppedWatch()
        self._server: ForkServer | None = None

    def open(self, want: Want) -> None:
        """Start the workers, all at once. An engine that was closed may be opened again."""
        self._want = want
        self._memory = MemoryWatch()
        self._selector = selectors.DefaultSelector()
        self._bell = Bell()
        self._selector.register(self._bell, selectors.EVENT_READ, BELL)
        for _ in range(self._count):
            self._start()

    def put(self, blob: bytes, path: tuple[str, ...] = ()) -> str:
        """Keep a program; each worker gets it before the next task it is sent. ``path``: where its modules are looked
        for first, if not where this process finds its own."""
        ref = hashlib.blake2b(blob, digest_size=20).hexdigest()
        if ref not in self._refs:
            self._refs.add(ref)
            parcel = wire.Parcel(ref, (*path, *module_path()))
            self._programs.append((records.to_json(parcel).encode() + b"\n", blob))
        return ref

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Hand a task to a slot's worker, after the programs that it has not got."""
        worker = self._slots.get(slot)
        if worker is None or worker.killed:
            return
        for parcel, blob in self._programs[self._known[slot] :]:
            worker.post(wire.PROGRAM, parcel, blob)
        self._known[slot] = len(self._programs)
        if memory is not None:
            self._memory.begin(slot, worker, memory)
        worker.post(wire.TASK, task)
        self._watch(slot, worker)

    def kill(self, slot: int) -> None:
        """Kill a slot's worker, and the processes that it started."""
        if worker := self._slots.get(slot):
            worker.kill()

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Block until something happened or ``timeout`` seconds are over.

        Raises
        ------
        EngineError
            Workers die before they are ready, or the operating system refuses to start one.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._selector is not None and not self._events:
            left = None if deadline is None else deadline - time.monotonic()
            self._look(left)
            if self._rung or (left is not None and left <= 0):
                break
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        """Have ``wait`` return soon."""
        if self._bell is not None:
            self._bell.ring()

    def close(self) -> None:
        """Kill and bury all workers."""
        if self._selector is None or self._bell is None:
            return
        for worker in self._slots.values():
            worker.kill()
        for slot in list(self._slots):
            self._bury(slot)
        if self._server is not None:
            self._server.close()
        self._memory.close()
        self._selector.close()
        self._selector = None
        self._bell.close()
        self._events.clear()
        self._programs.clear()
        self._refs.clear()

    # --- inside ----------------------------------------------------------------------------------------------------

    @property
    def _count(self) -> int:
        return self.workers or self._want.slots

    def _start(self) -> None:
        assert self._selector is not None
        if self._server is None or self._server.has_ended:
            self._server = fork_server(self._want.threads, self._hash_seed)
        worker = WorkerProcess(self._want.threads, self._server, self._hash_seed)
        slot, self._next_slot = self._next_slot, self._next_slot + 1
        self._slots[slot] = worker
        self._known[slot] = 0
        self._selector.register(worker.socket, selectors.EVENT_READ, slot)
        if worker.death is not None:
            self._selector.register(worker.death, selectors.EVENT_READ, slot)

    def _watch(self, slot: int, worker: WorkerProcess) -> None:
        """Be woken when the socket takes more only while there is more to send."""
        assert self._selector is not None
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.has_post else 0)
        if self._selector.get_key(worker.socket).events != events:
            self._selector.modify(worker.socket, events, slot)

    def _look(self, timeout: float | None) -> None:
        """Take what arrives within ``timeout``, send what waits, and bury the dead."""
        assert self._selector is not None
        self._give_up_stopped()
        blind = any(worker.death is None for worker in self._slots.values())
        longest = LOOK_SECONDS if blind else self._stopped.due(time.monotonic())
        timeout = longest if timeout is None else min(timeout, longest)
        ready = {key.data for key, _ in self._selector.select(max(0.0, timeout))}
        self._rung = BELL in ready
        if self._rung and self._bell is not None:
            self._bell.quiet()
            ready.discard(BELL)
        for slot in sorted(self._slots if blind and not ready else ready):
            worker = self._slots[slot]
            worker.flush()
            self._hear(slot, worker, worker.receive())
            if worker.is_dead():
                self._hear(slot, worker, worker.receive_all())
                self._replace(slot)
            else:
                self._watch(slot, worker)

    def _give_up_stopped(self) -> None:
        """Kill workers that somebody stopped, so that their tasks are done by others."""
        now = time.monotonic()
        if self._stopped.due(now) > 0:
            return
        workers = {worker.pid: worker for worker in self._slots.values() if not worker.killed}
        for pid in self._stopped.look(now, workers):
            workers[pid].give_up("stopped answering: it was stopped (SIGSTOP or a debugger) and did not go on")

    def _hear(self, slot: int, worker: WorkerProcess, messages: list[tuple[int, bytes]]) -> None:
        for kind, payload in messages:
            if kind == wire.HELLO:
                worker.greeted = True
                self._stillborn = 0
            if kind == wire.OUTGREW:
                worker.outgrew = worker.outgrew or wire.OUTGREW_PAYLOAD.unpack(payload)
            elif not worker.killed:
                self._events.append(self._translate(slot, kind, payload))

    def _translate(self, slot: int, kind: int, payload: bytes) -> EngineEvent:
        if kind == wire.OUTCOME:
            self._memory.end(slot)
            return Finished(slot, payload)
        if kind == wire.PROGRESS:
            return Progress(slot, *wire.PROGRESS_PAYLOAD.unpack(payload))
        hello = records.from_json(wire.Hello, payload)
        return SlotUp(slot, hello.host, hello.pid, self._want.memory or hello.memory // self._count)

    def _replace(self, slot: int) -> None:
        """Bury a dead worker, say so, and start another."""
        worker = self._slots[slot]
        kind, reason = self._bury(slot)
        if worker.greeted:
            used = worker.outgrew[0] if worker.outgrew and kind == "memory" else 0
            self._events.append(SlotDown(slot, kind, reason, used, worker.last_call))
        elif not worker.starter_died:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise EngineError(
                    f"{self._stillborn} workers in a row died before they were ready: {reason}",
                    "run `python -m shardwise.compute.worker` by hand to see why, or use --engine inline",
                )
        self._start()

    def _bury(self, slot: int) -> tuple[str, str]:
        assert self._selector is not None
        self._memory.end(slot)  # before its number may be another process's
        worker = self._slots.pop(slot)
        del self._known[slot]
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.socket)
        if worker.death is not None:
            self._selector.unregister(worker.death)
        return worker.bury()
