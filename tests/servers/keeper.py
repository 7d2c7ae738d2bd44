"""Keeps a server as long as a process lives: ``python keeper.py KIND DIRECTORY PID``.

It starts the server, writes ``address.json`` when it answers (or ``reason.txt`` where it cannot be had), waits for the
end of process PID, however that comes, and kills the server. If it is killed itself, the kernel kills the server.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE = 90.0
PR_SET_PDEATHSIG = 1


class Unavailable(Exception):
    """The server cannot be had here; the message says why."""


class Place:
    """Where a server lives: a directory of its own, ports, processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str]) -> None:
        """Start a process that dies with this one."""
        with open(self.directory / f"{len(self.processes)}.log", "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.processes.append(process)

    def wait_until(self, answers: Callable[[], bool]) -> None:
        """Wait for a server to answer."""
        deadline = time.monotonic() + PATIENCE
        while not answers():
            for number, process in enumerate(self.processes):
                if process.poll() is not None:
                    last = (self.directory / f"{number}.log").read_text(errors="replace").strip()[-400:]
                    raise Unavailable(f"{process.args[0]} ended with {process.returncode}: {last}")
            if time.monotonic() > deadline:
                raise Unavailable(f"no answer after {PATIENCE:g} s")
            time.sleep(0.1)

    def kill(self) -> None:
        """End all of them, with what they started."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int, beside: int = 0) -> list[int]:
    """Ports of 127.0.0.1 that nobody has, and as far beside them neither."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + int.from_bytes(os.urandom(2)) % 20_000
        if port not in found and all(_is_free(each) for each in {port, port + beside}):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers_tcp(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def program(name: str) -> str:
    """Path of a program that came with a Python package, or that is installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


def main() -> None:
    """Start, wait, kill."""
    kind, directory, pid = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    watched = os.pidfd_open(pid)
    if os.fork():
        return
    os.setsid()
    sys.path.insert(0, str(HERE.parent))
    from servers import kinds

    place = Place(directory)
    try:
        address: dict[str, Any] = kinds.KINDS[kind](place)
        (directory / "address.tmp").write_text(json.dumps(address))
        (directory / "address.tmp").rename(directory / "address.json")
        select.select([watched], [], [])
    except BaseException as error:  # whatever it is, it is the reason of a skip and never an error
        reason = str(error) if type(error).__name__ == "Unavailable" else f"{type(error).__name__}: {error}"
        (directory / "reason.tmp").write_text(reason)
        (directory / "reason.tmp").rename(directory / "reason.txt")
    finally:
        place.kill()


if __name__ == "__main__":
    main()
