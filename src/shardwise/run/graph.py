"""What a driver carries out: tasks, and what each stage's tasks run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shardwise.run.messages import Task

if TYPE_CHECKING:
    from shardwise.compute.program import Program
    from shardwise.run.directory import Commit


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks with the same program. ``output``: URL of the person's output directory, where parts go; else empty."""

    name: str
    program: Program
    output: str = ""


@dataclass(slots=True)
class Graph:
    """Tasks by id, stages by name, and what earlier drivers committed (``done``, by task id)."""

    stages: dict[str, Stage] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    done: dict[int, Commit] = field(default_factory=dict)

    def stage(self, name: str, program: Program, output: str = "") -> str:
        """Add a stage."""
        self.stages[name] = Stage(name, program, output)
        return name

    def task(self, stage: str, first: int, last: int, needs: tuple[int, ...] = ()) -> int:
        """Add a task to be done; returns its id."""
        self.tasks.append(Task(len(self.tasks), stage, first, last, needs))
        return len(self.tasks) - 1

    def committed(self, commit: Commit) -> int:
        """Add a task that an earlier driver committed; returns its id."""
        task = Task(len(self.tasks), commit.stage, commit.first, commit.last, done=True)
        self.tasks.append(task)
        self.done[task.id] = commit
        return task.id
