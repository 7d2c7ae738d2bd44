"""Drivers that begin at once, two side by side.

An interpreter needs a second to import what a driver needs, and a thousand cases have two drivers each. So a process
that has imported it all, and has no threads and no connection of its own, forks; the child leads a session of its own
and is a driver like any other: its workers are fresh interpreters.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from _proof import Broken, must, reason

LANES = 2
MARK = "SHARDWISE_PROOF_CASE"
PATIENCE = 120.0


def start(
    act: Callable[[], Any], printed: Path, terminal: int | None = None, environment: dict[str, str] | None = None
) -> int:
    """Do something in a forked child; returns its number.

    What it prints goes to a file; with a terminal of its own, what it says on stderr goes there.

    ``act`` may return an exit status. Like a fresh Python, the child obeys Ctrl-C.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(environment or {})
        _redirect(printed, terminal)
        returned = act()
        status = returned if isinstance(returned, int) else 0
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        os._exit(status)


def _redirect(printed: Path, terminal: int | None) -> None:
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if terminal is not None:
        import fcntl
        import termios

        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        os.dup2(terminal, 0)
        os.dup2(terminal, 2)


def await_end(pid: int, seconds: float = PATIENCE) -> int | None:
    """Exit code of a child (minus the signal that ended it), or None if it is still there."""
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.01)


def end(pid: int) -> None:
    """Kill a child and take its status."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def complete(pid: int, what: str) -> int:
    """Wait for a child; one that hangs is killed, and breaks the case."""
    status = await_end(pid)
    if status is None:
        end(pid)
        raise Broken(f"{what} hangs: not done after {PATIENCE:g} s")
    return status


def marked(mark: str) -> list[int]:
    """Processes that were started with a mark in their environment, and live."""
    wanted = f"{MARK}={mark}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes() + b"\0" and _lives(entry):
                    found.append(int(entry.name))
    return found


def _lives(entry: Path) -> bool:
    return (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"


def all_gone(mark: str, seconds: float) -> float:
    """How long it took until no process with a mark was left.

    Raises
    ------
    Broken
        Some are still there.
    """
    started = time.monotonic()
    while left := marked(mark):
        waited = time.monotonic() - started
        must(waited < seconds, f"processes {left} are left after {waited:.1f} s")
        time.sleep(0.005)
    return time.monotonic() - started


def lanes(case: Callable[[int], dict[str, Any]], numbers: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Carry out cases in two processes; yields the number and what the case found out (``error`` if it failed)."""
    global _case
    _case = case
    with multiprocessing.get_context("fork").Pool(LANES) as pool:
        yield from pool.imap_unordered(_safely, numbers)


_case: Callable[[int], dict[str, Any]]


def _safely(number: int) -> tuple[int, dict[str, Any]]:
    try:
        return number, _case(number)
    except Exception as error:
        return number, {"error": reason(error)}
