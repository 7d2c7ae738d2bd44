"""The seam between outputs and formats: a sink opens a writer, which takes one batch a call."""

from __future__ import annotations

import os
from types import TracebackType
from typing import IO, Any, Protocol, Self

import pyarrow as pa

from shardwise.data.source import Kind
from shardwise.errors import UsageError
from shardwise.storage.digests import DigestWriter

Target = str | os.PathLike[str] | IO[bytes] | DigestWriter


class Writer:
    """Writes one file, counting its rows, its bytes and their digest on the way.

    Parameters
    ----------
    target : path or file
        A path is created anew and closed at the end; a file is written to from where it stands, and left open.

    Notes
    -----
    Use it in a ``with`` block: when that ends without an error the format is completed. ``size`` and ``digest``
    (BLAKE2b with 160 bits, in hex) are those of all bytes then.
    """

    def __init__(self, target: Target) -> None:
        self._owned = isinstance(target, (str, os.PathLike))
        opened: Any = open(target, "wb") if isinstance(target, (str, os.PathLike)) else target  # noqa: SIM115
        self.file = opened if isinstance(opened, DigestWriter) else DigestWriter(opened)
        self.rows = 0

    @property
    def size(self) -> int:
        """Bytes written."""
        return self.file.size

    @property
    def digest(self) -> str:
        """Digest of the bytes written."""
        return self.file.digest

    def write(self, batch: Any) -> None:
        """Append one batch; one without rows leaves no trace."""
        if len(batch):
            self._append(batch)
            self.rows += len(batch)

    def close(self) -> None:
        """Complete the format."""
        self._finish()
        if self._owned:
            self.file.close()
        else:
            self.file.flush()

    def _append(self, batch: Any) -> None:
        raise TypeError(f"{type(self).__name__} does not say how to append")

    def _finish(self) -> None:
        """Write what stands after the last batch."""

    def _abandon(self) -> None:
        """Let go of what is held, without completing the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._abandon()
        if self._owned:
            self.file.close()


class Sink(Protocol):
    """A format with its options: small, immutable, picklable."""

    @property
    def suffix(self) -> str:
        """What names of its files end with."""

    @property
    def kind(self) -> Kind:
        """What its batches are."""

    def check(self, schema: pa.Schema) -> None:
        """Raise UsageError where a column cannot be written, before any work."""

    def open(self, target: Target, schema: pa.Schema) -> Writer:
        """Begin a file. Without any batch it becomes a valid one that has the schema and no rows."""


def decoded(schema: pa.Schema) -> pa.Schema:
    """Replace dictionaries by their values: which values a dictionary holds depends on more than the rows do."""
    return pa.schema([_decoded_field(field) for field in schema])


def refuse(column: str, kind: pa.DataType, format_name: str, fix: str) -> UsageError:
    """Say that a format has no form for a type."""
    return UsageError(f"column {column!r} is {kind}, which {format_name} cannot hold", fix)


def _decoded_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _decoded_type(field.type), field.nullable)


def _decoded_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_struct(kind):
        return pa.struct([_decoded_field(kind.field(number)) for number in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _decoded_field(kind.item_field), kind.keys_sorted)
    for is_list, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_list(kind):
            return make(_decoded_field(kind.value_field))
    return kind
