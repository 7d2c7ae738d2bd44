"""Calls under way: whom they belong to, what travels with each, and how they end."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field
from typing import Any

from shardwise.compute.calling import Order, Shared, map_file, unpack, unpack_error
from shardwise.compute.program import CARRIED
from shardwise.compute.programs.call import RETURNED, write_order
from shardwise.compute.task import Outcome
from shardwise.errors import ShardwiseError, WorkerError
from shardwise.storage.naming import attempt_name

KEPT_BYTES = 1 << 30
KEPT_COUNT = 256
"""A worker forgets what it has not needed for long where it keeps more."""


class CallLost(BrokenExecutor):
    """A worker died of a call, more often than it may be tried again, or the call took too long; others go on. Caused
    by a `WorkerError`."""


class ExecutorBroken(BrokenExecutor):
    """The engine of an executor went away, with all calls; make another executor. Caused by an `EngineError`."""


@dataclass(slots=True, eq=False)
class Call:
    """One call, from its submission to its end. ``function`` and ``buffers`` are what it shares with others."""

    future: Future[Any]
    function: Shared
    arguments: bytes
    buffers: tuple[Shared, ...] = ()
    each: bool = False
    deaths: int = 0


@dataclass(slots=True)
class Place:
    """A slot, what its worker keeps, and what it does."""

    host: str
    kept: OrderedDict[str, int] = field(default_factory=OrderedDict)  # key -> bytes, the longest unused first
    call: Call | None = None
    attempt: int = 0
    overdue: float | None = None
    file: int | None = None  # descriptor of the arguments
    killed: bool = False

    def order(self, call: Call, near: bool) -> bytes:
        """The message to the worker: the call, what its worker needs for it besides what it keeps, and what it is to
        forget. ``near``: it can read files of this process."""
        needs = []
        for shared in (call.function, *call.buffers):
            if shared.path or shared.key not in self.kept:
                needs.append(shared)
            if not shared.path:
                self.kept[shared.key] = shared.size
                self.kept.move_to_end(shared.key)
        forget = self._forget({shared.key for shared in (call.function, *call.buffers)})
        return write_order(Order(call.each, call.function.key, self._arguments(call, near), tuple(needs), forget))

    def _forget(self, named: set[str]) -> tuple[str, ...]:
        """Keep no more than is bearable, but what is named."""
        forgotten: list[str] = []
        while len(self.kept) > KEPT_COUNT or sum(self.kept.values()) > KEPT_BYTES:
            oldest = next(iter(self.kept))
            if oldest in named:
                break
            del self.kept[oldest]
            forgotten.append(oldest)
        return tuple(forgotten)

    def _arguments(self, call: Call, near: bool) -> Shared:
        size = len(call.arguments)
        if not near or size <= CARRIED or not hasattr(os, "memfd_create"):
            return Shared("call", size, call.arguments)
        self.file = os.memfd_create("shardwise")
        with open(os.dup(self.file), "wb") as file:
            file.write(call.arguments)
        return Shared("call", size, None, f"/proc/{os.getpid()}/fd/{self.file}")

    def free(self) -> Call | None:
        """Take its call from the slot."""
        if self.file is not None:
            os.close(self.file)
        call, self.call, self.file, self.overdue = self.call, None, None, None
        return call


def caused(kind: type[BrokenExecutor], error: ShardwiseError) -> BrokenExecutor:
    """In Python's own terms, what has been told in ours."""
    broken = kind(str(error))
    broken.__cause__ = error
    return broken


def ending(outcome: Outcome, directory: str) -> tuple[Any, BaseException | None]:
    """What a call returned, or raised."""
    if outcome.failure is not None:
        return None, WorkerError(outcome.failure.message, outcome.failure.fix)
    freight = _freight(outcome, directory)
    if outcome.outputs[0].name.startswith(RETURNED):
        return unpack(freight), None
    return None, unpack_error(freight)


def _freight(outcome: Outcome, directory: str) -> bytes | memoryview:
    first, *more = outcome.outputs
    if first.data is None:
        return map_file(f"{directory}/{attempt_name(first.name, first.publish)}")
    return b"".join((first.data, *(piece.data or b"" for piece in more)))


def settle(call: Call, result: Any, error: BaseException | None) -> None:
    """Have the call's future return or raise."""
    with contextlib.suppress(Exception):  # somebody else, who should not have, has settled it
        if error is None:
            call.future.set_result(result)
        else:
            call.future.set_exception(error)
