"""Rows that kill workers, as far as deaths have told: what the next attempt must know so as not to die of it again."""

from __future__ import annotations

import re
import signal
from collections import Counter
from dataclasses import dataclass

from shardwise import records
from shardwise.compute.calls import LostCall
from shardwise.compute.task import Suspect
from shardwise.engines.protocol import SlotDown
from shardwise.run.task import Budgets, Task

FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
"""Deaths that a function need not have brought about: the same call has to die of one as often as a task may."""

_KINDS = ("crash", "timeout", "memory")


@dataclass(frozen=True, slots=True)
class _Found:
    """A suspect, and the ordinals of the task that met it: other tasks with the same ordinals meet it too."""

    first: int
    last: int
    suspect: Suspect


class Suspects:
    """What is known, for as long as a driver lives. A resumed run finds it out again."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._found: list[_Found] = []
        self._died: Counter[tuple[int, ...]] = Counter()

    def note(self, task: Task, attempt: int, down: SlotDown, divisible: bool) -> bool:
        """Take in the death of a worker.

        Parameters
        ----------
        task, attempt : Task, int
            What it was working on.
        down : SlotDown
            How it died, and in which call.
        divisible : bool
            The task can be cut: memory that it ran out of tells nothing of a batch.

        Returns
        -------
        bool
            Whether something new is known, so that the next attempt gets further.
        """
        if not down.call or down.kind not in _KINDS or (down.kind == "memory" and divisible):
            return False
        call = records.from_json(LostCall, down.call)
        if call.attempt != attempt:
            return False
        where = call.fragment, call.batch, call.first, call.last, call.searched
        self._died[where] += 1
        decides = call.searched or call.last - call.first == 1
        if decides and self._died[where] < self._deaths_needed(down.kind, call.status):
            return True
        suspect = _suspect(call, down)
        if any((f.first, f.last) == (task.first, task.last) and _same(f.suspect, suspect) for f in self._found):
            return False
        self._found.append(_Found(task.first, task.last, suspect))
        return True

    def of(self, task: Task) -> tuple[Suspect, ...]:
        """What an attempt at a task has to know, in the order in which it was found."""
        return tuple(f.suspect for f in self._found if f.first < task.last and task.first < f.last)

    def _deaths_needed(self, kind: str, status: int) -> int:
        if kind == "memory":  # another process may have taken it
            return self._budgets.memory + 1
        return self._budgets.crash + 1 if status in FROM_OUTSIDE else 1


def _same(a: Suspect, b: Suspect) -> bool:
    return (a.fragment, a.batch, a.first, a.last, a.searched) == (b.fragment, b.batch, b.first, b.last, b.searched)


def _suspect(call: LostCall, down: SlotDown) -> Suspect:
    said, _, printed = down.reason.partition("; it printed last:\n")
    message = re.sub(r"^(.*: )?worker process \d+ was", "the worker was", said)
    message = re.sub(r"^(.*: )?worker process \d+ ", "the worker ", message)
    message = re.sub(r": it used .*", "", message)  # how much it had by then is chance
    return Suspect(
        call.fragment,
        call.batch,
        call.first,
        call.last,
        down.kind,
        message,
        traceback_of(printed),
        call.searched,
    )


def traceback_of(printed: str) -> str:
    """The person's part of what faulthandler wrote, latest call first; the same wherever it happened.

    Examples
    --------
    >>> print(traceback_of('Thread 0x7f (most recent call first):\\n  File "job.py", line 3 in f\\nExtension: a'))
      File "job.py", line 3 in f
    """
    frames = [line for line in printed.splitlines() if re.match(r'  File ".*", line \d+ in ', line)]
    theirs = [line for line in frames if not re.search(r'[/\\]shardwise[/\\]|<frozen |[/\\]threading\.py"', line)]
    return "\n".join(theirs or frames)
