"""How worker processes come into being: as fresh interpreters, or forked by one that has imported what they need."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

from shardwise.compute.fork_server import ANSWER, FORK, REAP, REQUEST

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",  # OpenMP; PyArrow's compute threads too
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
"""What native libraries read, once, when they are loaded."""

PATIENCE_SECONDS = 60.0
"""A fork server that does not answer for so long is taken for dead: it may still import, on a busy machine."""

KILLED_WITH_ITS_STARTER = -9


class Child(Protocol):
    """A process that was started."""

    pid: int
    death: int | None  # a descriptor that becomes readable when it ends, where the kernel has them (Linux 5.3)
    starter_died: bool  # as its status tells: the process that had forked it ended first

    def has_ended(self) -> bool:
        """Whether it has ended. Its number stays its own until its status is taken."""

    def status(self) -> int:
        """Wait for its end and take its exit status, as ``subprocess`` has it: a signal's number below zero."""


class Interpreter:
    """A fresh interpreter, started by this process.

    Parameters
    ----------
    connection, printed, calls : int
        Descriptors: the worker's socket, what it prints to, and the page of its calls.
    threads : int
        That native libraries in it may use.
    hash_seed : str, optional
        What decides the order of its sets of strings; as for all workers unless given.
    """

    starter_died = False

    def __init__(self, connection: int, printed: int, calls: int, threads: int, hash_seed: str | None = None) -> None:
        where = [str(connection), str(os.getpid()), str(calls)]
        self._process = subprocess.Popen(
            [*_python(), "-m", "shardwise.compute.worker", *where],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=(connection, calls),
            env=environment(threads, hash_seed),
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.death = _open_pidfd(self.pid)

    def has_ended(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            import psutil

            try:
                return bool(psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE)
            except psutil.NoSuchProcess:
                return True
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def status(self) -> int:
        return self._process.wait()


class Fork:
    """A fork of the fork server's."""

    def __init__(self, server: ForkServer, pid: int, death: int) -> None:
        self.pid = pid
        self.death: int | None = death
        self.starter_died = False
        self._server = server

    def has_ended(self) -> bool:
        assert self.death is not None
        return bool(select.select([self.death], [], [], 0)[0])

    def status(self) -> int:
        status = self._server.reap(self.pid)
        self.starter_died = status is None
        return KILLED_WITH_ITS_STARTER if status is None else status


class ForkServer:
    """A process of this host that forks workers in a few milliseconds each, where a fresh interpreter has to import.

    Parameters
    ----------
    threads : int
        That native libraries in its workers may use.
    modules : sequence of str
        What it imports before it forks for the first time. Ignored where threads that libraries start when they are
        imported would be there as it forks.
    hash_seed : str, optional
        What decides the order of sets of strings in its workers.
    """

    def __init__(self, threads: int, modules: tuple[str, ...] = (), hash_seed: str | None = None) -> None:
        self.threads = threads
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(PATIENCE_SECONDS)
        with theirs:
            where = [str(theirs.fileno()), str(os.getpid())]
            try:
                self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                    [*_python(), "-m", "shardwise.compute.fork_server", *where, *(modules if threads == 1 else ())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=environment(threads, hash_seed),
                    start_new_session=True,
                )
            except OSError:  # fresh interpreters will say why
                self._process = None

    @property
    def has_ended(self) -> bool:
        """Whether it is known to fork no more."""
        return self._process is None

    @property
    def pid(self) -> int | None:
        """Number of its process."""
        return None if self._process is None else self._process.pid

    def fork(self, connection: int, printed: int, calls: int) -> Fork | None:
        """Fork a worker; None where that cannot be done, now or any more."""
        if self._process is None:
            return None
        try:
            socket.send_fds(self._connection, [REQUEST.pack(FORK, 0)], [connection, printed, calls])
            pid = self._answer()
            if pid:
                return Fork(self, pid, os.pidfd_open(pid))
        except OSError:
            self.close()
        return None

    def reap(self, pid: int) -> int | None:
        """Take the exit status of a worker that has ended or is about to; None: this server ended before."""
        if self._process is not None:
            try:
                self._connection.sendall(REQUEST.pack(REAP, pid))
                return self._answer()
            except OSError:
                self.close()
        return None

    def close(self) -> None:
        """End it, and all workers that it forked. Twice is harmless."""
        self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answer(self) -> int:
        data = self._connection.recv(ANSWER.size, socket.MSG_WAITALL)
        if len(data) < ANSWER.size:
            raise ConnectionResetError("the fork server has ended")
        return int(ANSWER.unpack(data)[0])


_begun: ContextVar[ForkServer | None] = ContextVar("begun", default=None)


@contextlib.contextmanager
def beginning(threads: int, modules: tuple[str, ...]) -> Iterator[None]:
    """Start a fork server for an engine that is perhaps opened in the block, while this process still imports and
    plans."""
    server = ForkServer(threads, modules) if can_fork() else None
    token = _begun.set(server)
    try:
        yield
    finally:
        _begun.reset(token)
        if server is not None:
            server.close()


def fork_server(threads: int, hash_seed: str | None = None) -> ForkServer | None:
    """The fork server that was begun, or another one where that would not suit; None where there can be none."""
    begun = _begun.get()
    if begun is not None and begun.threads == threads and not begun.has_ended and hash_seed is None:
        return begun
    return ForkServer(threads, hash_seed=hash_seed) if can_fork() else None


def can_fork() -> bool:
    """Whether this system forks safely, and tells of the end of a process that is no child."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def module_path() -> tuple[str, ...]:
    """Where this process finds modules, as another process can use it."""
    return tuple(dict.fromkeys(os.path.abspath(entry) for entry in sys.path))  # noqa: PTH100  ("" is this directory)


def _python() -> list[str]:
    return [sys.executable, *(["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []), "-P"]


def environment(threads: int, hash_seed: str | None = None) -> dict[str, str]:
    """The person's variables, with threads limited, modules found as here, and one order of sets of strings."""
    ours = {
        "PYTHONPATH": os.pathsep.join(module_path()),
        "PYTHONHASHSEED": hash_seed or os.environ.get("PYTHONHASHSEED", "0"),
    }
    theirs = {name: os.environ.get(name) for name in ours}
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        **ours,
        "SHARDWISE_WORKER_ENVIRONMENT": json.dumps(theirs),
    }


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
