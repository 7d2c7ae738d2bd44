"""Where each task stands, which ones wait for it, and which task is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from shardwise.errors import InternalError
from shardwise.run.ready import Ready
from shardwise.run.slots import Slot
from shardwise.run.task import Task
from shardwise.run.transitions import BEGIN, Cause, State, step


@dataclass(slots=True)
class Node:
    """What is known of a task."""

    task: Task
    state: State = BEGIN
    missing: int = 0  # needs that are not done
    feeds: list[Node] = field(default_factory=list)  # who needs it
    failures: dict[str, int] = field(default_factory=dict)  # by kind
    failed_on: Slot | None = None  # where its last attempt failed
    shares: int = 1  # of a host's memory that it claims, unless tasks of its size are known to need fewer
    least: int = 1  # shares that it claims in any case: it ran out of fewer
    halves: tuple[Node, ...] = ()  # what took its place

    @property
    def ordinals(self) -> int:
        """How many it stands for."""
        return self.task.last - self.task.first


class Tasks:
    """The graph of a run. States change here and nowhere else, always by the table of transitions.

    Parameters
    ----------
    tasks : sequence of Task
        Those with ``done`` begin as done.

    Raises
    ------
    InternalError
        Two tasks have one id, a need is no task, or tasks need each other.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.counts = dict.fromkeys(State, 0)
        self.ready = Ready()
        self._nodes = {task.id: Node(task) for task in tasks}
        self._next_id = max(self._nodes, default=-1) + 1
        _check(tasks, self._nodes)
        self.counts[BEGIN] = len(tasks)
        for node in self._nodes.values():
            if node.task.done:
                self.move(node, Cause.RESUMED)
        for node in self._nodes.values():
            for need in dict.fromkeys(node.task.needs):
                self[need].feeds.append(node)
                node.missing += self[need].state is not State.DONE
            if not node.missing and node.state is State.WAITING:
                self.move(node, Cause.FED)

    def __getitem__(self, task: int) -> Node:
        return self._nodes[task]

    @property
    def all_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.counts[State.DONE] + self.counts[State.SPLIT] == len(self._nodes)

    @property
    def next(self) -> Node:
        """The ready task with the lowest id."""
        return self._nodes[self.ready.lowest]

    def start(self, node: Node, cause: Cause = Cause.STARTED) -> None:
        """Take a ready task out of the queue: it is sent to a slot."""
        self.ready.remove(node.task.id)
        self.move(node, cause)

    def split(self, node: Node, middle: int, shares: int) -> tuple[Task, ...]:
        """Put two tasks, in order of position, in the place of one that runs or is the next; they claim ``shares``."""
        if node.state is State.READY:
            self.ready.remove(node.task.id)
        task, new = node.task, self._next_id
        self._next_id += 2
        halves = replace(task, id=new, last=middle), replace(task, id=new + 1, first=middle)
        node.halves = tuple(Node(half, feeds=node.feeds, shares=shares) for half in halves)
        self.move(node, Cause.HALVED)
        for fed in node.feeds:
            fed.missing += len(halves) - 1
        for half in node.halves:
            self._nodes[half.task.id] = half
            self.counts[BEGIN] += 1
            self.ready.locate(half.task.id, self.ready.hosts(task.id))
            self.move(half, Cause.FED)
        return halves

    def move(self, node: Node, cause: Cause) -> None:
        """Let something happen to a task. When it is done then, those that waited for it alone become ready."""
        before = node.state
        after = node.state = step(before, cause, node.task.id)
        self.counts[before] -= 1
        self.counts[after] += 1
        if after is State.READY:
            self.ready.add(node.task.id)
        elif after is State.DONE:
            for fed in node.feeds:
                fed.missing -= 1
                if not fed.missing and fed.state is State.WAITING:
                    self.move(fed, Cause.FED)

    def in_state(self, state: State) -> list[int]:
        """Ids of all tasks in a state, in ascending order; looks at every task."""
        return sorted(task for task, node in self._nodes.items() if node.state is state)

    def validate(self) -> None:
        """Raise InternalError unless what is kept twice agrees with itself."""
        states = Counter(node.state for node in self._nodes.values())
        if any(states[state] != count for state, count in self.counts.items()):
            raise InternalError(f"tasks are counted as {self.counts}, but there are {states}")
        if list(self.ready) != self.in_state(State.READY):
            raise InternalError(f"the queue of ready tasks is {list(self.ready)}")
        for task, node in self._nodes.items():
            missing = sum(self._missing(self[need]) for need in set(node.task.needs))
            if node.missing != missing or (missing and node.state not in (State.WAITING, State.DONE)):
                raise InternalError(f"task {task} is {node.state} and misses {node.missing} needs; in truth {missing}")
            if not missing and node.state is State.WAITING:
                raise InternalError(f"task {task} waits for nothing")

    def _missing(self, need: Node) -> int:
        """How many of the tasks that stand for one are not done."""
        if need.halves:
            return sum(map(self._missing, need.halves))
        return need.state is not State.DONE


def _check(tasks: Sequence[Task], nodes: dict[int, Node]) -> None:
    if len(nodes) < len(tasks):
        raise InternalError(f"{len(tasks)} tasks have only {len(nodes)} different ids")
    unknown = [(task.id, need) for task in tasks for need in task.needs if need not in nodes]
    if unknown:
        raise InternalError(f"task {unknown[0][0]} needs task {unknown[0][1]}, which is not in the graph")
    if any(need >= task.id for task in tasks for need in task.needs):  # else there can be no cycle
        try:
            TopologicalSorter({task.id: task.needs for task in tasks}).prepare()
        except CycleError as error:
            raise InternalError(f"tasks {', '.join(map(str, error.args[1]))} need each other") from None
