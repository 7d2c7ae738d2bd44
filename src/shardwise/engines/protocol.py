"""An engine lends slots; each slot hosts one worker process. This is all that the driver knows of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Want:
    """What the driver asks an engine for: how many slots, and what each may use."""

    slots: int  # 0: as many as a cluster has
    threads: int = 1  # native threads per worker
    memory: int | None = None  # bytes per worker
    root: str = ""  # URL of the run directory, which workers read and write
    data: tuple[str, int] | None = None  # a local file that workers read, and its bytes
    ship: tuple[str, ...] = ()  # modules and packages, by name or path, that hosts of a cluster are sent


@dataclass(frozen=True, slots=True)
class SlotUp:
    """A worker is ready. ``slot`` is never used twice in the life of an engine."""

    slot: int
    host: str
    pid: int
    memory: int | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class SlotDown:
    """A worker is gone, whatever it was doing. ``kind``: ``crash``, ``memory``, ``killed`` (by our ``kill``),
    ``timeout`` (a call of a function took too long), ``closed``, ``engine``; ``reason`` says it for a person: signal,
    exit code, the kernel's OOM killer, our ceiling. ``used``: bytes of memory it held when it was stopped for them; 0:
    nobody knows. ``call``: a JSON record of ``compute.calls.LostCall``, where that is known: the worker was in the
    person's function."""

    slot: int
    kind: str
    reason: str
    used: int = 0
    call: bytes = b""


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life of an attempt under way: rows and bytes done so far, memory of the worker now."""

    slot: int
    attempt: int
    rows: int
    size: int
    memory: int


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt ended by itself; ``outcome`` is a JSON record of ``compute.task.Outcome``."""

    slot: int
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Returned:
    """An attempt that was sent ahead was dropped before it began: what ``ReadsAhead.recall`` asks for."""

    slot: int
    attempt: int


Reach = Literal["process", "host", "network"]
"""How far an engine's workers are: in this very process, on this host, or anywhere."""

EngineEvent = SlotUp | SlotDown | Progress | Finished | Returned


class Engine(Protocol):
    """What every engine provides. Not thread-safe but for ``wake``: one driver thread calls it."""

    name: str
    reach: Reach

    def open(self, want: Want) -> None:
        """Begin to lend slots. Returns at once; each is announced by ``SlotUp``."""

    def put(self, blob: bytes) -> str:
        """Give all workers, present and to come, a blob (a program); returns its reference. It travels once per
        host, before the first task there that names it."""

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Start an attempt (a JSON record of ``TaskSpec``) on a slot that has none under way. Never blocks long; a
        slot that is gone is not an error here: ``SlotDown`` tells. ``memory``, the same as in the record: a worker
        that holds more bytes before it has answered, together with all that it started, is killed at once, and its
        ``SlotDown`` is of kind ``memory``."""

    def kill(self, slot: int) -> None:
        """Kill the worker of a slot now. ``SlotDown`` follows, and a fresh ``SlotUp`` with another number unless the
        engine is closing."""

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Block until something happened or ``timeout`` seconds are over (then empty). None: as long as it takes."""

    def wake(self) -> None:
        """Have the ``wait`` under way, or the next one, return soon, with nothing if nothing has happened. The only
        method that other threads may call, and at any time."""

    def close(self) -> None:
        """Take all slots back; kill what is under way. No worker is left when it returns. Twice is harmless."""


class ReadsAhead(Engine, Protocol):
    """What engines provide besides whose workers are so far that a worker would wait long for its next task.

    They take one task more for a slot that is at one: it begins when that one has ended by itself, and never when the
    slot is lost before.
    """

    reads_ahead: bool  # whether it does; engines that have no such attribute do not

    def recall(self, slot: int, attempt: int) -> None:
        """Drop an attempt that has not begun; ``Returned`` follows then, and nothing where it has begun, or ended, or
        its slot is gone."""
