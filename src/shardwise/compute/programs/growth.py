"""The program that times a function on inputs of one size, each time on a fresh one."""

from __future__ import annotations

import dataclasses
import gc
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from shardwise.compute.footprint import trim
from shardwise.compute.machine import forget_peak_memory, peak_memory, resident_memory
from shardwise.compute.program import Attempt
from shardwise.errors import UsageError

MEASURED = "measured"
"""Name of the output, one JSON document: a `Sample`."""

LEAST_PILOT = 64
"""The pilot's first size."""

LARGEST_PILOT = 1 << 40


class Held(Protocol):
    """Memory of this process."""

    def now(self) -> int:
        """Bytes that it holds."""

    def forget(self) -> None:
        """Begin to look for the peak anew."""

    def peak(self) -> int:
        """Most bytes that it held since then."""


class OwnMemory:
    """Of the process itself, as the kernel counts it."""

    now = staticmethod(resident_memory)
    forget = staticmethod(forget_peak_memory)
    peak = staticmethod(peak_memory)


@dataclass(frozen=True, slots=True)
class Sample:
    """What calls on inputs of one size took.

    Parameters
    ----------
    size : int
    seconds : tuple of float
        Of each call.
    memory : int
        Most bytes held during the first call, its input and result included, beyond ``before``.
    before : int
        Bytes that the process held before it made the input: interpreter, libraries, what a warm-up left.
    making : float
        Seconds that it took to make the first input.
    """

    size: int
    seconds: tuple[float, ...]
    memory: int
    before: int
    making: float = 0.0


@dataclass(frozen=True, slots=True)
class GrowthProgram:
    """Times ``function(make(size))``, where the size is the attempt's first ordinal.

    Parameters
    ----------
    function, make : callable
    warm : int
        Size of the call that comes first and is not counted: imports, threads and caches of libraries are made there.
        0: a pilot, that doubles sizes from ``LEAST_PILOT`` until a call takes ``enough`` seconds.
    repeats : int
        Calls that are counted, at most.
    enough : float
        No further call begins when those so far, and making their inputs, have taken so many seconds.
    """

    function: Callable[[Any], Any]
    make: Callable[[int], Any]
    warm: int
    repeats: int
    enough: float
    clock: Callable[[], float] = time.perf_counter
    held: Held = field(default_factory=OwnMemory)

    def execute(self, attempt: Attempt) -> None:
        """Measure, and give a `Sample`."""
        if self.warm:
            sample = self.measure(attempt.spec.first)
        else:
            sample = self.pilot(attempt.spec.memory)
        attempt.give(MEASURED, json.dumps(dataclasses.astuple(sample)).encode())

    def measure(self, size: int) -> Sample:
        """Call the function on a small input, then on several of this size."""
        self._call(self.warm)
        trim()
        before = self.held.now()
        began = self.clock()
        first, peak = self._call(size)
        making = self.clock() - began - first
        calls = [first]
        while len(calls) < self.repeats and self.clock() - began < self.enough:
            calls.append(self._call(size)[0])
        return Sample(size, tuple(calls), max(0, peak - before), before, making)

    def pilot(self, memory: int | None) -> Sample:
        """Double the size until a call takes long enough to be timed, or much memory."""
        self._call(LEAST_PILOT)  # imports
        before = self.held.now()
        samples = []
        for size in self._doubled():
            began = self.clock()
            seconds, peak = self._call(size)
            samples.append(Sample(size, (seconds,), max(0, peak - before), before))
            much = memory is not None and peak > memory // 64
            if seconds >= self.enough or self.clock() - began >= 100 * self.enough or much:
                break
        return samples[-1]

    def _doubled(self) -> Iterator[int]:
        size = LEAST_PILOT
        while size <= LARGEST_PILOT:
            yield size
            size *= 2

    def _call(self, size: int) -> tuple[float, int]:
        """Seconds and peak of one call on a fresh input: a function may have changed the last one."""
        given = self.make(size)
        gc.collect()
        self.held.forget()
        began = self.clock()
        result = self.function(given)
        seconds = self.clock() - began
        peak = self.held.peak()
        if isinstance(result, Iterator):
            raise UsageError(
                f"the function returned a {type(result).__name__}, which has computed nothing yet",
                "return what it yields as a list, or sum it up",
            )
        return seconds, peak


def read_sample(data: bytes) -> Sample:
    """The sample that a program gave."""
    size, seconds, *others = json.loads(data)
    return Sample(size, tuple(seconds), *others)
