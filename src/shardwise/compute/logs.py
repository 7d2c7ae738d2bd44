"""What an attempt prints, kept within bounds: the first lines and the last, and how many were dropped between."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

LINES = 200
LINE_BYTES = 2048


class Logs:
    """At most ``LINES`` lines of at most ``LINE_BYTES`` bytes each: half from the beginning, half from the end.

    Examples
    --------
    >>> logs = Logs()
    >>> for n in range(300):
    ...     logs.add(f"line {n}")
    >>> logs.lines()[99:102]
    ('line 99', '... 100 lines dropped ...', 'line 200')
    """

    def __init__(self) -> None:
        self._head: list[tuple[float, str]] = []
        self._tail: deque[tuple[float, str]] = deque(maxlen=LINES // 2)
        self._seen = 0

    def add(self, line: str, at: float | None = None) -> None:
        """Keep a line, printed now unless ``at`` says when; what has line breaks inside is several."""
        at = time.time() if at is None else at
        for part in line.splitlines() or [""]:
            self._seen += 1
            (self._head if len(self._head) < LINES // 2 else self._tail).append((at, shorten(part, LINE_BYTES)))

    def lines(self) -> tuple[str, ...]:
        """What was kept, with a line that says how many were dropped, where any were."""
        return tuple(line for _, line in self._kept())

    def times(self) -> tuple[float, ...]:
        """When each of these lines was printed: seconds since 1970."""
        return tuple(at for at, _ in self._kept())

    def _kept(self) -> list[tuple[float, str]]:
        dropped = self._seen - len(self._head) - len(self._tail)
        note = [(self._head[-1][0], f"... {dropped} lines dropped ...")] if dropped else []
        return [*self._head, *note, *self._tail]


class Marks:
    """How large a file was when: so its lines have times though whoever prints them knows nothing of that.

    What lies before a mark was printed no later. Marks are kept for the beginning of the file and for its end, as
    lines are.

    Examples
    --------
    >>> marks = Marks()
    >>> marks.note(10, at=5.0)
    >>> marks.note(10, at=6.0)
    >>> marks.note(30, at=7.0)
    >>> at = marks.times()
    >>> at(8), at(10), at(11), at(31) > 7.0
    (5.0, 5.0, 7.0, True)
    """

    def __init__(self) -> None:
        self._head: list[tuple[int, float]] = []
        self._tail: deque[tuple[int, float]] = deque(maxlen=LINES)
        self._size = 0

    def note(self, size: int, at: float | None = None) -> None:
        """The file has so many bytes now."""
        if size > self._size:
            self._size = size
            marks = self._head if len(self._head) < LINES else self._tail
            marks.append((size, time.time() if at is None else at))

    def times(self) -> Callable[[int], float]:
        """A function that tells when what ends at a byte was printed, to be asked in the order of bytes; now, if
        nobody has looked since."""
        marks, now, place = [*self._head, *self._tail], time.time(), 0

        def at(end: int) -> float:
            nonlocal place
            while place < len(marks) and marks[place][0] < end:
                place += 1
            return marks[place][1] if place < len(marks) else now

        return at


def shorten(text: str, limit: int) -> str:
    """Cut a text to ``limit`` bytes of UTF-8, saying how many were cut; what UTF-8 cannot hold is escaped."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    note = f" ... {len(data) - limit} bytes cut"
    return data[: limit - len(note)].decode("utf-8", "ignore") + note


class _Sink(io.RawIOBase):
    """The bottom of a stand-in for ``sys.stdout``: whole lines go to ``add``.

    Threads that ran before the attempt began (the driver's progress bar) still write to the real stream.
    """

    def __init__(self, add: Callable[[str], None], real: TextIO | None) -> None:
        self._add = add
        self._real = real
        self._others = {*threading.enumerate()} - {threading.current_thread()}
        self._partial = b""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Child processes that are given this stream write to standard error: standard output belongs to results."""
        return 2

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        if self._real is not None and threading.current_thread() in self._others:
            self._real.write(bytes(data).decode("utf-8", "replace"))
            return len(data)
        *whole, self._partial = (self._partial + bytes(data)).split(b"\n")
        for line in whole:
            self._add(line.decode("utf-8", "replace"))
        return len(data)

    def finish(self) -> None:
        """Keep the last line too, where it has no line break."""
        if self._partial:
            self._add(self._partial.decode("utf-8", "replace"))
            self._partial = b""


@contextlib.contextmanager
def captured(logs: Logs) -> Iterator[None]:
    """Send what this thread, and threads it starts, print during the block to ``logs``."""
    real = sys.stdout, sys.stderr
    sinks = [_Sink(logs.add, stream) for stream in real]
    streams = [
        io.TextIOWrapper(sink, "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]
        for sink in sinks
    ]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdout, sys.stderr = real
        for stream, sink in zip(streams, sinks):
            with contextlib.suppress(ValueError, OSError):  # the function may have closed or detached it
                stream.flush()
            sink.finish()
