"""Parts of the person's output directory: a file is a fixed run of batches, a row group is one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shardwise.compute.convert import to_table
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt
from shardwise.data.source import Batch
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.data.sinks import Sink


@dataclass(frozen=True, slots=True)
class WriteProgram:
    """Writes parts ``part-00000.parquet`` ...; part n holds ordinals [n * part_batches, (n + 1) * part_batches).

    A fragment that can only be read in order has one ordinal and any number of batches; it is cut into more parts
    after every ``part_batches`` batches: ``part-00000-001.parquet``.
    """

    pipeline: Pipeline
    sink: Sink
    part_batches: int

    def __post_init__(self) -> None:
        """Refuse what the format cannot hold, in the driver and before any work, as soon as the columns are known."""
        shape = self.pipeline.shape
        if shape.schema is None:
            return
        if self.sink.kind == "array" and shape.kind != "array":
            raise UsageError(
                f"{self.sink.suffix} files hold arrays, but this job ends with a {shape.kind}",
                "end with a map(...) that returns a NumPy array, or write Parquet",
            )
        self.sink.check(shape.schema)

    def execute(self, attempt: Attempt) -> None:
        """Write the parts of the shard, which is made of whole parts."""
        spec = attempt.spec
        step = self.part_batches
        for first in range(spec.first, spec.last, step):
            part = _Window(attempt, first, min(first + step, spec.last))
            self._write_part(attempt, f"part-{first // step:05d}", self.pipeline.batches(part))

    def _write_part(self, attempt: Attempt, stem: str, batches: Iterator[Batch]) -> None:
        shape = self.pipeline.shape
        for more, run in enumerate(_runs(batches, self._cut())):
            name = f"{stem}{f'-{more:03d}' if more else ''}{self.sink.suffix}"
            rows = 0
            with attempt.write(name, publish=name) as file, self.sink.open(file, shape.schema) as writer:
                for batch in run:
                    data = batch.data if self.sink.kind == "array" else to_table(batch.data)
                    if len(data):
                        with attempt.phase("write"):
                            writer.write(data)
                        rows += len(data)
            attempt.wrote_rows(name, rows)
            attempt.count(rows_out=rows)

    def _cut(self) -> int | None:
        in_order = any(fragment.in_order for fragment in self.pipeline.source.fragments)
        return self.part_batches if in_order else None


def _runs(batches: Iterator[Batch], cut: int | None) -> Iterator[Iterator[Batch]]:
    """Runs of at most ``cut`` batches; at least one run, which may be empty."""
    if cut is None:
        yield batches
        return
    held: list[Batch] = []
    yielded = False
    for batch in batches:
        held.append(batch)
        if len(held) == cut:
            yield iter(held)
            held, yielded = [], True
    if held or not yielded:
        yield iter(held)


class _Window:
    """An attempt that sees only some of its ordinals."""

    def __init__(self, attempt: Attempt, first: int, last: int) -> None:
        self._attempt = attempt
        self.spec = replace(attempt.spec, first=first, last=last)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attempt, name)
