"""What a task does: a program, the same for all tasks of a stage, and the attempt it works for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.guard import Quarantine
    from shardwise.compute.task import Output, TaskSpec

CARRIED = 64 * 1024
"""Outputs of at most this many bytes travel in the outcome and live in the journal; larger ones are files."""


class Attempt(Protocol):
    """What a program may do while it executes one attempt."""

    spec: TaskSpec

    @property
    def quarantine(self) -> Quarantine:
        """Rows that are left out, and what is known of those that kill workers."""

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The worker's DuckDB connection: ``spec.threads``, ``spec.memory`` and a place to spill are set."""

    def write(self, name: str, publish: str = "") -> AbstractContextManager[IO[bytes]]:
        """A new file of this attempt. When the block ends without error it is flushed to disk (fsync), and an Output
        with its size and digest is recorded; set ``rows`` by ``wrote_rows(name, n)``."""

    def wrote_rows(self, name: str, rows: int) -> None:
        """Say how many rows the output ``name`` has."""

    def give(self, name: str, data: bytes, rows: int = 0) -> None:
        """Record bytes as an output: carried when at most ``CARRIED``, written to a file otherwise."""

    def inputs(self) -> Iterator[tuple[Output, bytes | memoryview]]:
        """The committed inputs in order, one at a time, digests verified."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Count the time of the block as ``"read"``, ``"compute"`` or ``"write"``; nested phases are subtracted."""

    def count(self, *, rows_in: int = 0, bytes_in: int = 0, rows_out: int = 0, batches: int = 0) -> None:
        """Add to the metrics; also a sign of life, sent on at most ten times a second."""

    def log(self, line: str) -> None:
        """Keep a line for ``shardwise logs``."""


class Program(Protocol):
    """The function of a stage. Travels by cloudpickle, once per worker; may keep what it builds once per worker."""

    def execute(self, attempt: Attempt) -> None:
        """Read ordinals [spec.first, spec.last) or the inputs, compute, record outputs. Raises what the user's
        function raises; the caller turns it into a Failure."""
