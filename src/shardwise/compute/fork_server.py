"""The process that workers are forked from: ``python -m shardwise.compute.fork_server SOCKET STARTER MODULE...``.

A fresh interpreter that imports what workers need, once for all of them, and then does nothing but fork. It has one
thread (beside one of PyArrow's allocator) and is never a copy of the driver, so that no lock is held and nothing of the
driver's is inherited when it forks. It ends when its starter does, and takes all that it forked along.

======= =========================================================== ============================
kind    request                                                     answer
======= =========================================================== ============================
FORK    a worker's socket, what it prints to, the page of its calls number of the process, or 0
REAP    number of a process that has ended or is about to           its status, as ``subprocess``
======= =========================================================== ============================
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import NoReturn

from shardwise.compute import worker

FORK, REAP = range(1, 3)

FORKS_WELL = {"jemalloc_bg_thd"}
"""Threads that may be there: that of PyArrow's allocator, which takes its locks before a fork (pthread_atfork), gives
them back after it, and begins its thread anew in the child."""

REQUEST = struct.Struct("!Bq")
ANSWER = struct.Struct("!q")


def main() -> NoReturn:
    """Fork workers until the starter is gone."""
    descriptor, starter, *modules = sys.argv[1:]
    worker.restore_environment()
    for module in modules:
        with contextlib.suppress(Exception):  # workers will say what is wrong, where they need it
            importlib.import_module(module)
    if sum(name not in FORKS_WELL for name in _threads()) > 1:
        sys.exit("a module started a thread: a fork could wait for its locks for ever")  # then workers are not forked
    gc.collect()
    gc.freeze()  # what is never collected stays shared
    ForkServer(socket.socket(fileno=int(descriptor)), int(starter)).serve()


def _threads() -> list[str]:
    """Names of the threads of this process."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


class ForkServer:
    """One conversation with a starter."""

    def __init__(self, connection: socket.socket, starter: int) -> None:
        connection.set_inheritable(False)
        self._connection = connection
        self._starter = os.pidfd_open(starter)
        self._is_orphan = os.getppid() != starter
        self._pid = os.getpid()
        self._children: set[int] = set()

    def serve(self) -> NoReturn:
        """Answer requests."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        waiting.register(self._starter, select.POLLIN)  # its end, even if others hold the other end of the socket
        while not self._is_orphan:
            ready = [descriptor for descriptor, _ in waiting.poll()]
            if self._starter in ready:
                break
            message, descriptors, *_ = socket.recv_fds(self._connection, REQUEST.size, 3)
            if not message:
                break
            kind, pid = REQUEST.unpack(message)
            self._connection.sendall(ANSWER.pack(self._fork(descriptors) if kind == FORK else self._reap(pid)))
        self._end()

    def _fork(self, descriptors: list[int]) -> int:
        """Fork a worker; 0 where the system refuses."""
        try:
            pid = os.fork()
        except OSError:
            pid = 0
        else:
            if pid == 0:
                self._become_worker(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children |= {pid} - {0}
        return pid

    def _become_worker(self, connection: int, printed: int, calls: int) -> NoReturn:
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(printed, descriptor)
        os.close(printed)
        os.close(self._starter)
        self._connection.close()
        if numpy_random := sys.modules.get("numpy.random"):
            numpy_random.seed()  # else all workers would draw the same
        worker.begin(connection, self._pid, calls)

    def _reap(self, pid: int) -> int:
        self._children.discard(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _end(self) -> NoReturn:
        """End, and with it the workers and what they started."""
        for pid in self._children:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        os._exit(0)


if __name__ == "__main__":
    main()
