"""Where the inputs of a graph's tasks lie: asked of their store on a thread, once a slot is on another host."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from shardwise.run import placement
from shardwise.run.messages import Located, Place
from shardwise.storage.access import options_for
from shardwise.storage.blocks import Block, block_hosts, says_where

if TYPE_CHECKING:
    from shardwise.run.graph import Graph

ASKING = 8
"""Files that are asked about at the same time."""

Ask = Callable[[str, dict[str, Any]], list[Block]]


class Locality:
    """Of one graph that is carried out.

    Parameters
    ----------
    graph : Graph
        Its tasks that need no other read the source.
    ask : callable
        Blocks of a file, and their hosts.

    Attributes
    ----------
    local, located : int
        Bytes that tasks have read on a host that held them, and all those whose hosts were known.
    """

    def __init__(self, graph: Graph, ask: Ask = block_hosts) -> None:
        self.local = self.located = 0
        self._graph = graph
        self._ask = ask
        self._places: dict[int, tuple[str, ...]] = {}
        self._known: set[str] = set()
        self._came: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[tuple[Place, ...]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def came(self, host: str) -> None:
        """There is a slot on a host."""
        if host in self._known:
            return
        self._known.add(host)
        self._came.put(host)
        if self._thread is None and host != socket.gethostname() and self._may_be_asked():
            self._thread = threading.Thread(target=self._work, name="shardwise-locality", daemon=True)
            self._thread.start()

    def news(self, now: float) -> list[Located]:
        """What has been found since the last time."""
        found = []
        while not self._found.empty():
            places = self._found.get()
            self._places |= {place.task: place.hosts for place in places}
            found.append(Located(now, places))
        return found

    def count(self, task: int, host: str, size: int) -> None:
        """A task was read on a host."""
        hosts = self._places.get(task)
        if hosts:
            self.located += max(size, 1)
            self.local += max(size, 1) * (host in hosts)

    def close(self) -> None:
        """Look for nothing more."""
        self._came.put(None)

    # --- the thread ------------------------------------------------------------------------------------------------

    def _may_be_asked(self) -> bool:
        return any(says_where(fragment.name) for fragment in self._graph.fragments)

    def _work(self) -> None:
        extents: list[list[placement.Extent]] | None = None
        named: dict[str, list[str]] = {}  # {address: hosts as slots name them}
        while (host := self._came.get()) is not None:
            named.setdefault(address(host), []).append(host)
            if not self._came.empty():
                continue
            extents = extents or self._extents()
            self._found.put(self._all_places(extents, named))

    def _extents(self) -> list[list[placement.Extent]]:
        def of(name: str) -> list[placement.Extent]:
            blocks = self._ask(name, options_for(name))
            return [placement.Extent(first, size, _addresses(hosts)) for first, size, hosts in blocks]

        with ThreadPoolExecutor(ASKING) as threads:
            return list(threads.map(of, [fragment.name for fragment in self._graph.fragments]))

    def _all_places(
        self, extents: Sequence[Sequence[placement.Extent]], named: dict[str, list[str]]
    ) -> tuple[Place, ...]:
        fragments = self._graph.fragments
        starts = list(accumulate((fragment.batches for fragment in fragments), initial=0))
        sizes = [fragment.size or 0 for fragment in fragments]
        found = []
        for task in list(self._graph.tasks):
            if not task.needs and not task.done:
                near = placement.near(*placement.held((task.first, task.last), starts, sizes, extents))
                found.append(Place(task.id, tuple(host for at in near for host in named.get(at, [f"{at} (no slot)"]))))
        return tuple(found)


def address(host: str) -> str:
    """One name for all that mean a host: its address; the name itself, where that is not known.

    Examples
    --------
    >>> address("localhost") == address("127.0.0.1") == address(socket.gethostname())
    True
    """
    if host == socket.gethostname():
        return "127.0.0.1"
    try:
        found = socket.gethostbyname(host)
    except OSError:
        return host.lower()
    return "127.0.0.1" if found.startswith("127.") else found


def _addresses(hosts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(address, hosts)))
