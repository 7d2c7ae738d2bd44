"""What the scheduler is told (events) and what it asks for (commands). Frozen, slotted, and JSON both ways.

Each event carries ``now``: seconds of a clock that never goes back. The scheduler has no other clock. Events about
slots and attempts may come late, twice or in another order; ``Committed`` and ``CommitFailed`` answer one ``Commit``
each, once.
"""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.compute.task import Failure

# --- the graph -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """A node of the graph.

    Parameters
    ----------
    id : int
        Unique in the run's plan; tasks with lower ids start first.
    stage : str
        Tasks of a stage run the same program.
    first, last : int
        Ordinals [first, last) it stands for.
    needs : tuple of int
        Ids of tasks whose committed outputs it reads, in order of position.
    done : bool
        Committed by an earlier driver; never started.
    unit : int
        It may be cut in two at ordinals that are multiples of this; 0: it cannot be cut.
    """

    id: int
    stage: str
    first: int
    last: int
    needs: tuple[int, ...] = ()
    done: bool = False
    unit: int = 0

    @property
    def name(self) -> str:
        """What a person sees of it: stage and ordinals."""
        return f"{self.stage}-{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Budgets:
    """How often a task may be tried again, by what went wrong, and how long one attempt may take (seconds).

    ``crash=4``: the fifth crash of one task fails the run. Kinds count separately. ``input`` and ``internal`` are
    never tried again; ``engine`` costs a task nothing (``policies.patience`` bounds it for the whole run), nor does
    ``memory`` as long as the task can be cut in two or claim more of its host's memory.

    Parameters
    ----------
    shares : int
        Attempts side by side on one host that its memory is divided among. A task that ran out of memory claims
        several shares, so that fewer run beside it.
    speculate : bool
        Try a task a second time, on an idle slot, while a first attempt takes much longer than those of its stage.
    """

    exception: int = 2
    crash: int = 4
    timeout: int = 1
    memory: int = 1
    storage: int = 2
    seconds: float | None = None
    shares: int = 1
    speculate: bool = True


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


Event = SlotAdded | SlotLost | Succeeded | Failed | Committed | CommitFailed | Tick | Drain

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


Command = Start | Kill | Commit | Discard | Retry | Split | Wake | Stop
