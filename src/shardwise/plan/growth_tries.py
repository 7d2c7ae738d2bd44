"""Measures a function on growing inputs, each size in a worker of its own.

A worker's peak of memory is its own, what one size leaves behind does not help or hinder the next, and one that is too
large kills its worker and nobody else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from shardwise import records
from shardwise.compute.machine import usable_cores, usable_memory
from shardwise.compute.packing import dump_program
from shardwise.compute.programs.growth import LEAST_PILOT, MEASURED, GrowthProgram, Sample, read_sample
from shardwise.compute.task import EPHEMERAL, Outcome, TaskSpec
from shardwise.data.loans import Loans
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import Engine, EngineEvent, Finished, SlotDown, SlotUp, Want
from shardwise.errors import FunctionError, UsageError, WorkerError
from shardwise.plan.growth import SHORTEST, Growth, format_bytes
from shardwise.plan.memory import USABLE_SHARE
from shardwise.plan.power_law import LEAST_POINTS
from shardwise.run.failures import to_error
from shardwise.sizes import format_count

PILOT_SECONDS = 10 * SHORTEST
"""A call of so long is the smallest that is measured, where sizes are chosen."""

FEWEST = 8
"""So many sizes at least, where they are chosen."""

MOST = 24

SHARE = 0.5
"""Of the memory that there is, chosen sizes use so much at most."""

Watch = Callable[[Sample], None]


class TooLarge(Exception):
    """A worker outgrew its memory."""


class Bench(Protocol):
    """Where calls are measured."""

    def measure(self, program: GrowthProgram, size: int) -> Sample:
        """Measure one size. Raises `TooLarge`, FunctionError, WorkerError."""


class Workers:
    """A fresh worker for each size.

    Parameters
    ----------
    memory : int
        Bytes that one may use.
    threads : int, optional
        Native threads of one; as many as there are cores unless given.
    """

    def __init__(self, memory: int, threads: int | None = None, engine: Engine | None = None) -> None:
        self._memory = memory
        self._threads = threads or usable_cores()
        self._engine = engine or LocalEngine(1)
        self._up: int | None = None  # a slot whose worker has done nothing yet
        self._attempt = 0
        self._loans = Loans("network")
        self._engine.open(Want(1, self._threads, memory))

    def close(self) -> None:
        """End the worker."""
        self._engine.close()
        self._loans.close()

    def measure(self, program: GrowthProgram, size: int) -> Sample:
        """Measure one size.

        Raises
        ------
        TooLarge
            It needs more memory than there is.
        FunctionError
            The function raised.
        WorkerError
            It ended its process.
        """
        ref = self._engine.put(dump_program(program, self._loans))
        slot, self._attempt = self._fresh(), self._attempt + 1
        spec = TaskSpec(
            EPHEMERAL, "growth", 0, self._attempt, ref, size, size + 1, "", threads=self._threads, memory=self._memory
        )
        self._engine.send(slot, records.to_json(spec).encode(), self._memory)
        outcome = self._outcome(slot)
        self._engine.kill(slot)
        return _sample(outcome)

    def _fresh(self) -> int:
        while self._up is None:
            self._wait()
        slot, self._up = self._up, None
        return slot

    def _wait(self) -> list[EngineEvent]:
        events = self._engine.wait(None)
        for event in events:
            if isinstance(event, SlotUp):
                self._up = event.slot
        return events

    def _outcome(self, slot: int) -> Outcome:
        while True:
            for event in self._wait():
                if isinstance(event, Finished) and event.slot == slot:
                    return records.from_json(Outcome, event.outcome)
                if isinstance(event, SlotDown) and event.slot == slot:
                    if event.kind == "memory":
                        raise TooLarge(event.reason)
                    raise WorkerError(
                        f"the function ended its process: {event.reason}", "try a smaller size, and mend the function"
                    )


def _sample(outcome: Outcome) -> Sample:
    if outcome.failure is None:
        return read_sample(next(output.data or b"" for output in outcome.outputs if output.name == MEASURED))
    if outcome.failure.kind == "memory" or outcome.failure.type == "MemoryError":
        raise TooLarge(outcome.failure.message)
    raise to_error(outcome.failure, None)


class Tries:
    """One function on growing inputs.

    Parameters
    ----------
    bench : Bench
    name : str
        Of the function, for messages.
    function, make : callable
    repeats : int
        Calls for each size, at most.
    seconds : float
        Where sizes are chosen: about how long the longest call is. No repeat begins after four times
        as long.
    limit : int
        Bytes that a call may use.
    watch : callable
        Told each sample.
    """

    def __init__(
        self,
        bench: Bench,
        name: str,
        function: Callable[[Any], Any],
        make: Callable[[int], Any],
        repeats: int,
        seconds: float,
        limit: int,
        watch: Watch,
    ) -> None:
        self._bench = bench
        self._name = name
        self._function = function
        self._make = make
        self._repeats = repeats
        self._seconds = seconds
        self._watch = watch
        self._growth = Growth(name, (), limit)

    def given(self, sizes: Sequence[int]) -> Growth:
        """Measure these sizes, the smallest first.

        Raises
        ------
        UsageError
            They are too few, or one of them cannot fit.
        """
        ordered = sorted(set(sizes))
        if len(ordered) < LEAST_POINTS or ordered[0] < 1:
            raise UsageError(
                f"{len(ordered)} different sizes from {ordered[0] if ordered else 'none'} up say nothing of growth",
                f"give at least {LEAST_POINTS} whole numbers from 1 up, such as 1000..64000:x2; or none: "
                "then they are chosen",
            )
        for size in ordered:
            self._growth.refuse_if_too_large(size)
            self._try(size, ordered[0])
        return self._growth

    def chosen(self) -> Growth:
        """Double the size from what is just long enough to be timed to what takes long, or half of the memory; then
        fill in between where that gave few."""
        first = max(1, self._pilot().size)
        size = first
        while len(self._growth.samples) < MOST and self._is_worthwhile(size):
            self._try(size, first)
            size *= 2
        for size in self._between():
            self._try(size, first)
        return self._growth

    def _pilot(self) -> Sample:
        program = GrowthProgram(self._function, self._make, 0, 1, PILOT_SECONDS)
        try:
            return self._bench.measure(program, 1)
        except TooLarge as error:
            raise self._stopped(LEAST_PILOT, error) from None
        except FunctionError as error:
            fix = f"mend the function, or give sizes that it takes: they are chosen from {LEAST_PILOT} up"
            raise FunctionError(error.message, fix) from error

    def _is_worthwhile(self, size: int) -> bool:
        """Whether a size, by what smaller ones took, is neither too long nor too large."""
        samples = self._growth.samples
        if not samples:
            return True
        least = self._growth.at_least(size)
        last = samples[-1]
        is_short = last.seconds[0] < self._seconds and last.seconds[0] + last.making < 2 * self._seconds
        return is_short and (least or 0) <= SHARE * self._growth.limit

    def _between(self) -> list[int]:
        """Sizes in the widest gaps between those that were measured, where there are few."""
        known = [sample.size for sample in self._growth.samples]
        wanted: list[int] = []
        while 1 < len(known) < FEWEST:
            widest = max(range(1, len(known)), key=lambda i: (known[i] / known[i - 1], i))
            middle = round(math.sqrt(known[widest - 1] * known[widest]))
            if middle in known:
                break
            known.insert(widest, middle)
            wanted.append(middle)
        return wanted

    def _try(self, size: int, warm: int) -> None:
        program = GrowthProgram(self._function, self._make, warm, self._repeats, 4 * self._seconds)
        try:
            sample = self._bench.measure(program, size)
        except TooLarge as error:
            raise self._stopped(size, error) from None
        except FunctionError as error:
            raise FunctionError(f"{self._name} of {format_count(size)} failed: {error.message}", error.fix) from error
        samples = sorted((*self._growth.samples, sample), key=lambda each: each.size)
        self._growth = Growth(self._name, tuple(samples), self._growth.limit)
        self._watch(sample)

    def _stopped(self, size: int, error: TooLarge) -> UsageError:
        known = [sample.size for sample in self._growth.samples]
        largest = f"{format_count(known[-1])} fitted" if known else "no smaller one had been tried"
        return UsageError(
            f"{self._name} of {format_count(size)} needed more memory than the {format_bytes(self._growth.limit)} that "
            f"are there, and was stopped ({largest}): {error}",
            "begin with smaller sizes: then what cannot fit is refused before it is tried",
        )


def memory_limit(memory: int | None) -> int:
    """Bytes that a call may use: as said, else four fifths of what is free."""
    return memory or int(USABLE_SHARE * usable_memory())
