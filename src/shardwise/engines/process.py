"""One worker process on this host, as seen by whoever started it: every engine that has workers uses it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections import deque

from shardwise import records
from shardwise.compute import calls, wire
from shardwise.compute.connection import spill_directory
from shardwise.compute.machine import oom_kills
from shardwise.engines.children import Child, ForkServer, Interpreter
from shardwise.errors import EngineError
from shardwise.sizes import format_size

LAST_WORDS = 8192
"""How many bytes of what a dead worker printed last are part of the reason: room for the traceback of a crash."""

FAREWELL_SECONDS = 2.0
"""A worker that hung up is given this long to end by itself, so that its own exit status is what is told."""

_CHUNK = 1 << 16


class WorkerProcess:
    """A worker and the socket to it.

    Parameters
    ----------
    threads : int
        That native libraries in it may use.
    server : ForkServer, optional
        Forks it, where it can; else it is a fresh interpreter.
    hash_seed : str, optional
        What decides the order of sets of strings in a fresh interpreter.

    Raises
    ------
    EngineError
        The operating system refuses another process.

    Notes
    -----
    A fresh interpreter dies with the *thread* that made this object (Linux), so make it in one that lives as long as
    the engine; a forked one dies with its server, and that with this process. A worker leads a session and process
    group of its own: Ctrl-C in a terminal does not reach it, and it is killed together with processes that a function
    started.
    """

    def __init__(self, threads: int, server: ForkServer | None = None, hash_seed: str | None = None) -> None:
        self.killed = False
        self.greeted = False
        self.hung_up = False
        self.outgrew: tuple[int, int] | None = None  # memory that it held and that it might use, if it ends for that
        self._given_up = ""
        self._is_buried = False
        self._outbox: deque[memoryview] = deque()
        self._inbox = wire.Inbox()
        self._oom_kills = oom_kills()
        self._printed = tempfile.TemporaryFile(prefix="shardwise-", buffering=0)  # noqa: SIM115  (bury closes it)
        fcntl.fcntl(self._printed, fcntl.F_SETFL, os.O_RDWR | os.O_APPEND)
        self._calls = tempfile.TemporaryFile(prefix="shardwise-", buffering=0)  # noqa: SIM115  (bury closes it)
        self._calls.truncate(calls.SIZE)
        self.last_call = b""
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        try:
            self._process = self._start(theirs, threads, server, hash_seed)
        except OSError as error:
            self.socket.close()
            self._printed.close()
            self._calls.close()
            raise EngineError(
                f"cannot start a worker process: {error}", "allow more processes (ulimit -u), or use fewer workers"
            ) from error
        finally:
            theirs.close()
        self.death = self._process.death

    def _start(self, theirs: socket.socket, threads: int, server: ForkServer | None, hash_seed: str | None) -> Child:
        descriptors = theirs.fileno(), self._printed.fileno(), self._calls.fileno()
        return (server and server.fork(*descriptors)) or Interpreter(*descriptors, threads, hash_seed)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def starter_died(self) -> bool:
        """Whether it died, as is known since it was buried, because the process did that had forked it."""
        return self._process.starter_died

    @property
    def has_post(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._outbox)

    def post(self, kind: int, *parts: bytes) -> None:
        """Send a message as far as the socket takes it now; the rest goes with `flush`. Never blocks."""
        header = wire.HEADER.pack(sum(map(len, parts)), kind)
        self._outbox.extend(memoryview(part) for part in (header, *parts) if part)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it now."""
        try:
            while self._outbox:
                sent = self.socket.sendmsg(list(self._outbox)[:16])
                while self._outbox and sent >= len(self._outbox[0]):
                    sent -= len(self._outbox.popleft())
                if sent:
                    self._outbox[0] = self._outbox[0][sent:]
        except BlockingIOError:
            return
        except OSError:  # it is gone; reading will notice
            self._outbox.clear()

    def receive(self) -> list[tuple[int, bytes]]:
        """Messages that have arrived whole; sets ``hung_up`` at the end of the socket."""
        data = self._receive()
        return self._inbox.feed(data) if data else []

    def receive_all(self) -> list[tuple[int, bytes]]:
        """What a dead worker managed to say."""
        messages = []
        while data := self._receive():
            messages += self._inbox.feed(data)
        return messages

    def _receive(self) -> bytes | None:
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self.hung_up = not data
        return data

    def is_dead(self) -> bool:
        """Whether the process has ended, or hung up and will do nothing more."""
        return self.hung_up or self._process.has_ended()

    def kill(self) -> None:
        """Kill it, and what it started, now."""
        self.killed = True
        self._signal_group()

    def stop_for_memory(self, held: int, allowed: int) -> None:
        """Kill it, and what it started, now: it holds more memory than it may. Any thread may call this."""
        self.outgrew = self.outgrew or (held, allowed)
        self._signal_group()

    def give_up(self, why: str) -> None:
        """Kill it although the driver did not ask for that: it counts as a crash, with this reason."""
        self._given_up = why
        self.kill()

    def bury(self) -> tuple[str, str]:
        """Make sure that it has ended, remove what it left, and say how it died: (kind, reason) as in ``SlotDown``.
        From then on ``last_call`` is what ``SlotDown.call`` says."""
        if self.hung_up and not self.killed:
            self._await_end(FAREWELL_SECONDS)
        self._signal_group()  # before its number is given back: children of a worker that died by itself
        status = self._process.status()
        self._is_buried = True
        self.socket.close()
        if self.death is not None:
            os.close(self.death)
        with self._printed:
            last_words = self._last_words()
        with self._calls:
            lost = calls.last_call(self._calls.fileno(), status)
        self.last_call = b"" if lost is None else records.to_json(lost).encode()
        shutil.rmtree(spill_directory(self._process.pid), ignore_errors=True)
        kind, reason = self._why(status)
        return kind, f"{reason}; it printed last:\n{last_words}" if last_words and kind != "killed" else reason

    def _signal_group(self) -> None:
        if not self._is_buried:
            # PermissionError: what macOS says of a group in which all are dead.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    def _await_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._process.has_ended() and time.monotonic() < deadline:
            if self.death is None:
                time.sleep(0.01)
            else:
                waiting = select.poll()
                waiting.register(self.death, select.POLLIN)
                waiting.poll(1000 * seconds)

    def _why(self, status: int) -> tuple[str, str]:
        who = f"worker process {self._process.pid}"
        if self._given_up:
            return "crash", f"{who} {self._given_up}"
        if self.killed:
            return "killed", f"{who} was killed by the driver"
        if self.outgrew is not None and status == -signal.SIGKILL:
            held, allowed = map(format_size, self.outgrew)
            return "memory", f"{who} was stopped at our ceiling: it used {held} where {allowed} were allowed"
        if status == -signal.SIGKILL and (oom_kills() or 0) > (self._oom_kills or 0):
            return "memory", f"{who} was killed by the kernel (SIGKILL) because memory ran out"
        if status == -signal.SIGALRM:
            return "timeout", f"{who} was ended because a call of the function took too long"
        if self.starter_died:
            return "crash", f"{who} died with the process that it was forked from"
        if status == -signal.SIGKILL:
            return "crash", f"{who} was killed from outside (SIGKILL)"
        if status < 0:
            return "crash", f"{who} was ended by {_signal_name(-status)}"
        return "crash", f"{who} ended itself with exit status {status}"

    def _last_words(self) -> str:
        size = os.fstat(self._printed.fileno()).st_size
        tail = os.pread(self._printed.fileno(), LAST_WORDS, max(0, size - LAST_WORDS))
        return tail.decode("utf-8", "replace").strip()


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:
        return f"signal {number}"
