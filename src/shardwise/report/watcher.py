"""What the driver tells, as progress for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shardwise.compute.task import Failure
    from shardwise.report.progress import Progress
    from shardwise.run.commits import Commit
    from shardwise.run.graph import Graph
    from shardwise.run.messages import Task


class ProgressWatcher:
    """A ``run.seams.Watcher`` that keeps count and shows it by ``Progress``.

    Work is counted in ordinals for tasks that read the source, and as one for tasks that merge. Rows and bytes are
    those of the source.

    Parameters
    ----------
    progress : Progress
        Where it is shown.
    clock : callable
        The driver's clock.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._weights: dict[tuple[str, int, int], float] = {}
        self._readers: set[str] = set()
        self.ours: set[int] = set()  # attempts of this call that no driver made: they are no news of an earlier one
        self.done = self.rows = self.bytes = self.retries = self.splits = self.backups = 0
        self.work = 0.0

    def started(self, graph: Graph, slots: int) -> None:
        """Count what is to be done and what is done already."""
        weights = {task.id: 1.0 if task.needs else float(task.last - task.first) for task in graph.tasks}
        self._weights = {(graph.journal_name(t), t.first, t.last): weights[t.id] for t in graph.tasks}
        self._readers = {task.stage for task in graph.tasks} - {task.stage for task in graph.tasks if task.needs}
        before = [task for task in graph.tasks if task.done]
        earlier = any(graph.done[task.id].attempt not in self.ours for task in before)
        self.done = len(before)
        self.rows = self.bytes = 0
        self.work = sum(weights[task.id] for task in before)
        self._progress.begin(
            len(graph.tasks),
            done=self.done,
            now=self._clock(),
            total_work=sum(weights.values()),
            done_work=self.work,
            label=next(iter(graph.stages), ""),
            resumed=earlier,
        )

    def moved(self, now: float, running: int, commits: Sequence[Commit]) -> None:
        """Count what was committed."""
        for commit in commits:
            self.done += 1
            self.work += self._weights.get((commit.stage, commit.first, commit.last), 0.0)
            if commit.stage in self._readers:
                self.rows += commit.metrics.rows_in
                self.bytes += commit.metrics.bytes_in
        self._progress.update(
            now=now,
            running=running,
            done=self.done,
            rows=self.rows,
            bytes=self.bytes,
            retries=self.retries,
            work=self.work,
        )

    def retried(self, task: Task, failure: Failure) -> None:
        """Say which task failed, and why, and that it will be tried again."""
        self.retries += 1
        name = f"{task.stage} {task.first}-{task.last}"
        first = failure.message.strip().splitlines()[0] if failure.message.strip() else failure.kind
        self._progress.message(f"retrying task {name}: {failure.type}: {first}")

    def split(self, task: Task, halves: Sequence[Task], failure: Failure) -> None:
        """Say which task ran out of memory, and that its halves take its place."""
        self.splits += 1
        for half in halves:  # readers of the source: only they are split
            self._weights[half.stage, half.first, half.last] = float(half.last - half.first)
        self._progress.more_tasks(len(halves) - 1)
        into = " and ".join(f"{half.first}-{half.last}" for half in halves)
        self._progress.message(f"task {task.stage} {task.first}-{task.last} ran out of memory: split into {into}")

    def speculated(self, task: Task) -> None:
        """Say which task is slow."""
        self.backups += 1
        name = f"{task.stage} {task.first}-{task.last}"
        self._progress.message(f"task {name} takes long: trying it a second time on an idle worker")

    def draining(self, running: int) -> None:
        """Answer the first Ctrl-C."""
        tasks = "1 task" if running == 1 else f"{running} tasks"
        self._progress.message(f"Stopping: {tasks} under way will be finished and kept. Ctrl-C again stops at once.")

    def ended(self) -> None:
        """The run is over, however it ended: nothing of a bar stays."""
        self._progress.end()
