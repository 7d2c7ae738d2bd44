"""In-memory data that a run lends: to its own process as it is, to others of this host as one mapping, else by value.

Pickling a table or an array copies it, and every worker would copy it again. While a program is pickled under
``lending``, the sources in it leave a note instead that says where the data can be taken.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Literal

Reach = Literal["process", "host", "network"]
"""How far an engine's workers are: in this very process, on this host, or anywhere."""

_CHUNK = 1 << 30

_held: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_lock = threading.Lock()
_next = 0


class Loans:
    """What one run has lent; to be closed when its workers are gone.

    Parameters
    ----------
    reach : str
        How far the workers are. Where the kernel has no unnamed files (macOS) other processes get the data by value.
    """

    def __init__(self, reach: Reach) -> None:
        self.reach: Reach = "network" if reach == "host" and not hasattr(os, "memfd_create") else reach
        self._files: dict[int, int] = {}  # id of what is lent -> descriptor

    def file(self, lent: Any, data: Any) -> str:
        """Path of an unnamed file, in memory, that holds ``data``; made once for each object that is lent."""
        descriptor = self._files.get(id(lent))
        if descriptor is None:
            descriptor = self._files[id(lent)] = os.memfd_create("shardwise")
            view = memoryview(data).cast("B")
            written = 0
            while written < len(view):
                written += os.write(descriptor, view[written : written + _CHUNK])
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def close(self) -> None:
        """Free the memory. Twice is harmless."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()


_lending: ContextVar[Loans | None] = ContextVar("shardwise_lending", default=None)


@contextlib.contextmanager
def lending(loans: Loans) -> Iterator[None]:
    """Sources that are pickled inside lend their data."""
    token = _lending.set(loans)
    try:
        yield
    finally:
        _lending.reset(token)


def current() -> Loans | None:
    """The loans of the run that pickles right now."""
    return _lending.get()


def hold(source: Any) -> int:
    """A number under which ``held`` finds the source in this process, as long as anybody else keeps it."""
    global _next
    with _lock:
        _next += 1
        _held[_next] = source
        return _next


def held(number: int) -> Any:
    """The source itself."""
    return _held[number]
