"""Graphs of tasks for each target, around what is committed already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from shardwise.compute.aggregation import Aggregation
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.programs.aggregate import FinishProgram, MergeProgram, PartialProgram
from shardwise.compute.programs.collect import CollectProgram
from shardwise.compute.programs.settle import SettleProgram
from shardwise.compute.programs.write import WriteProgram
from shardwise.plan.shards import gaps
from shardwise.plan.work import Work, WriteTo
from shardwise.run.commits import Commit
from shardwise.run.graph import Graph, inner

FAN_IN = 16
"""States that one task merges."""

Cutter = Callable[[Sequence[tuple[int, int]]], list[tuple[int, int]]]
"""From gaps to shards."""


class Done(Protocol):
    """What knows the commits of earlier drivers."""

    def committed(self, stage: str) -> list[Commit]:
        """Commits of a stage, sorted, not overlapping."""


def settle_graph(pipeline: Pipeline, end: int, done: Done) -> tuple[Graph, int]:
    """One task that settles schemas. Returns the graph and the task's id."""
    graph = Graph()
    graph.stage("settle", SettleProgram(pipeline))
    for commit in done.committed("settle"):
        return graph, graph.committed("settle", commit)
    return graph, graph.task("settle", 0, end)


def rows_graph(work: Work, end: int, done: Done, cutter: Cutter) -> tuple[Graph, list[int]]:
    """A task per shard that collects or writes. Returns the graph and the ids in order of position."""
    graph = Graph()
    target = work.target
    if isinstance(target, WriteTo):
        from shardwise.data.sinks import sink  # here, as only jobs that write need it

        program = WriteProgram(work.pipeline, sink(target.format), work.part_batches)
        stage = graph.stage("write", program, target.directory)
    else:
        stage = graph.stage("collect", CollectProgram(work.pipeline))
    return graph, _shards(graph, stage, end, done, cutter)


def aggregate_graph(work: Work, aggregation: Aggregation, end: int, done: Done, cutter: Cutter) -> tuple[Graph, int]:
    """A tree: partial states of shards, merges of ``FAN_IN``, one finish. Returns the graph and the finish's id."""
    graph = Graph()
    graph.stage("partial", PartialProgram(work.pipeline, aggregation))
    graph.stage("merge", MergeProgram(aggregation), tree=True)
    graph.stage("finish", FinishProgram(aggregation), tree=True)
    for commit in done.committed(inner("finish", 0, end)):
        return graph, graph.committed("finish", commit)
    nodes = _shards(graph, "partial", end, done, cutter)
    while len(nodes) > FAN_IN:
        nodes = [_merge(graph, nodes[i : i + FAN_IN], done) for i in range(0, len(nodes), FAN_IN)]
    return graph, graph.task("finish", 0, end, tuple(nodes))


def _merge(graph: Graph, nodes: list[int], done: Done) -> int:
    if len(nodes) == 1:
        return nodes[0]
    first, last = graph.tasks[nodes[0]].first, graph.tasks[nodes[-1]].last
    for commit in done.committed(inner("merge", first, last)):
        return graph.committed("merge", commit)
    return graph.task("merge", first, last, tuple(nodes))


def _shards(graph: Graph, stage: str, end: int, done: Done, cutter: Cutter) -> list[int]:
    commits = [c for c in done.committed(stage) if c.first < end]
    ids = {c.first: graph.committed(stage, c) for c in commits}
    for first, last in cutter(gaps([(c.first, c.last) for c in commits], end)):
        ids[first] = graph.task(stage, first, last)
    return [ids[first] for first in sorted(ids)]
