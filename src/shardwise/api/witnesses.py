"""Processes that see the same batches: each calls the functions in an order and with a hash seed of its own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardwise import records
from shardwise.compute.outputs import decoded
from shardwise.compute.packing import dump_program
from shardwise.compute.programs.witness import HALVES, WitnessProgram
from shardwise.compute.task import EPHEMERAL, Failure, Outcome, Output, TaskSpec
from shardwise.data.loans import Loans
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import Finished, SlotDown, SlotUp, Want


@dataclass(frozen=True, slots=True)
class Key:
    """What an output is of: a step of a job, on a batch."""

    step: str
    fragment: int
    batch: int
    part: str

    @property
    def order(self) -> tuple[int, int, bool, int]:
        """By position, then by step: functions in their order, then aggregates."""
        return self.fragment, self.batch, self.step.startswith("a"), int(self.step.lstrip("a"))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one process said of one task: its outputs, or how it failed."""

    outputs: dict[Key, tuple[str, Output]]
    directory: str
    failure: Failure | None = None

    def data(self, key: Key) -> Any:
        """An output, read back."""
        form, output = self.outputs[key]
        data = output.data if output.data is not None else (Path(self.directory) / output.name).read_bytes()
        return data.decode() if form == "text" else decoded(form, data)


class Witness:
    """One worker process of this host that calls the functions.

    Parameters
    ----------
    program : WitnessProgram
        What it does for each task.
    hash_seed : str
        What decides the order of its sets of strings.
    threads : int
        That native libraries in it may use.
    place : Path
        Where its outputs may lie.
    """

    def __init__(self, program: WitnessProgram, hash_seed: str, threads: int, place: Path) -> None:
        self._loans = Loans("host")
        self._place = place
        self._tasks = 0
        self._slot: int | None = None
        self._threads = threads
        self._engine = LocalEngine(1, hash_seed)
        self._engine.open(Want(1, threads))
        self._program = self._engine.put(dump_program(program, self._loans))

    def see(self, first: int, timeout: float | None, halves: bool = False) -> Seen:
        """Call the functions on the batches of one ordinal. ``timeout``: seconds that it may take. ``halves``: on
        halves of each batch, too."""
        self._tasks += 1
        directory = str(self._place / str(self._tasks))
        spec = TaskSpec(
            EPHEMERAL,
            HALVES if halves else "whole",
            0,
            self._tasks,
            self._program,
            first,
            first + 1,
            directory,
            threads=self._threads,
        )
        end = None if timeout is None else time.monotonic() + timeout
        outcome = self._outcome(spec, end)
        if isinstance(outcome, Failure):
            return Seen({}, directory, outcome)
        return Seen(dict(map(_named, outcome.outputs)), directory, outcome.failure)

    def _outcome(self, spec: TaskSpec, end: float | None) -> Outcome | Failure:
        sent = False
        while end is None or time.monotonic() < end:
            if self._slot is not None and not sent:
                self._engine.send(self._slot, records.to_json(spec).encode())
                sent = True
            for event in self._engine.wait(None if end is None else max(0.0, end - time.monotonic())):
                if isinstance(event, SlotUp):
                    self._slot = event.slot
                elif isinstance(event, SlotDown):
                    self._slot = None
                    if sent:
                        return Failure(event.kind, "WorkerError", event.reason)
                elif isinstance(event, Finished):
                    return records.from_json(Outcome, event.outcome)
        if self._slot is not None:
            self._engine.kill(self._slot)
            self._slot = None
        return Failure("timeout", "WorkerError", "a call took longer than an attempt may")

    def close(self) -> None:
        """End the process."""
        self._engine.close()
        self._loans.close()


def _named(output: Output) -> tuple[Key, tuple[str, Output]]:
    step, fragment, batch, part, form = output.name.split(".", 4)
    return Key(step, int(fragment), int(batch), part), (form, output)


@contextlib.contextmanager
def witnesses(program: WitnessProgram, hash_seeds: Sequence[str], threads: int) -> Iterator[list[Witness]]:
    """A process for each hash seed; all are started at once, and gone when the block ends."""
    place = Path(tempfile.mkdtemp(prefix="shardwise-"))
    made: list[Witness] = []
    try:
        for seed in hash_seeds:
            made.append(Witness(program, seed, threads, place / seed))
        yield made
    finally:
        for witness in made:
            witness.close()
        shutil.rmtree(place, ignore_errors=True)
