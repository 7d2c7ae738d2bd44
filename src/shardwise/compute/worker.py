"""The process that executes attempts: ``python -m shardwise.compute.worker SOCKET PARENT [CALLS]``.

It is started as a fresh interpreter by whoever lends the slot, or forked by one (``fork_server.py``), gets one end of a
socket, and dies with its starter: the kernel kills it when the parent ends (Linux), a thread notices the end of the
socket, and looks at the parent's number once a second where the kernel has no such service.

Standard output and error are an unnamed file that its starter reads if this process dies; after each attempt what was
printed there, by Python or by anything below it, becomes the attempt's log. CALLS is a file of its starter's, in which
it notes what it calls the person's function on. Interrupts from the keyboard are ignored: the driver decides what they
mean.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from typing import NoReturn

from shardwise import records
from shardwise.compute import wire
from shardwise.compute.calls import Calls
from shardwise.compute.execute import PickledProgram, execute
from shardwise.compute.footprint import Footprint, Relatives, trim
from shardwise.compute.logs import Logs, Marks
from shardwise.compute.machine import forget_peak_memory, resident_memory, usable_memory
from shardwise.compute.program import Attempt
from shardwise.compute.task import TaskSpec
from shardwise.errors import InternalError

PULSE_SECONDS = 1.0
"""How often a worker that is busy says that it lives, and looks for its parent."""

TELL_SECONDS = 0.1
"""And how often at most how far it is: each message wakes who hears it."""

LOOK_SECONDS = 0.05
"""How often it looks how much memory it holds, where it may not use more than so much."""

RELATIVES_SECONDS = 0.25
"""How often it looks for processes that its function started."""

TRIM_SHARE = 0.8
"""Before it holds more than this share of what it may, it gives back what was freed."""

TRIM_SECONDS = 0.5
"""But not more often than this."""

KEPT = 64 << 20
"""Between attempts, what is held beyond what was held at first is given back where it is more than this."""

PRINTED_BYTES = 64 << 20
"""What an attempt prints beyond this is thrown away while it runs, so that it cannot fill the disk."""

PR_SET_PDEATHSIG = 1


def main() -> NoReturn:
    """Work until the driver is gone."""
    descriptor, parent, *noted = map(int, sys.argv[1:])
    restore_environment()
    begin(descriptor, parent, *noted)


def begin(descriptor: int, parent: int, *noted: int) -> NoReturn:
    """Work in this process, a fresh interpreter or the fork of one, until the driver is gone."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prefer_to_be_killed()
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    try:
        Worker(connection, parent, Printed(), Calls(*noted) if noted else None).work()
    except BaseException:  # threads that a function left behind would keep a dying interpreter alive
        traceback.print_exc()
        end()


class Worker:
    """One conversation with a driver, which never waits for a busy worker to take what it sends.

    The main thread reads a task, executes it, answers. A second thread only watches: it notices the end of the socket
    in the middle of an attempt, shows signs of life, and ends the process when it holds more memory than it may (a
    function in C that never lets another thread run hinders it; whoever started a worker on its own host watches too).
    """

    def __init__(self, connection: socket.socket, parent: int, printed: Printed, calls: Calls | None) -> None:
        self._connection = connection
        self._parent = parent
        self._printed = printed
        self._calls = calls
        self._programs: dict[str, PickledProgram] = {}
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._pulse: tuple[int, int, int] | None = None  # attempt, rows, bytes; None between attempts
        self._footprint = Footprint(self._pid)
        self._relatives = Relatives()
        self._allowed: int | None = None  # bytes of memory, for the attempt under way
        self._kept = 0
        self._last_trim = 0.0
        self._looked_at = 0.0  # how much is held during attempts
        self._told_at = 0.0
        self._last_look = 0.0  # how much is held between attempts

    def work(self) -> NoReturn:
        """Say hello, then execute what comes."""
        hello = wire.Hello(socket.gethostname(), os.getpid(), usable_memory())
        self._send(wire.HELLO, records.to_json(hello).encode())
        threading.Thread(target=self._watch, name="shardwise-watch", daemon=True).start()
        while True:
            length, kind = wire.HEADER.unpack(self._receive(wire.HEADER.size))
            payload = self._receive(length)
            if kind == wire.PROGRAM:
                self._keep(payload)
            else:
                self._attempt(records.from_json(TaskSpec, bytes(payload)))

    # --- the main thread -------------------------------------------------------------------------------------------

    def _keep(self, payload: memoryview) -> None:
        end = bytes(payload[: 1 << 20]).index(b"\n")
        parcel = records.from_json(wire.Parcel, bytes(payload[:end]))
        self._programs[parcel.ref] = PickledProgram(payload[end + 1 :], before=lambda: _find_modules_in(parcel.path))

    def _attempt(self, spec: TaskSpec) -> None:
        if spec.measured:
            forget_peak_memory()
        self._kept = self._kept or resident_memory()
        self._pulse, self._told_at = (spec.attempt, 0, 0), time.monotonic()
        self._allowed = spec.memory
        if self._calls is not None:
            self._calls.watch(spec.call_seconds)
        program = self._programs.get(spec.program, _Unknown())
        outcome = execute(spec, program, self._tell, capture=False, calls=self._calls, say=self._printed.say)
        if self._calls is not None:
            self._calls.watch(None)
        if os.getpid() != self._pid:  # the function forked, and this is the child
            os._exit(0)
        lines, times = self._printed.take()
        outcome = dataclasses.replace(outcome, logs=lines, times=times)
        payload = records.to_json(outcome).encode("utf-8", "surrogatepass")
        self._allowed = None
        if time.monotonic() >= self._last_look + LOOK_SECONDS:
            if resident_memory() > self._kept + KEPT:
                trim()
            self._last_look = time.monotonic()
        with self._sending:
            self._pulse = None
        self._send(wire.OUTCOME, payload)

    def _tell(self, rows: int, size: int, memory: int) -> None:
        if self._pulse is not None:
            self._pulse = (self._pulse[0], rows, size)
            if (now := time.monotonic()) >= self._told_at + TELL_SECONDS:
                self._told_at = now
                self._send(wire.PROGRESS, wire.PROGRESS_PAYLOAD.pack(*self._pulse, memory))

    def _send(self, kind: int, payload: bytes) -> None:
        with self._sending:
            self._write(kind, payload)

    def _write(self, kind: int, payload: bytes) -> None:
        try:
            self._connection.sendall(wire.HEADER.pack(len(payload), kind) + payload)
        except OSError:
            end()

    def _receive(self, size: int) -> memoryview:
        data = memoryview(bytearray(size))
        have = 0
        while have < size:
            try:
                count = self._connection.recv_into(data[have:])
            except OSError:
                count = 0
            if not count:
                end()
            have += count
        return data

    # --- the watching thread ---------------------------------------------------------------------------------------

    def _watch(self) -> None:
        hang_up = select.poll()
        hang_up.register(self._connection, 0)  # POLLHUP comes unasked; data is the main thread's
        next_beat = next_search = time.monotonic()
        while not hang_up.poll(LOOK_SECONDS * 1000):
            now = time.monotonic()
            self._printed.mark()
            if self._allowed is not None:
                self._look(self._allowed, now)
                if now >= next_search:
                    self._relatives.find([self._footprint], self._look_again)
                    next_search = time.monotonic() + RELATIVES_SECONDS
            if now >= next_beat:
                next_beat = now + PULSE_SECONDS
                self._beat()
        end()

    def _look_again(self) -> None:
        """In the middle of a search that takes long, because the function hardly lets this thread run."""
        now, allowed = time.monotonic(), self._allowed
        if allowed is not None and now >= self._looked_at + LOOK_SECONDS:
            self._look(allowed, now)

    def _look(self, allowed: int, now: float) -> None:
        """Give freed memory back when little is left; end when too much is held all the same."""
        self._looked_at = now
        threshold = int(allowed * TRIM_SHARE)
        held = self._footprint.held(threshold)
        if held > threshold and now >= self._last_trim + TRIM_SECONDS:
            self._last_trim = now
            trim()
            held = self._footprint.held(allowed)
        if held > allowed and self._allowed is not None and self._sending.acquire(timeout=1.0):
            self._write(wire.OUTGREW, wire.OUTGREW_PAYLOAD.pack(held, allowed))
            end()

    def _beat(self) -> None:
        if os.getppid() != self._parent:
            end()
        self._printed.bound()
        # A main thread that is blocked in sending holds the lock, and shows by that very message that it lives.
        if self._sending.acquire(blocking=False):
            try:
                if self._pulse is not None:
                    self._write(wire.PROGRESS, wire.PROGRESS_PAYLOAD.pack(*self._pulse, resident_memory()))
            finally:
                self._sending.release()


class Printed:
    """The file behind standard output and error: what an attempt, and processes that it starts, print."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)  # functions may close or redirect 1 and 2
        self._dropped = 0
        self._marks = Marks()
        faulthandler.enable(self._descriptor)
        faulthandler.register(signal.SIGALRM, self._descriptor, chain=True)  # says where it hangs, then dies of it
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]

    def say(self, line: str) -> None:
        """Print a line of ``ctx.log``, and remember when."""
        print(line, file=sys.stderr)
        self.mark()

    def mark(self) -> None:
        """Remember that what was printed so far was printed by now."""
        marks = self._marks  # before the look: one that comes too late belongs to marks that nobody reads any more
        with contextlib.suppress(OSError):
            marks.note(os.fstat(self._descriptor).st_size)

    def take(self) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The lines since the last time, and when they were printed, up to ``LOOK_SECONDS`` too late; the file is empty
        afterwards, and standard output and error are usable."""
        logs = self._take()
        for number, name in ((1, "stdout"), (2, "stderr")):
            self._mend(number, name)
        return logs.lines(), logs.times()

    def _mend(self, number: int, name: str) -> None:
        """Open again what the function closed: prints of later attempts would fail, or land in another file."""
        with contextlib.suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                os.dup2(self._descriptor, number)
            if getattr(getattr(sys, name), "closed", False):
                stream = open(number, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
                setattr(sys, name, stream)

    def _take(self) -> Logs:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the function may have replaced or closed it
                stream.flush()
        with contextlib.suppress(OSError):  # no regular file, where a person started the worker by hand
            if os.fstat(self._descriptor).st_size or self._dropped:
                return self._read()
        return Logs()

    def _read(self) -> Logs:
        logs, end, printed_at = Logs(), 0, self._marks.times()
        if self._dropped:
            logs.add(f"... {self._dropped} bytes dropped ...", printed_at(0))
            self._dropped = 0
        with open(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            for line in file:
                end += len(line)
                logs.add(line.decode("utf-8", "replace"), printed_at(end))
        os.ftruncate(self._descriptor, 0)
        self._marks = Marks()
        return logs

    def bound(self) -> None:
        """Empty the file where it has grown too large."""
        with contextlib.suppress(OSError):
            size = os.fstat(self._descriptor).st_size
            if size > PRINTED_BYTES:
                os.ftruncate(self._descriptor, 0)
                self._marks = Marks()
                self._dropped += size


class _Unknown:
    def execute(self, attempt: Attempt) -> None:
        raise InternalError(f"a task named the program {attempt.spec.program}, which was never sent")


def end() -> NoReturn:
    """End this process now, and with it those it started, unless they left its process group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once if that has happened already."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        end()


def _prefer_to_be_killed() -> None:
    """When memory runs out the kernel should choose this process rather than the driver, which can start another."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def restore_environment() -> None:
    """Undo what only served to start this process, so that programs it starts see the person's own variables."""
    theirs = json.loads(os.environ.pop("SHARDWISE_WORKER_ENVIRONMENT", "{}"))
    for name, value in theirs.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    sys.path[:] = dict.fromkeys(sys.path)


def _find_modules_in(path: tuple[str, ...]) -> None:
    """Look for modules where the driver did when it sent the program, in its order."""
    sys.path[:] = dict.fromkeys([*path, *sys.path])


if __name__ == "__main__":
    main()
