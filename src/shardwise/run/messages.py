"""What the scheduler is told (events) and what it asks for (commands). Frozen, slotted, and JSON both ways.

Each event carries ``now``: seconds of a clock that never goes back. The scheduler has no other clock. Events about
slots and attempts may come late, twice or in another order; ``Committed`` and ``CommitFailed`` answer one ``Commit``
each, once.
"""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.compute.task import Failure
from shardwise.run.task import Budgets as Budgets
from shardwise.run.task import Task as Task

# --- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlotAdded:
    """A worker is ready."""

    now: float
    slot: int
    host: str


@dataclass(frozen=True, slots=True)
class SlotLost:
    """A worker is gone; ``kind`` and ``used`` as in ``engines.protocol.SlotDown``. ``narrowing``: it told more about
    which rows kill workers, so that its task tries again at once and for free."""

    now: float
    slot: int
    kind: str
    reason: str
    used: int = 0
    narrowing: bool = False


@dataclass(frozen=True, slots=True)
class Succeeded:
    """An attempt finished; its outputs wait to be committed (or discarded). ``shares``: so many shares of its host's
    memory would have been enough; 0: nobody knows."""

    now: float
    slot: int
    attempt: int
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt ended in a failure; its slot is free again."""

    now: float
    slot: int
    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Returned:
    """An attempt that was sent ahead was dropped before it began. It may have been taken to be under way."""

    now: float
    slot: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The journal names this attempt: its task is done for good."""

    now: float
    attempt: int


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """The journal could not take this attempt (disk full); nothing of it counts."""

    now: float
    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by (the answer to ``Wake``)."""

    now: float


@dataclass(frozen=True, slots=True)
class Drain:
    """Start nothing more; let what runs end and commit it; then stop (first Ctrl-C)."""

    now: float


@dataclass(frozen=True, slots=True)
class Place:
    """Hosts that hold what a task reads, named as slots name them."""

    task: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """It is known now where the inputs of tasks lie; each time for the whole of what is known of a task."""

    now: float
    places: tuple[Place, ...]


Event = SlotAdded | SlotLost | Succeeded | Failed | Returned | Committed | CommitFailed | Located | Tick | Drain

# --- commands ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Send this attempt at this task to this slot.

    ``shares``: of the memory of its host that it may use. ``backup``: a second attempt, while a first one is running.
    """

    task: int
    attempt: int
    slot: int
    shares: int = 1
    backup: bool = False


@dataclass(frozen=True, slots=True)
class SendAhead:
    """Send this attempt, of one share of memory, to a slot that is at another one: it begins when that has ended by
    itself, which is no command any more."""

    task: int
    attempt: int
    slot: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Have this slot drop this attempt if it has not begun; ``Returned`` follows, or what becomes of it."""

    slot: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the worker of this slot and report ``SlotLost``; ``why`` is for the log."""

    slot: int
    why: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Make this attempt's outputs part of the run; answer with Committed or CommitFailed."""

    task: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget what this attempt wrote: it failed, or nobody waits for it. May come twice; never for an attempt that was
    committed or is being committed."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Retry:
    """For people: this attempt failed, and its task will be tried again."""

    task: int
    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Split:
    """This task, or others as large, ran out of memory (``failure``); two new tasks, in order of position, take its
    place: also among the ``needs`` of those that read it."""

    task: int
    halves: tuple[Task, ...]
    failure: Failure


@dataclass(frozen=True, slots=True)
class Wake:
    """Send a Tick at this time if nothing else happens before. Each answer of the scheduler takes back the last one."""

    at: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The run is over: ``done``, ``failed`` (with the failure, and the task unless it is the engine's) or ``drained``.
    No command follows."""

    how: str
    task: int | None = None
    failure: Failure | None = None


Command = Start | SendAhead | Recall | Kill | Commit | Discard | Retry | Split | Wake | Stop
