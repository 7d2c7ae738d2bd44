"""What a driver and the agents that an engine places write to each other: a line of JSON, then bytes as they are.

To the agent: ``task`` (slot, memory, programs that it names; the record), ``program`` (ref, path; the program),
``look`` (ref, file: where another agent of this host keeps the program), ``recall`` (slot, attempt), ``kill`` (slot),
``close``.
From the agent: ``hello`` (what it is), ``up``, ``down``, ``progress``, ``finished``, ``returned`` (the engine events;
``finished`` also says after how many pieces of mail it has nothing to do), ``need`` (ref: a program that it lacks),
``have`` (ref, file), ``broken`` (why no worker ever will be ready), ``closed``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

_LONGEST_HEADER = 1 << 20


def write(kind: str, payload: bytes = b"", /, **fields: Any) -> bytes:
    """One message.

    Examples
    --------
    >>> read(write("kill", slot=3))
    ('kill', {'slot': 3}, b'')
    """
    return b"".join((json.dumps([kind, fields]).encode(), b"\n", payload))


def read(message: bytes) -> tuple[str, dict[str, Any], bytes]:
    """Kind, fields and payload of a message."""
    end = message.index(b"\n", 0, _LONGEST_HEADER)
    kind, fields = json.loads(message[:end])
    return kind, fields, message[end + 1 :]


class Outbox:
    """Messages that wait to be fetched, numbered from 1, and kept until the other side says that it has seen them: so
    an answer that got lost on its way costs nothing but time. Any thread may call anything.

    Examples
    --------
    >>> box = Outbox()
    >>> box.put(b"a"), box.put(b"b")
    (None, None)
    >>> box.after(0), box.after(1), box.after(2, timeout=0)
    ((2, [b'a', b'b']), (2, [b'b']), (2, []))
    """

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._last = 0
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []

    def put(self, message: bytes) -> None:
        """Add a message."""
        with self._changed:
            self._last += 1
            self._messages.append(message)
            listeners, self._listeners = self._listeners, []
            self._changed.notify_all()
        for listener in listeners:
            listener()

    def after(self, seen: int, timeout: float | None = 0) -> tuple[int, list[bytes]]:
        """Number of the last message, and those after the one that was ``seen``; waits for one if need be."""
        with self._changed:
            self._changed.wait_for(lambda: self._last > seen, timeout)
            del self._messages[: max(0, len(self._messages) - (self._last - seen))]
            return self._last, list(self._messages)

    def listen(self, seen: int, listener: Callable[[], None]) -> None:
        """Call ``listener`` once, as soon as there is a message after the one that was ``seen``."""
        with self._changed:
            if self._last <= seen:
                self._listeners.append(listener)
                return
        listener()


class Inbox:
    """Puts what arrives in numbered pieces back into order, and drops what arrives twice.

    Examples
    --------
    >>> box = Inbox()
    >>> box.take(2, [b"c"]), box.take(1, [b"a", b"b"]), box.take(1, [b"a", b"b"])
    ([], [b'a', b'b', b'c'], [])
    """

    def __init__(self) -> None:
        self._pieces: dict[int, list[bytes]] = {}
        self._next = 1
        self._lock = threading.Lock()

    def take(self, number: int, messages: list[bytes]) -> list[bytes]:
        """Messages that can now be read."""
        ready: list[bytes] = []
        with self._lock:
            if number >= self._next:
                self._pieces[number] = messages
            while self._next in self._pieces:
                ready += self._pieces.pop(self._next)
                self._next += 1
        return ready
