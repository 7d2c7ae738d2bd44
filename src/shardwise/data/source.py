"""The seam between whatever holds data and everything that processes it.

A source is a list of fragments (files, or pieces of memory). Batches restart at each fragment, and where they are cut
depends on the data and on ``batch_rows`` alone, never on the plan.

Every batch that can be read by itself has an *ordinal*: 0, 1, 2 ... over all fragments in order. A fragment that can
only be read from its start (compressed text, a partition of a database query) takes one ordinal, and reading it yields
all of its batches. A shard is a run of ordinals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 131_072
"""Rows of a batch unless the person says otherwise."""

MAX_BATCH_ROWS = 1 << 20
"""The most that ``batch_rows`` may be: a row's position must fit in 63 bits."""

POSITION = "__position"
"""Name of the int64 column that orders rows of a dataset, where an operation or aggregate asks for it."""

Kind = Literal["table", "array", "items"]
"""What a batch holds: ``pyarrow.Table``, ``numpy.ndarray`` (axis 0 = rows), or a list of Python objects."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One file or piece of memory.

    Parameters
    ----------
    name : str
        Path or URL; for memory a word such as ``"<array>"``.
    batches : int
        How many ordinals it takes: its batches, or 1 when ``in_order``. 0 for an empty file.
    rows : int or None
        Rows, where the file says so without being read.
    size : int or None
        Bytes as stored.
    in_order : bool
        Only readable from its start; its one ordinal yields all its batches.
    """

    name: str
    batches: int
    rows: int | None = None
    size: int | None = None
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of consecutive rows and where it stands.

    ``data`` is what ``Source.kind`` says. ``fragment`` is the index of the fragment; ``index`` the number of the batch
    in it. (fragment, index, row in batch) is a row's position.
    """

    fragment: int
    index: int
    data: Any

    def position(self, row: int = 0) -> int:
        """Position of a row as one int64: 20 bits of fragment, 22 of batch, 21 of row; orders like the triple."""
        return (self.fragment << 43) | (self.index << 21) | row


@runtime_checkable
class Source(Protocol):
    """What every source provides. Sources are immutable and picklable (cloudpickle), and cheap to send where their
    data is in files. Reading opens files itself; nothing stays open between calls."""

    @property
    def kind(self) -> Kind:
        """What a batch holds."""

    @property
    def batch_rows(self) -> int:
        """Rows of a batch at most (text: on average)."""

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """Files or pieces of memory, in order."""

    @property
    def schema(self) -> pa.Schema | None:
        """The one schema of all batches (``None`` for items). Arrays: one field per column, ``c0``, ``c1`` ..."""

    @property
    def remote_safe(self) -> bool:
        """Whether another process can read it by itself (files, databases), rather than from this one's memory."""

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        """Yield the batches of ordinals [first, last), in order, with ``columns`` only (schema order) where given.

        A table batch has exactly the (selected) schema. Raises InputError naming file and record for a misfit.
        """

    def weigh(self, first: int, last: int) -> tuple[int, int]:
        """Rows and stored bytes of ordinals [first, last), 0 where not known without reading."""

    def scan(
        self, con: duckdb.DuckDBPyConnection, first: int, last: int, columns: list[str], positions: bool
    ) -> str | None:
        """SQL of a relation (usable after FROM, in parentheses) with ``columns`` of the rows of ordinals [first, last),
        plus ``__position`` when ``positions``; or None where DuckDB's own reader would not give the same values and
        types as ``read`` or cannot address these rows. Only has to order positions as ``Batch.position`` does."""

    def identity(self) -> dict[str, Any] | None:
        """JSON that changes when the data or the way it is read does (files: path, size, mtime or etag, options);
        None for memory, which has none."""

    def float_bounds(self, column: str) -> tuple[float, float] | None:
        """(min, max) of a float column over all fragments from statistics, where known without reading data."""
