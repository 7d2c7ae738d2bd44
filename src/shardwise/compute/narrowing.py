"""Which rows of a batch make a function fail: found by calling it on parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt
from typing import TypeVar

MOST_BAD_ROWS = 100
"""A batch with more bad rows goes to quarantine as a whole: then it is hardly the rows that are wrong."""

ONE_BY_ONE = 1024
"""A run of rows that kills a worker is tried row by row where it is at most so long."""

F = TypeVar("F")

Probe = Callable[[int, int], F | None]
"""Calls the function on rows [first, last); gives the failure, or None where there is none."""


def narrow(rows: int, failure: F, probe: Probe[F], most: int = MOST_BAD_ROWS) -> dict[int, F] | None:
    """Find the rows that fail alone, by halving.

    Parameters
    ----------
    rows : int
        Of the batch, which is known to fail.
    failure : F
        How it failed.
    probe : callable
        Tries rows [first, last).
    most : int
        Give up beyond so many.

    Returns
    -------
    dict or None
        Bad rows, ascending, each with its own failure; None where there are more than ``most``.

    Examples
    --------
    >>> narrow(8, "bad", lambda first, last: "bad" if first <= 5 < last else None)
    {5: 'bad'}
    """
    bad: dict[int, F] = {}
    waiting: list[tuple[int, int, F | None]] = [(0, rows, failure)]
    while waiting:
        first, last, known = waiting.pop()
        why = probe(first, last) if known is None else known
        if why is None:
            continue
        if last - first == 1:
            bad[first] = why
            if len(bad) > most:
                return None
            continue
        middle = (first + last) // 2
        waiting += [(middle, last, None), (first, middle, None)]
    return bad


def search(rows: int, begin: int, fatal: int, exact: bool, probe: Probe[object]) -> None:
    """Call a function on parts from left to right until it dies on the smallest part that kills it.

    Whoever watches the process learns where it died, and begins here again with what was learned: everything before
    ``begin`` is known to be harmless (or known to be bad, and left out by ``probe``), and rows [begin, fatal) are known
    to kill. So one bad row costs two deaths in a batch of a million, where halving would cost twenty.

    Parameters
    ----------
    rows, begin, fatal : int
        Rows of the batch, and what is known; ``fatal <= begin`` where the last death named one row.
    exact : bool
        A death names the very row, whatever the part.
    probe : callable
        Tries rows [first, last). Where it fails without dying, the part is halved: what fails early in it may hide
        what kills later.
    """
    parts = [*cut(begin, fatal, exact=False)] if fatal > begin else []
    begin = max(begin, fatal)
    parts += [(begin, rows)] if exact and begin < rows else [*steps(begin, rows, part_of(rows))]
    for part in parts:
        waiting = [part]
        while waiting:
            first, last = waiting.pop()
            if probe(first, last) is not None and last - first > 1:
                middle = (first + last) // 2
                waiting += [(middle, last), (first, middle)]


def cut(first: int, last: int, exact: bool) -> Iterator[tuple[int, int]]:
    """Parts of a run of rows that is known to kill: never the whole of it.

    Examples
    --------
    >>> list(cut(4, 7, exact=False))
    [(4, 5), (5, 6), (6, 7)]
    """
    return steps(first, last, part_of(last - first))


def part_of(rows: int) -> int:
    """Rows of a part: one, or the square root of many, so that two rounds find one row of a million."""
    return 1 if rows <= ONE_BY_ONE else isqrt(rows - 1) + 1


def steps(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """[first, last) in pieces of ``size``.

    Examples
    --------
    >>> list(steps(0, 5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    return ((at, min(at + size, last)) for at in range(first, last, size))
