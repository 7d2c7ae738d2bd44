"""A link on loopback that a test cuts, stalls, or makes slow."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

PIECE = 1 << 16
ABORT = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends a reset."""


class Proxy:
    """Forwards connections to a target, both ways.

    Parameters
    ----------
    target : tuple of str and int
        Host and port.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._pause = 0.0
        self._closed = False
        self._links: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset all connections that are open; new ones are taken."""
        links, self._links = self._links, []
        for link in links:
            with link, contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                link.shutdown(socket.SHUT_RD)  # who reads from it wakes up

    def stall(self) -> None:
        """Take nothing and send nothing, and tell neither side: half open."""
        self._flows.clear()

    def flow(self) -> None:
        """End a stall."""
        self._flows.set()

    def slow(self, seconds: float) -> None:
        """Keep each piece back for so long."""
        self._pause = seconds

    def close(self) -> None:
        """Forward nothing any more."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.flow()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._links.append(near)
                self._flows.wait()
                self.accepted += 1
                far = socket.create_connection(self._target)
                self._links.append(far)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()
        if self._closed:  # one that was taken just then is cut, too
            self.cut()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                self._flows.wait()
                time.sleep(self._pause)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
