"""Python objects as a source: one item is one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.data.base import MAX_FRAGMENT_BATCHES, BaseSource
from shardwise.data.source import Batch, Fragment, Kind
from shardwise.errors import InternalError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ItemsSource(BaseSource):
    """Items in this process' memory; ``held`` may be only those from ordinal ``offset`` on (see `part`)."""

    held: tuple[Any, ...]
    offset: int = 0
    kind: Kind = "items"

    @property
    def schema(self) -> pa.Schema | None:
        """Items have none."""
        return None

    @property
    def remote_safe(self) -> bool:
        """Another process needs the items sent: see `part`."""
        return False

    def part(self, first: int, last: int) -> ItemsSource:
        """Keep ordinals [first, last) only; their numbers and positions stay, so that a few items can be sent."""
        self._check(first, last)
        return replace(self, held=self.held[first - self.offset : last - self.offset], offset=first)

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Yield each item as a list of one."""
        self._check(first, last)
        for fragment, start, end in self.spans(first, last):
            for index in range(start, end):
                yield Batch(fragment, index, [self.held[self.starts[fragment] + index - self.offset]])

    def items(self, first: int, last: int) -> tuple[Any, ...]:
        """The items of ordinals [first, last) themselves."""
        self._check(first, last)
        return self.held[first - self.offset : last - self.offset]

    def place(self, ordinal: int) -> tuple[int, int]:
        """Fragment and batch of an ordinal."""
        fragment, index, _ = next(self.spans(ordinal, ordinal + 1))
        return fragment, index

    def _check(self, first: int, last: int) -> None:
        if first < last and not self.offset <= first <= last <= self.offset + len(self.held):
            raise InternalError(
                f"items [{first}, {last}) of a part that holds [{self.offset}, {self.offset + len(self.held)})"
            )


def from_items(items: Iterable[Any]) -> ItemsSource:
    """Make a source of Python objects.

    Parameters
    ----------
    items : iterable
        A list, or anything that can be iterated over; it is drawn once, here, and kept in memory.

    Returns
    -------
    ItemsSource
        One batch for each item. Items must be picklable where other processes are to see them.

    Raises
    ------
    UsageError
        If ``items`` is text, bytes or cannot be iterated over.

    Examples
    --------
    >>> [batch.data for batch in from_items(["a", "b"]).read(0, 2)]
    [['a'], ['b']]
    """
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise UsageError(f"from_items got a {type(items).__name__}", "give a list of items, as in from_items([item])")
    held = tuple(items)
    pieces = [min(MAX_FRAGMENT_BATCHES, len(held) - start) for start in range(0, len(held), MAX_FRAGMENT_BATCHES)]
    fragments = tuple(Fragment("<items>", batches=rows, rows=rows) for rows in pieces or [0])
    return ItemsSource(fragments, 1, held)
