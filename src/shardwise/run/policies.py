"""What is a matter of judgement: who pays for a failure, how long to rest, where to try again, when to give up.

Small pure functions of records and numbers; each stands alone and can be argued about alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shardwise.compute.task import Failure

if TYPE_CHECKING:
    from shardwise.run.messages import SlotLost
    from shardwise.run.task import Budgets

FIRST_REST = 0.1
FIRST_STORAGE_REST = 1.0
LONGEST_REST = 30.0
LEAST_PATIENCE = 12
ROUNDS_OF_PATIENCE = 3

WORKER_BASE = 90 << 20
"""Bytes of a worker that has imported DuckDB, NumPy and PyArrow and does nothing."""

PLENTY = 2
"""Tasks are sent ahead while at least so many of them wait for each slot: so the end of a stage is spread evenly."""

LESSONS = 2
"""So many tasks that ran out of memory show that others as large will: one may be an exception."""

BACKUP_SHARE = 0.75
"""A stage has stragglers once this share of its tasks has finished,"""

BACKUP_FINISHED = 3
"""and at least so many: fewer say nothing of how long the others should take."""

BACKUP_FACTOR = 3.0
"""A straggler has run for so many times the median"""

BACKUP_SECONDS = 1.0
"""and at least this long: a second attempt costs a worker's start when one of them is killed."""


def allowance(budgets: Budgets, kind: str) -> int | None:
    """Say how many failures of a kind a task may have and still be tried again.

    Parameters
    ----------
    budgets : Budgets
        What the person allows.
    kind : str
        As in ``Failure.kind``.

    Returns
    -------
    int or None
        None for ``engine``: a slot that went away is not the task's fault; ``patience`` bounds it for the whole
        run. 0 for ``input``, ``internal`` and any kind that has no budget: a second try would fail the same way.

    Examples
    --------
    >>> from shardwise.run.task import Budgets
    >>> allowance(Budgets(crash=4), "crash"), allowance(Budgets(), "input"), allowance(Budgets(), "engine")
    (4, 0, None)
    """
    match kind:
        case "engine":
            return None
        case "exception" | "crash" | "timeout" | "memory" | "storage":
            return int(getattr(budgets, kind))
        case _:
            return 0


def patience(slots: int) -> int:
    """Say how many slots may be lost for nothing before the run gives up.

    A slot is lost for nothing when its loss is charged to no task: it died idle (a worker that crashes as it starts),
    or the engine took it away. The count begins anew with every commit, so an engine that flaps but gets work done
    goes on for ever, and one that gets nothing done does not.

    Parameters
    ----------
    slots : int
        The most that were there at the same time.

    Returns
    -------
    int
        Three times all of them, so that a cluster may restart twice between two commits, and at least 12.

    Examples
    --------
    >>> patience(0), patience(4), patience(1000)
    (12, 12, 3000)
    """
    return max(LEAST_PATIENCE, ROUNDS_OF_PATIENCE * slots)


def rest(kind: str, failures: int, task: int, attempt: int) -> float:
    """Say how long a task rests before it is tried again.

    Exponential back-off, doubling from 0.1 s (1 s for ``storage``: a full or throttling store needs time) up to 30 s,
    times a factor in [0.5, 1.5) so that tasks that failed together do not come back together. The factor is no random
    number but a term of an additive recurrence of the golden and plastic ratios, which spreads more evenly.

    Parameters
    ----------
    kind : str
        Of the failure, as in ``Failure.kind``.
    failures : int
        Failures of this task so far, this one included.
    task, attempt : int
        What failed.

    Returns
    -------
    float
        Seconds.

    Examples
    --------
    >>> [round(rest("crash", n, task=0, attempt=0), 2) for n in (1, 2, 3, 30)]
    [0.05, 0.1, 0.2, 15.0]
    """
    first = FIRST_STORAGE_REST if kind == "storage" else FIRST_REST
    longest = min(first * 2.0 ** min(failures - 1, 20), LONGEST_REST)
    spread = (task * 0.6180339887498949 + attempt * 0.7548776662466927) % 1.0
    return longest * (0.5 + spread)


def elsewhere(idle: Iterable[tuple[int, str]], slot: int, host: str) -> int | None:
    """Choose where to try again what failed once.

    Parameters
    ----------
    idle : iterable of (int, str)
        Slots to choose from, with their hosts; of equals the first is taken, and none is looked at after the best.
    slot, host : int, str
        Where it failed last.

    Returns
    -------
    int or None
        A slot of another host if there is one, else another slot, else the same one; None where there is none.

    Examples
    --------
    >>> elsewhere([(1, "a"), (2, "a"), (3, "b")], slot=1, host="a")
    3
    >>> elsewhere([(1, "a"), (2, "a")], slot=1, host="a")
    2
    """
    found: tuple[bool, int] | None = None
    for number, where in idle:
        if where != host:
            return number
        if found is None or (found[0] and number != slot):
            found = number == slot, number
    return None if found is None else found[1]


def blame(lost: SlotLost, overdue: float | None) -> Failure:
    """Turn the loss of a slot into the failure of the attempt that was on it.

    Parameters
    ----------
    lost : SlotLost
        What the engine said.
    overdue : float or None
        The time limit in seconds if the slot was killed because of it; whatever the engine says then, it is a time-out.

    Returns
    -------
    Failure
        Kind ``timeout``, ``crash``, ``memory``, or ``engine`` for all other reasons.

    Examples
    --------
    >>> from shardwise.run.messages import SlotLost
    >>> blame(SlotLost(now=1.0, slot=3, kind="closed", reason="host taken back"), None).kind
    'engine'
    """
    where = f"slot {lost.slot}: {lost.reason}"
    if overdue is not None:
        message = f"the attempt took more than {overdue:g} s and was killed ({where})"
        return Failure("timeout", "WorkerError", message, "raise timeout, or make shards smaller", code="E400")
    match lost.kind:
        case "crash":
            message = f"the worker died ({where})"
            return Failure("crash", "WorkerError", message, "look at the logs of the task", code="E400")
        case "timeout":
            message = f"the attempt was killed ({where})"
            return Failure("timeout", "WorkerError", message, "raise timeout, or use smaller batches", code="E400")
        case "memory":
            message = f"the worker ran out of memory ({where})"
            fix = "make batches smaller (batch_rows), or raise memory"
            return Failure("memory", "WorkerError", message, fix, code="E400", used=lost.used)
        case _:
            message = f"the engine took the slot away ({where})"
            return Failure("engine", "EngineError", message, "run the same command again", code="E600")


def plenty(waiting: int, slots: int) -> bool:
    """Say whether a task may be sent ahead to a slot that is busy, where it waits for that slot and no other.

    Examples
    --------
    >>> plenty(8, slots=4), plenty(7, slots=4)
    (True, False)
    """
    return 0 < PLENTY * slots <= waiting


def middle(first: int, last: int, unit: int) -> int | None:
    """Say where to cut a task that ran out of memory in two.

    Parameters
    ----------
    first, last : int
        The ordinals [first, last) it stands for.
    unit : int
        Cuts fall on multiples of this; 0: nowhere.

    Returns
    -------
    int or None
        Where the second half begins; None where the task is a single unit.

    Examples
    --------
    >>> middle(0, 8, 1), middle(3, 6, 1), middle(3, 4, 1), middle(0, 8, 0)
    (4, 4, None, None)
    >>> middle(8, 29, 8), middle(8, 16, 8)
    (16, None)
    """
    if not unit:
        return None
    units = range(first // unit + 1, -(-last // unit))  # multiples that lie inside
    return units[(len(units) - 1) // 2] * unit if units else None


def more_shares(shares: int, most: int) -> int:
    """Say how many shares of its host's memory a task claims after an attempt with ``shares`` ran out of it.

    Doubled, so that half as many run side by side, until it has the host for itself.

    Examples
    --------
    >>> [more_shares(shares, most=6) for shares in (1, 2, 4, 6)]
    [2, 4, 6, 6]
    """
    return min(2 * shares, most)


def ceiling(share: int, shares: int) -> int:
    """Say how many bytes an attempt may use that claims several shares of its host's memory.

    Parameters
    ----------
    share : int
        Bytes of one share.
    shares : int
        How many it claims. The workers whose shares these were go on to live beside it, idle.

    Examples
    --------
    >>> ceiling(1 << 30, 1) == 1 << 30
    True
    >>> ceiling(1 << 30, 4) == (4 << 30) - 3 * WORKER_BASE
    True
    """
    return max(share, shares * share - (shares - 1) * WORKER_BASE)


def shares_for(used: int, share: int, most: int) -> int:
    """Say how many shares would have been enough for what an attempt used, with a tenth to spare.

    Examples
    --------
    >>> [shares_for(used << 20, 200 << 20, 8) for used in (100, 200, 280, 9000)]
    [1, 2, 2, 8]
    """
    return next((shares for shares in range(1, most) if ceiling(share, shares) >= used * 1.1), most)


def backup_after(median: float, seen: int, finished: int, tasks: int) -> float | None:
    """Say how long an attempt may run before another one is started beside it, where slots are idle.

    Backup tasks as in MapReduce (Dean and Ghemawat, OSDI 2004): once most of a stage has finished, those that are
    left may be slow for reasons of their place, and a second attempt elsewhere costs nothing but an idle slot.

    Parameters
    ----------
    median : float
        Seconds that attempts of the stage took that succeeded.
    seen : int
        How many these were.
    finished, tasks : int
        Tasks of the stage that have finished, by an earlier driver too, and all.

    Returns
    -------
    float or None
        Three times the median, and at least a second; None while too few have finished.

    Examples
    --------
    >>> backup_after(2.0, seen=3, finished=3, tasks=4), backup_after(0.1, seen=9, finished=9, tasks=10)
    (6.0, 1.0)
    >>> backup_after(2.0, seen=3, finished=3, tasks=5) is None
    True
    """
    if seen < BACKUP_FINISHED or finished < BACKUP_SHARE * tasks:
        return None
    return max(BACKUP_SECONDS, BACKUP_FACTOR * median)


def despair(lost: int, last: Failure) -> Failure:
    """Say why the run gives up after too many slots were lost for nothing.

    Parameters
    ----------
    lost : int
        How many since the last commit.
    last : Failure
        What the last loss was.

    Returns
    -------
    Failure
        Of the same kind and type as the last one.

    Examples
    --------
    >>> despair(13, Failure("crash", "WorkerError", "the worker died (slot 12: exit code 1)")).message
    '13 slots were lost and no task was committed meanwhile; the last time, the worker died (slot 12: exit code 1)'
    """
    message = f"{lost} slots were lost and no task was committed meanwhile; the last time, {last.message}"
    fix = "see why workers die as they start, or use another engine; what was committed stays"
    return Failure(last.kind, last.type, message, fix, code=last.code)
