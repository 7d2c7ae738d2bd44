"""Ctrl-C: the first one drains, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from shardwise.run.failures import interrupted


class Interrupts:
    """While it is entered, the first SIGINT is only noted, and raises Interrupted at the end, also where there was
    nothing left to drain: what comes next shall not begin. The second raises KeyboardInterrupt.

    Signals reach the main thread only; elsewhere (and where the program set a handler of its own to ignore it) this
    does nothing.
    """

    def __init__(self) -> None:
        self._noted = 0
        self._fresh = False
        self._before: Any = None
        self._mine = False

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
            self._mine = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, self._before)
        if kind is None and self._noted:
            raise interrupted()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted += 1
        self._fresh = self._noted == 1
        if self._noted > 1:
            raise KeyboardInterrupt

    def take(self) -> bool:
        """Whether the first one came since this was last asked."""
        fresh, self._fresh = self._fresh, False
        return fresh
