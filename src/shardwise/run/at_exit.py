"""The end of the interpreter: who has work left finishes it first."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Protocol


class Finishing(Protocol):
    """What can be told to finish, and be waited for."""

    def finish(self) -> None:
        """Take no more work."""

    def join(self) -> None:
        """Wait until all is done."""


_alive: weakref.WeakSet[Finishing] = weakref.WeakSet()
_HOOKED = ("threading", "concurrent.futures.thread", "concurrent.futures.process")
_before: set[str] = set()
_over = False


def finish_at_exit(working: Finishing) -> None:
    """Have it finished before the interpreter joins threads, which would wait for more work for ever, and before pools
    of Python's own end, whose tasks slots may be. All of these use the same hook; the last one registered is
    called first. (What ``atexit`` calls comes too late.)

    Raises
    ------
    RuntimeError
        The interpreter is about to end.
    """
    try:
        if _over:
            raise RuntimeError("threads were joined")
        if new := {name for name in _HOOKED if name in sys.modules} - _before:
            threading._register_atexit(_finish_all)  # type: ignore[attr-defined]
            _before.update(new)
    except RuntimeError as error:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown") from error
    _alive.add(working)


def _finish_all() -> None:
    global _over
    _over = True
    running = list(_alive)
    for working in running:
        working.finish()
    for working in running:
        working.join()
