"""Ends the waiting of another thread in a selector."""

from __future__ import annotations

import contextlib
import socket


class Bell:
    """Can be registered with a selector, and then be read from as soon as anybody has rung it.

    Examples
    --------
    >>> import select
    >>> bell = Bell()
    >>> bell.ring()
    >>> len(select.select([bell], [], [], 5.0)[0])
    1
    >>> bell.quiet()
    >>> len(select.select([bell], [], [], 0.0)[0])
    0
    >>> bell.close()
    >>> bell.ring()
    """

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._heard.setblocking(False)
        self._rung.setblocking(False)

    def fileno(self) -> int:
        """What a selector asks for."""
        return self._heard.fileno()

    def ring(self) -> None:
        """Any thread may call this, also when it is closed."""
        with contextlib.suppress(OSError):  # so many have rung that the socket is full, or it is closed
            self._rung.send(b"!")

    def quiet(self) -> None:
        """Forget that it was rung."""
        with contextlib.suppress(BlockingIOError):
            self._heard.recv(1 << 16)

    def close(self) -> None:
        """Give the descriptors back."""
        self._heard.close()
        self._rung.close()
