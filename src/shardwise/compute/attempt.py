"""What a program gets to work with while it executes one attempt."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from shardwise.compute.connection import forget_connection, lend_connection, spill_directory
from shardwise.compute.machine import peak_memory, queued_seconds, resident_memory
from shardwise.compute.program import CARRIED
from shardwise.compute.task import EPHEMERAL, QUARANTINE, Metrics, Output, TaskSpec
from shardwise.errors import InternalError, StorageError
from shardwise.storage import DigestWriter, LocalStore, Store, digest, open_store
from shardwise.storage.naming import attempt_name

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.calls import Calls
    from shardwise.compute.guard import Quarantine

OnProgress = Callable[[int, int, int], None]
"""Called with rows and bytes done so far, and bytes of memory held now."""

INTERPRETER = 90 << 20
"""Bytes that a worker holds when it begins."""

KERNEL_SHARE = 0.7
"""Part of the rest after which DuckDB spills."""

LEAST_FOR_KERNEL = 32 << 20
"""DuckDB does not work with less."""

SIGN_SECONDS = 0.1
"""Signs of life are at least this far apart."""


class ActiveAttempt:
    """The `Attempt` that workers and the inline engine hand to programs.

    Parameters
    ----------
    spec : TaskSpec
        What is to be done. Nothing is written before the program writes.
    on_progress : callable or None
        Told by ``count``, at most ten times a second.
    say : callable
        Takes the lines of ``log``.
    calls : Calls, optional
        Told which rows functions are called on, where somebody outlives this process.
    """

    def __init__(
        self, spec: TaskSpec, on_progress: OnProgress | None, say: Callable[[str], None], calls: Calls | None = None
    ) -> None:
        self.spec = spec
        self._calls = calls
        self.log = say
        self._on_progress = on_progress
        self._next_sign = 0.0
        self._cpu = time.process_time()
        self._queued = queued_seconds() if spec.measured else 0.0
        self._counts = Metrics()
        self._seconds = {"read": 0.0, "compute": 0.0, "write": 0.0}
        self._phases: list[str] = []
        self._phase_since = 0.0
        self._outputs: dict[str, Output] = {}
        self._cursor: duckdb.DuckDBPyConnection | None = None

    @functools.cached_property
    def quarantine(self) -> Quarantine:
        """Rows that are left out."""
        from shardwise.compute.guard import Quarantine  # here, as most tasks leave nothing out

        return Quarantine(self.spec, self._calls)

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The worker's DuckDB connection; the same all through the attempt, closed when it ends."""
        if self._cursor is None:
            Path(self._spill).parent.mkdir(parents=True, exist_ok=True)  # DuckDB makes only the last level
            self._cursor = lend_connection(self.spec.threads, _for_kernel(self.spec.memory), self._spill)
        return self._cursor

    @contextmanager
    def write(self, name: str, publish: str = "") -> Iterator[IO[bytes]]:
        """A new file of this attempt; durable, and an output, when the block ends without error."""
        if name in self._outputs:
            raise InternalError(f"output {name!r} of stage {self.spec.stage} was written twice")
        file = attempt_name(name, publish)
        writer = DigestWriter(self._store.open_write(file))
        try:
            yield cast(IO[bytes], writer)
            writer.close()
        except BaseException:
            with contextlib.suppress(OSError, StorageError, ValueError):
                writer.close()
            with contextlib.suppress(OSError, StorageError):
                self._store.delete(file)
            raise
        self._outputs[name] = Output(name, 0, writer.size, writer.digest, publish=publish)

    def wrote_rows(self, name: str, rows: int) -> None:
        """Say how many rows the output ``name`` has, once it is written."""
        if name not in self._outputs:
            raise InternalError(f"stage {self.spec.stage} counted rows of {name!r}, which it has not written")
        self._outputs[name] = replace(self._outputs[name], rows=rows)

    def give(self, name: str, data: bytes, rows: int = 0) -> None:
        """Record bytes as an output: in the outcome itself where they are few, as a file otherwise."""
        if len(data) > CARRIED:
            with self.phase("write"), self.write(name) as file:
                file.write(data)
            self.wrote_rows(name, rows)
        elif name in self._outputs:
            raise InternalError(f"output {name!r} of stage {self.spec.stage} was given twice")
        else:
            self._outputs[name] = Output(name, rows, len(data), digest(data), data)

    def inputs(self) -> Iterator[tuple[Output, bytes | memoryview]]:
        """The committed inputs in order, one at a time.

        Raises
        ------
        StorageError
            A file is missing, or its bytes are not those that were committed.
        """
        for output in self.spec.inputs:
            with self.phase("read"):
                data = self._fetch(output) if output.data is None else output.data
                if digest(data) != output.digest:
                    raise StorageError(
                        f"{_where(self.spec.root, output)} is not what was committed: {len(data)} bytes with digest "
                        f"{digest(data)}, where {output.size} bytes with digest {output.digest} were written",
                        "run the same command again: what is damaged is made again",
                    )
            yield output, data

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block as ``read``, ``compute`` or ``write``, less that of phases inside it."""
        if name not in self._seconds:
            raise InternalError(f"there is no phase {name!r}")
        self._turn()
        self._phases.append(name)
        try:
            yield
        finally:
            self._turn()
            self._phases.pop()

    def count(self, *, rows_in: int = 0, bytes_in: int = 0, rows_out: int = 0, batches: int = 0) -> None:
        """Add to the metrics, and show a sign of life."""
        now = self._counts
        self._counts = replace(
            now,
            rows_in=now.rows_in + rows_in,
            bytes_in=now.bytes_in + bytes_in,
            rows_out=now.rows_out + rows_out,
            batches=now.batches + batches,
        )
        if self._on_progress is not None and time.monotonic() >= self._next_sign:
            self._on_progress(self._counts.rows_in, self._counts.bytes_in, resident_memory())
            self._next_sign = time.monotonic() + SIGN_SECONDS

    # --- for who executes the program ------------------------------------------------------------------------------

    def seal(self) -> None:
        """Record the rows that were left out as one more output, where there are any."""
        if "quarantine" in self.__dict__ and self.quarantine.rows:
            from shardwise.compute.bad_rows import to_ipc

            self.give(QUARANTINE, to_ipc(self.quarantine.rows), len(self.quarantine.rows))

    def outputs(self) -> tuple[Output, ...]:
        """What was recorded, in the order of recording."""
        return tuple(self._outputs.values())

    def metrics(self, seconds: float) -> Metrics:
        """What was counted and timed, given how long it took altogether."""
        return replace(
            self._counts,
            seconds=seconds,
            read_seconds=self._seconds["read"],
            compute_seconds=self._seconds["compute"],
            write_seconds=self._seconds["write"],
            cpu_seconds=time.process_time() - self._cpu,
            queued_seconds=queued_seconds() - self._queued if self.spec.measured else 0.0,
            bytes_out=sum(output.size for output in self._outputs.values()),
            peak_memory=peak_memory() if self.spec.measured else 0,
        )

    def close(self) -> None:
        """Give the connection back; what it spilled is removed."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()
            if Path(self._spill).is_dir():
                forget_connection()
            if self._local_spill:
                with contextlib.suppress(OSError):  # not empty: outputs were written there
                    Path(self._local_spill).parent.rmdir()

    @functools.cached_property
    def _store(self) -> Store:
        store = open_store(self.spec.directory)
        if self.spec.run == EPHEMERAL and isinstance(store, LocalStore):
            store.durable = False
        return store

    @functools.cached_property
    def _local_spill(self) -> str | None:
        return self._store.local_path("_spill")

    @property
    def _spill(self) -> str:
        return self._local_spill or spill_directory(os.getpid())

    def _turn(self) -> None:
        """Book the time since the last turn on the innermost phase."""
        now = time.monotonic()
        if self._phases:
            self._seconds[self._phases[-1]] += now - self._phase_since
        self._phase_since = now

    def _fetch(self, output: Output) -> bytes:
        if _is_absolute(output.path):
            directory, _, name = output.path.rpartition("/")
            return open_store(directory or "/").get(name)
        return open_store(self.spec.root).get(output.path)


def _for_kernel(memory: int | None) -> int | None:
    """What DuckDB may use of a worker's memory: not what the interpreter, libraries, and batches on their way hold."""
    return None if memory is None else max(LEAST_FOR_KERNEL, int((memory - INTERPRETER) * KERNEL_SHARE))


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or "://" in path


def _where(root: str, output: Output) -> str:
    if output.data is not None:
        return f"input {output.name!r}"
    return output.path if _is_absolute(output.path) else f"{root.rstrip('/')}/{output.path}"
