"""Pools of processes for tests. This module is imported by their processes, so it imports little."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

GRACE_SECONDS = 90.0
"""Longer than a test waits for workers to die by themselves."""


def processes(slots: int) -> ProcessPoolExecutor:
    """A pool whose processes end, some time after this one was killed: Python's own wait for work for ever then."""
    return ProcessPoolExecutor(slots, get_context("forkserver"), end_after, (os.getpid(),))


def end_after(driver: int) -> None:
    """End this process some time after another one."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            select.select([os.pidfd_open(driver)], [], [])
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    if hasattr(os, "pidfd_open"):
        threading.Thread(target=watch, daemon=True).start()
