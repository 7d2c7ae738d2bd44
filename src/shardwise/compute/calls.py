"""Where a worker is in the person's function, kept where it outlives the worker."""

from __future__ import annotations

import mmap
import os
import signal
import struct
from dataclasses import dataclass

_LAYOUT = struct.Struct("=QQQQQQ")
SIZE = _LAYOUT.size
"""Bytes of the file that a worker and its starter share."""


BETWEEN_SECONDS = 60.0
"""What lies between two calls (loading the function, reading a batch) may take this long, or as long as a call."""


@dataclass(frozen=True, slots=True)
class LostCall:
    """What a worker was doing as it died: rows [first, last) of a batch were in the function.

    ``searched``: all parts of the batch had been tried before, so that the rows kill only together.
    """

    attempt: int
    fragment: int
    batch: int
    first: int
    last: int
    searched: bool
    status: int = 0  # of the process: an exit status, or a signal's number below zero


class Calls:
    """Notes each call of a function in a shared page, and bounds its time.

    Parameters
    ----------
    descriptor : int
        A file of `SIZE` bytes that the starter of this process has open too. A store into a shared page is all that
        a call costs, and the kernel keeps it however the process ends.

    Notes
    -----
    The clock is the kernel's (``SIGALRM``, whose default is to end the process), so that a function that never gives
    the interpreter back is ended too. It begins anew with each call and each return.
    """

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, SIZE)
        os.set_inheritable(descriptor, False)  # to processes that a function starts
        self._seconds: float | None = None
        self._call = (0, 0, 0, 0, 0)

    def watch(self, seconds: float | None) -> None:
        """Bound calls from now on; None: no longer."""
        self._seconds = seconds
        self._wind(BETWEEN_SECONDS)
        if seconds is None:
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def begin(self, attempt: int, fragment: int, batch: int, first: int, last: int, searched: bool) -> None:
        """A call on these rows begins now."""
        self._page[:8] = bytes(8)  # nothing is under way, until all of it is written
        _LAYOUT.pack_into(self._page, 0, 0, fragment, batch, first, last, searched)
        struct.pack_into("=Q", self._page, 0, attempt)
        self._wind()

    def at(self, row: int) -> None:
        """The call has come to this one row."""
        struct.pack_into("=QQ", self._page, 24, row, row + 1)
        self._wind()

    def end(self) -> None:
        """The call returned, or raised."""
        self._page[:8] = bytes(8)
        self._wind(BETWEEN_SECONDS)

    def _wind(self, least: float = 0.0) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, least))


def last_call(descriptor: int, status: int) -> LostCall | None:
    """What the worker that shared this file was doing when it ended; None: nothing of the person's."""
    data = os.pread(descriptor, SIZE, 0)
    if len(data) < SIZE:
        return None
    attempt, fragment, batch, first, last, searched = _LAYOUT.unpack(data)
    return LostCall(attempt, fragment, batch, first, last, bool(searched), status) if attempt else None
