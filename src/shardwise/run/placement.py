"""Which hosts hold what a task reads, and when that decides where it runs.

Small pure functions, as in ``policies``. Nothing is waited for: a slot that is idle takes a task from afar rather than
none (delay scheduling, Zaharia et al., EuroSys 2010, waits; here a task is shorter than the wait would be worth).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NEAR = 0.5
"""A host that holds at least this share of a task's bytes is near to it."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes [first, first + size) of a file, and the hosts that each hold all of them."""

    first: int
    size: int
    hosts: tuple[str, ...]


def shares(first: float, last: float, extents: Sequence[Extent]) -> dict[str, float]:
    """Say how many bytes of [first, last) of a file each host holds.

    Examples
    --------
    >>> shares(0, 100, [Extent(0, 80, ("a", "b")), Extent(80, 80, ("b",))])
    {'a': 80, 'b': 100}
    """
    held: dict[str, float] = {}
    for extent in extents:
        overlap = min(last, extent.first + extent.size) - max(first, extent.first)
        for host in extent.hosts if overlap > 0 else ():
            held[host] = held.get(host, 0) + overlap
    return held


def near(held: Mapping[str, float], size: float) -> tuple[str, ...]:
    """Say which hosts hold enough of a task's bytes, the one with most first.

    Examples
    --------
    >>> near({"a": 80, "b": 100, "c": 10}, 100), near({}, 100)
    (('b', 'a'), ())
    """
    enough = [(-bytes_, host) for host, bytes_ in held.items() if bytes_ >= NEAR * size > 0]
    return tuple(host for _, host in sorted(enough))


def may_be_passed(shares: int, failed: bool) -> bool:
    """Say whether a task that is first in line may be passed by others that are near to an idle slot.

    Not where it needs more than one share of a host's memory, which others would take again and again; nor where it
    failed before, as its end may be what the run waits for.

    Examples
    --------
    >>> may_be_passed(1, False), may_be_passed(2, False), may_be_passed(1, True)
    (True, False, False)
    """
    return shares == 1 and not failed


def held(
    task: tuple[int, int], starts: Sequence[int], sizes: Sequence[int], extents: Sequence[Sequence[Extent]]
) -> tuple[dict[str, float], float]:
    """Say how many bytes of a task's ordinals each host holds, and how many there are.

    Parameters
    ----------
    task : (int, int)
        Ordinals [first, last).
    starts : sequence of int
        First ordinal of each fragment, and the end. Ordinals of a fragment are taken for equally long.
    sizes : sequence of int
        Stored bytes of each fragment.
    extents : sequence of sequence of Extent
        Of each fragment.

    Examples
    --------
    >>> held((1, 6), [0, 4, 8], [400, 400], [[Extent(0, 400, ("a",))], [Extent(0, 400, ("b",))]])
    ({'a': 300.0, 'b': 200.0}, 500.0)
    """
    first, last = task
    total: dict[str, float] = {}
    size, at = 0.0, bisect_right(starts, first) - 1
    while at < len(sizes) and starts[at] < last:
        begin, batches = starts[at], starts[at + 1] - starts[at]
        if batches:
            each = sizes[at] / batches
            low, high = (max(first, begin) - begin) * each, (min(last, begin + batches) - begin) * each
            size += high - low
            for host, part in shares(low, high, extents[at]).items():
                total[host] = total.get(host, 0) + part
        at += 1
    return total, size
