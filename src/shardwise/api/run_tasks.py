"""The tasks of a run, as its journal knows them: what was committed, and what failed."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from shardwise.api.redundancy import task_name
from shardwise.errors import UsageError
from shardwise.run.commits import Commit
from shardwise.run.view import RunView

STAGES = ("settle", "partial", "collect", "write", "merge", "finish")
"""In the order in which a run comes to them."""

_NAME = re.compile(rf"({'|'.join(STAGES)})-(\d+)-(\d+)")
_NAMED = re.compile(rf"\[task ((?:{'|'.join(STAGES)})-\d+-\d+)\]")


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task of a run.

    Parameters
    ----------
    stage : str
        Its stage.
    first, last : int
        The ordinals [first, last) it stands for.
    commit : Commit or None
        What was committed of it.
    failures : tuple of str
        How attempts at it failed: a line each.
    """

    stage: str
    first: int
    last: int
    commit: Commit | None = None
    failures: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As logs have it."""
        return f"{self.stage}-{self.first}-{self.last}"


def tasks_of(view: RunView) -> list[KnownTask]:
    """All tasks that were committed or failed, by stage and position: a task's number is its place in this list."""
    commits = {task_name(commit): commit for stage in view.stages for commit in view.committed(stage)}
    failures = _failures(view)
    parsed = {name: found for name in dict.fromkeys([*commits, *failures]) if (found := _NAME.fullmatch(name))}
    tasks = [
        KnownTask(found[1], int(found[2]), int(found[3]), commits.get(name), tuple(failures.get(name, ())))
        for name, found in parsed.items()
    ]
    return sorted(tasks, key=lambda task: (STAGES.index(task.stage), task.first, task.last))


def find_task(view: RunView, wanted: str, total: int | None = None) -> KnownTask:
    """A task by its name or number; also one that left no trace, if it lies in a dataset of ``total`` ordinals.

    Raises
    ------
    UsageError
        There is no such task.
    """
    tasks = tasks_of(view)
    if wanted.isdigit():
        if int(wanted) < len(tasks):
            return tasks[int(wanted)]
        raise UsageError(f"run {view.id} has {len(tasks)} tasks, from 0", f"`shardwise replay {view.id} --list`")
    names = [task.name for task in tasks]
    if wanted in names:
        return tasks[names.index(wanted)]
    found = _NAME.fullmatch(wanted)
    stages = {task.stage for task in tasks}
    if found and total is not None and int(found[2]) < int(found[3]) <= total and found[1] in stages:
        return KnownTask(found[1], int(found[2]), int(found[3]))
    close = difflib.get_close_matches(wanted, names, 1)
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    fix = f"did you mean {close[0]}?" if close else f"it has {some or 'none'}"
    raise UsageError(f"run {view.id} has no task {wanted!r}", fix)


def _failures(view: RunView) -> dict[str, list[str]]:
    """How attempts failed, by task: as their spans say; else as was told when one was tried again, or ended the run."""
    found: dict[str, list[str]] = {}
    spans: dict[str, list[str]] = {}
    for line in view.events():
        if line.kind == "attempts":
            for span in line.data.get("spans", ()):
                if span.get("how") == "failed":
                    spans.setdefault(str(span.get("task")), []).append(str(span.get("failure", "")))
        elif line.kind == "retry":
            found.setdefault(str(line.data.get("task")), []).append(_said(line.data))
        elif line.kind == "failed":
            message = str(line.data.get("message", ""))
            for name in _NAMED.findall(message):
                found.setdefault(name, []).append(message.splitlines()[0])
        elif line.kind == "begun":
            found.clear()
            spans.clear()
    return found | spans


def _said(failure: dict[str, Any]) -> str:
    message = str(failure.get("message", "")).splitlines()
    return f"{failure.get('type', '')}: {message[0] if message else ''}"
