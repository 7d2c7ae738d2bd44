"""What a driver carries out: tasks, and what each stage's tasks run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shardwise.run.task import Task

if TYPE_CHECKING:
    from shardwise.compute.program import Program
    from shardwise.data.source import Fragment
    from shardwise.run.commits import Commit


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks with the same program.

    Parameters
    ----------
    output : str
        URL of the person's output directory, where parts go; else empty.
    tree : bool
        Its tasks stand for ranges that may overlap (inner nodes of trees of any shape), so the journal names each by
        its range. In other stages no two commits overlap.
    """

    name: str
    program: Program
    output: str = ""
    tree: bool = False


def inner(stage: str, first: int, last: int) -> str:
    """What the journal calls an inner node of a tree."""
    return f"{stage}-{first}-{last}"


@dataclass(slots=True)
class Graph:
    """Tasks by id, stages by name, and what earlier drivers committed (``done``, by task id)."""

    stages: dict[str, Stage] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    done: dict[int, Commit] = field(default_factory=dict)
    fragments: tuple[Fragment, ...] = ()  # of the source, for messages
    halves: dict[int, tuple[int, ...]] = field(default_factory=dict)  # what took the place of tasks that were split

    def stage(self, name: str, program: Program, output: str = "", tree: bool = False) -> str:
        """Add a stage."""
        self.stages[name] = Stage(name, program, output, tree)
        return name

    def journal_name(self, task: Task) -> str:
        """The stage that the journal names when it commits a task."""
        return inner(task.stage, task.first, task.last) if self.stages[task.stage].tree else task.stage

    def task(self, stage: str, first: int, last: int, needs: tuple[int, ...] = (), unit: int = 0) -> int:
        """Add a task to be done; returns its id."""
        self.tasks.append(Task(len(self.tasks), stage, first, last, needs, unit=unit))
        return len(self.tasks) - 1

    def split(self, task: int, halves: tuple[Task, ...]) -> None:
        """Put two tasks, whose ids follow all others, in the place of one."""
        self.tasks += halves
        self.halves[task] = tuple(half.id for half in halves)

    def parts(self, task: int) -> tuple[int, ...]:
        """The tasks that stand for a task now, in order of position: itself, unless it was split."""
        halves = self.halves.get(task)
        return (task,) if halves is None else tuple(part for half in halves for part in self.parts(half))

    def committed(self, stage: str, commit: Commit) -> int:
        """Add a task that an earlier driver committed; returns its id."""
        task = Task(len(self.tasks), stage, commit.first, commit.last, done=True)
        self.tasks.append(task)
        self.done[task.id] = commit
        return task.id
