"""Graphs of tasks for each target, around what is committed already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from shardwise.plan.shards import gaps
from shardwise.plan.work import CollectTo, Work, WriteTo
from shardwise.run.graph import Graph, Stage, inner

if TYPE_CHECKING:
    from shardwise.compute.aggregation import Aggregation
    from shardwise.compute.pipeline import Pipeline
    from shardwise.run.commits import Commit

FAN_IN = 16
"""States that one task merges."""

Cutter = Callable[[Sequence[tuple[int, int]]], list[tuple[int, int]]]
"""From gaps to shards."""


class Done(Protocol):
    """What knows the commits of earlier drivers."""

    def committed(self, stage: str) -> list[Commit]:
        """Commits of a stage, sorted, not overlapping."""

    def lost(self, stage: str) -> list[tuple[int, int]]:
        """Ranges whose commits have lost their files."""


def settle_graph(pipeline: Pipeline, end: int, done: Done) -> tuple[Graph, int]:
    """One task that settles schemas. Returns the graph and the task's id."""
    from shardwise.compute.programs.settle import SettleProgram  # all here, as a job needs only its own

    graph = Graph(fragments=pipeline.source.fragments)
    graph.stage("settle", SettleProgram(pipeline))
    for commit in done.committed("settle"):
        return graph, graph.committed("settle", commit)
    return graph, graph.task("settle", 0, end)


def source_stage_name(work: Work) -> str:
    """Name of the stage whose tasks read the source."""
    if isinstance(work.target, WriteTo):
        return "write"
    return "collect" if isinstance(work.target, CollectTo) else "partial"


def source_stage(work: Work) -> Stage:
    """The stage whose tasks read the source."""
    target = work.target
    if isinstance(target, WriteTo):
        from shardwise.compute.programs.write import WriteProgram
        from shardwise.data.sinks import sink

        program = WriteProgram(work.pipeline, sink(target.format), work.part_batches)
        return Stage("write", program, target.directory)
    if isinstance(target, CollectTo):
        from shardwise.compute.programs.collect import CollectProgram

        return Stage("collect", CollectProgram(work.pipeline))
    from shardwise.compute.programs.aggregate import PartialProgram

    return Stage("partial", PartialProgram(work.pipeline, work.aggregation()))


def rows_graph(work: Work, end: int, done: Done, cutter: Cutter) -> tuple[Graph, list[int]]:
    """A task per shard that collects or writes. Returns the graph and the ids in order of position."""
    graph = Graph(fragments=work.pipeline.source.fragments)
    stage = source_stage(work)
    graph.stages[stage.name] = stage
    return graph, _shards(graph, stage.name, end, done, cutter, work.part_batches)


def aggregate_graph(work: Work, aggregation: Aggregation, end: int, done: Done, cutter: Cutter) -> tuple[Graph, int]:
    """A tree: partial states of shards, merges of ``FAN_IN``, one finish. Returns the graph and the finish's id."""
    from shardwise.compute.programs.aggregate import FinishProgram, MergeProgram, PartialProgram

    graph = Graph(fragments=work.pipeline.source.fragments)
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


def _shards(graph: Graph, stage: str, end: int, done: Done, cutter: Cutter, unit: int = 1) -> list[int]:
    commits = [c for c in done.committed(stage) if c.first < end]
    ids = {c.first: graph.committed(stage, c) for c in commits}
    lost = [(first, last) for first, last in done.lost(stage) if last <= end]  # again as they were, to be compared
    for first, last in [*lost, *cutter(gaps([*lost, *((c.first, c.last) for c in commits)], end))]:
        ids[first] = graph.task(stage, first, last, unit=unit)
    return [ids[first] for first in sorted(ids)]
