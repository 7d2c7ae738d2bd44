"""What driver and worker say to each other over one socket: frames of length (8 bytes), kind (1 byte) and payload.

======== ================== =========================================================================
kind     direction          payload
======== ================== =========================================================================
HELLO    worker to driver   JSON of `Hello`
PROGRAM  driver to worker   one line of JSON (`Parcel`), then the pickled program
TASK     driver to worker   JSON of ``TaskSpec``
PROGRESS worker to driver   attempt, rows, bytes, memory as four unsigned 64-bit integers
OUTCOME  worker to driver   JSON of ``Outcome``
OUTGREW  worker to driver   memory that it holds and that it may use, two integers; it ends itself then
======== ================== =========================================================================
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HELLO, PROGRAM, TASK, PROGRESS, OUTCOME, OUTGREW = range(1, 7)

HEADER = struct.Struct("!QB")
PROGRESS_PAYLOAD = struct.Struct("!QQQQ")
OUTGREW_PAYLOAD = struct.Struct("!QQ")


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker is ready: where it is, and how many bytes of memory could be used there when it started."""

    host: str
    pid: int
    memory: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """What stands before a program: the reference that tasks name it by, and where its modules are found."""

    ref: str
    path: tuple[str, ...]


class Inbox:
    """Bytes in, whole frames out.

    Examples
    --------
    >>> inbox = Inbox()
    >>> message = HEADER.pack(2, TASK) + b"{}"
    >>> inbox.feed(message[:5]), inbox.feed(message[5:])
    ([], [(3, b'{}')])
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what was received; returns (kind, payload) of each frame that is now complete."""
        self._bytes += data
        frames = []
        start = 0
        while len(self._bytes) - start >= HEADER.size:
            length, kind = HEADER.unpack_from(self._bytes, start)
            end = start + HEADER.size + length
            if len(self._bytes) < end:
                break
            frames.append((kind, bytes(memoryview(self._bytes)[start + HEADER.size : end])))
            start = end
        del self._bytes[:start]
        return frames
