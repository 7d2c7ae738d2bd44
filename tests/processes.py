"""Processes of tests: whether they are there, and how they are ended for sure."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

PATIENCE = float(os.environ.get("SHARDWISE_PATIENCE", "60"))


def gone(pid: int) -> bool:
    """Whether a process ends soon; nobody may be there to take its status."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


class Begun:
    """Processes below this one that were begun after this was made: other tests' clusters may be there as well."""

    def __init__(self) -> None:
        self._before = set(psutil.Process().children())

    def children(self) -> list[psutil.Process]:
        """Children of this process."""
        return [child for child in psutil.Process().children() if child not in self._before]

    def all(self) -> list[psutil.Process]:
        """Children, and theirs."""
        found = []
        for child in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [child, *child.children(recursive=True)]
        return found


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, even in sessions of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        first.suspend()
        for process in (*first.children(recursive=True), first):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
