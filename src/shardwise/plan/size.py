"""How large data are, what that is called, and what it suggests on this machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shardwise.compute.machine import usable_memory
from shardwise.sizes import format_count, format_duration, format_percent, format_rate, format_size

CLASSES = ((10**9, "small"), (10**11, "medium"), (10**12, "large"), (math.inf, "very large"))
"""Bytes in memory up to which data are called so."""

ROOM = 4
"""Data that fit so many times leave room for the copies that work on them makes."""

LONG_SECONDS = 3600.0
"""Data that take longer to be read once are work for several machines."""

TEXTBOOK_RATE = 0.5e9
"""Bytes per second of a SATA SSD: what reading is taken to be where nothing was measured."""


def size_class(held: float) -> str:
    """What data of so many bytes in memory are called.

    Examples
    --------
    >>> size_class(1e9), size_class(2e9), size_class(1e12), size_class(1.1e12)
    ('small', 'medium', 'large', 'very large')
    """
    return next(name for most, name in CLASSES if held <= most)


def suggestion(held: float, stored: float | None = None, free: int | None = None, rate: float | None = None) -> str:
    """What to do with data of so many bytes on this machine, in one sentence.

    Parameters
    ----------
    held : float
        Bytes in memory.
    stored : float, optional
        Bytes to be read; ``held`` unless given.
    free : int, optional
        Bytes of memory that can be used; as they are now unless given.
    rate : float, optional
        Bytes per second that the storage reads.

    Examples
    --------
    >>> suggestion(2e9, free=16_000_000_000)
    'fits in the 16.0 GB of memory that are free here, with room to work'
    >>> print(suggestion(4e12, free=16_000_000_000).partition("; ")[2])
    at 500 MB/s reading takes 2 h 13 min, which several machines shorten
    """
    free = usable_memory() if free is None else free
    there = f"the {format_size(free)} of memory that are free here"
    if held * ROOM <= free:
        return f"fits in {there}, with room to work"
    if held <= free:
        return f"fits in {there}, but copies of it do not: work in pieces"
    seconds = (stored or held) / (rate or TEXTBOOK_RATE)
    if seconds < LONG_SECONDS:
        return f"larger than {there}: read in pieces"
    reading = f"at {format_rate(rate or TEXTBOOK_RATE)} reading takes {format_duration(seconds)}"
    return f"larger than {there} and read in pieces; {reading}, which several machines shorten"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a dataset's source is. Its operations are not counted.

    Parameters
    ----------
    rows : int or None
        Rows, or items. None: unknown, as compressed text and queries tell it only when they are read to their end.
    is_exact : bool
        Whether ``rows`` were counted or told; else they are estimated from the sample.
    stored : int or None
        Bytes on disk.
    row_bytes : float or None
        Bytes of a row in memory, measured. None: there are no rows.
    memory, memory_low, memory_high : int or None
        Bytes of all of it in memory, and the 95 % interval; exact where all batches were looked at.
    batches : int
        That were looked at.
    all_batches : int or None
        That there are.
    sampled_rows : int
        Rows in those that were looked at.
    rate : float or None
        Bytes per second that its storage reads, where ``shardwise probe`` has measured it.
    items : bool
        Whether rows are Python objects.
    """

    rows: int | None
    is_exact: bool
    stored: int | None
    row_bytes: float | None
    memory: int | None
    memory_low: int | None
    memory_high: int | None
    batches: int
    all_batches: int | None
    sampled_rows: int
    rate: float | None = None
    items: bool = False

    @property
    def size_class(self) -> str | None:
        """``small``, ``medium``, ``large`` or ``very large``; None where bytes in memory are unknown."""
        return None if self.memory is None else size_class(self.memory)

    @property
    def suggestion(self) -> str | None:
        """What to do with it on this machine, in one sentence."""
        return None if self.memory is None else suggestion(self.memory, self.stored, rate=self.rate)

    def __repr__(self) -> str:
        what = "items" if self.items else "rows"
        facts = [f"an unknown number of {what}"]
        if self.rows is not None:
            facts = [f"{'' if self.is_exact else 'about '}{format_count(self.rows)} {what}"]
        if self.stored is not None:
            facts.append(f"{format_size(self.stored)} on disk")
        if self.row_bytes is not None:
            whole = "" if self.memory is None else f"{self._memory()} in memory, "
            facts.append(
                f"{whole}{self.row_bytes:,.1f} bytes {'an item' if self.items else 'a row'} ({self._sample()})"
            )
        if self.memory is not None:
            facts.append(f"{self.size_class}: {self.suggestion}")
        return ", ".join(facts)

    def _memory(self) -> str:
        assert self.memory is not None
        if self.memory_low is None or self.memory_high is None or self.memory_low == self.memory_high:
            return format_size(self.memory)
        spread = format_percent((self.memory_high - self.memory_low) / 2 / max(1, self.memory))
        return f"{format_size(self.memory)} +- {spread}"

    def _sample(self) -> str:
        whole = "" if self.all_batches is None else f" of {format_count(self.all_batches)}"
        return f"measured on {format_count(self.batches)}{whole} batches"
