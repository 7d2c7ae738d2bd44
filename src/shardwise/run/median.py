"""The median of numbers that come one by one."""

from __future__ import annotations

from heapq import heappush, heappushpop


class RunningMedian:
    """The upper median of all numbers so far; one more costs O(log n).

    Examples
    --------
    >>> seconds = RunningMedian()
    >>> for number in (5.0, 1.0, 3.0, 4.0):
    ...     seconds.add(number)
    >>> len(seconds), seconds.value
    (4, 4.0)
    """

    def __init__(self) -> None:
        self._lower: list[float] = []  # heap of the smaller half, negated
        self._upper: list[float] = []  # heap of the others, one more where their number is odd

    def __len__(self) -> int:
        return len(self._lower) + len(self._upper)

    def add(self, number: float) -> None:
        """Take one more."""
        if len(self._lower) == len(self._upper):
            heappush(self._upper, -heappushpop(self._lower, -number))
        else:
            heappush(self._lower, -heappushpop(self._upper, number))

    @property
    def value(self) -> float:
        """The median; 0.0 before there is a number."""
        return self._upper[0] if self._upper else 0.0
