from __future__ import annotations

import io
from dataclasses import replace

from shardwise.compute.task import Failure, Metrics
from shardwise.report.progress import Progress
from shardwise.report.watcher import ProgressWatcher
from shardwise.run.commits import Commit
from shardwise.run.graph import Graph


def commit(stage: str, first: int, last: int) -> Commit:
    return Commit(stage, first, last, attempt=1, outputs=(), metrics=Metrics(rows_in=100 * (last - first), bytes_in=8))


def graph() -> Graph:
    made = Graph()
    made.stage("partial", program=None)  # type: ignore[arg-type]
    made.stage("finish", program=None, tree=True)  # type: ignore[arg-type]
    made.committed("partial", commit("partial", 0, 30))
    readers = [made.task("partial", 30, 60), made.task("partial", 60, 99)]
    made.task("finish", 0, 99, needs=(0, *readers))
    return made


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched() -> tuple[ProgressWatcher, io.StringIO]:
    stream = io.StringIO()
    watcher = ProgressWatcher(Progress("plain", stream), Clock())
    watcher.started(graph(), slots=2)
    return watcher, stream


def test_work_is_counted_in_ordinals_and_merges_as_one() -> None:
    watcher, stream = watched()
    assert stream.getvalue() == "Going on: 1 of 4 tasks were already done.\n"
    watcher.moved(20.0, running=2, commits=[commit("partial", 30, 60)])
    assert stream.getvalue().splitlines()[-1] == ("partial: 60 %, 2/4 tasks, 27 s left, 150 rows/s, 0 B/s, 3,000 rows")
    watcher.moved(40.0, running=1, commits=[commit("partial", 60, 99), commit("finish-0-99", 0, 99)])
    line = stream.getvalue().splitlines()[-1]
    assert line.startswith("partial: 100 %, 4/4 tasks")
    assert line.endswith("6,900 rows")  # the merge read no rows of the source


def test_a_retry_and_an_interruption_are_told() -> None:
    watcher, stream = watched()
    task = graph().tasks[1]
    watcher.retried(task, Failure("exception", "ValueError", "bad row\nmore"))
    watcher.retried(task, replace(Failure("crash", "", "died"), type="WorkerDied"))
    watcher.draining(1)
    assert stream.getvalue().splitlines()[1:] == [
        "retrying task partial 30-60: ValueError: bad row",
        "retrying task partial 30-60: WorkerDied: died",
        "Stopping: 1 task under way will be finished and kept. Ctrl-C again stops at once.",
    ]
    assert watcher.retries == 2
    watcher.started(graph(), slots=1)
    assert watcher.retries == 2


def test_the_end_leaves_nothing_of_a_bar() -> None:
    watcher, stream = watched()
    watcher.ended()
    watcher.moved(100.0, running=1, commits=[])
    assert len(stream.getvalue().splitlines()) == 1


def test_splits_and_second_attempts_are_told_and_counted() -> None:
    watcher, stream = watched()
    task = graph().tasks[1]
    halves = [replace(task, id=4, last=45), replace(task, id=5, first=45)]
    watcher.split(task, halves, Failure("memory", "WorkerError", "too much"))
    watcher.speculated(halves[1])
    assert stream.getvalue().splitlines()[1:] == [
        "task partial 30-60 ran out of memory: split into 30-45 and 45-60",
        "task partial 45-60 takes long: trying it a second time on an idle worker",
    ]
    watcher.moved(20.0, running=2, commits=[commit("partial", 30, 45), commit("partial", 45, 60)])
    assert stream.getvalue().splitlines()[-1].startswith("partial: 60 %, 3/5 tasks")
