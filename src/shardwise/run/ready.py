"""Tasks that wait for a slot: which is first, and which is near to a host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush


class Ready:
    """Ids of tasks. The lowest is first in line; hosts that hold a task's input have lines of their own.

    Adding, removing and looking cost O(log tasks) each, on average.

    Attributes
    ----------
    ids : set of int
        All of them, for who only wants to know whether there are any.

    Examples
    --------
    >>> ready = Ready()
    >>> ready.locate(2, ("b",))
    >>> for task in (2, 1, 3): ready.add(task)
    >>> ready.lowest, ready.near({"a", "b"}), ready.near({"a"})
    (1, (2, 'b'), None)
    >>> ready.remove(2)
    >>> ready.near({"b"}), list(ready)
    (None, [1, 3])
    """

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self._line: list[int] = []  # heaps; those that are no longer ready are dropped when they come to the front
        self._near: dict[str, list[int]] = {}
        self._hosts: dict[int, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.ids))

    def add(self, task: int) -> None:
        """It waits for a slot from now on."""
        self.ids.add(task)
        heappush(self._line, task)
        for host in self._hosts.get(task, ()):
            heappush(self._near.setdefault(host, []), task)

    def remove(self, task: int) -> None:
        """It waits no more."""
        self.ids.remove(task)

    def locate(self, task: int, hosts: tuple[str, ...]) -> None:
        """These hosts hold its input; they may be told again, and of a task that does not wait."""
        fresh = set(hosts) - set(self._hosts.get(task, ()))
        self._hosts[task] = hosts
        if task in self.ids:
            for host in fresh:
                heappush(self._near.setdefault(host, []), task)

    def hosts(self, task: int) -> tuple[str, ...]:
        """Those that hold its input, as far as anybody knows."""
        return self._hosts.get(task, ())

    @property
    def lowest(self) -> int:
        """The first in line."""
        found = self._front(self._line)
        assert found is not None
        return found

    @property
    def knows_hosts(self) -> bool:
        """Whether there is any line but the one."""
        return bool(self._near)

    def near(self, hosts: Iterable[str]) -> tuple[int, str] | None:
        """The lowest whose input one of these hosts holds, and which host that is."""
        found = [(task, host) for host in hosts if (task := self._front(self._near.get(host, []), host)) is not None]
        return min(found, default=None)

    def _front(self, line: list[int], host: str | None = None) -> int | None:
        while line and (line[0] not in self.ids or (host is not None and host not in self.hosts(line[0]))):
            heappop(line)
        return line[0] if line else None
