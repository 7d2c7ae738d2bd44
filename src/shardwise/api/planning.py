"""What a run does, before it does anything: how far it goes, who works, and which tasks there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shardwise.api.runs import RunLedger, look_at, open_ledger, refuse_taken_output, remember_access
from shardwise.engines.registry import engine_label, engine_reach, engine_room
from shardwise.errors import RunIsTaken, UsageError
from shardwise.plan.choose import Choice, choose
from shardwise.plan.graphs import aggregate_graph, rows_graph, settle_graph, source_stage_name
from shardwise.plan.shards import Weights, cut, gaps
from shardwise.plan.work import AggregateTo, DescribeTo, Work, WriteTo
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.history import PLANNED
from shardwise.run.output import holds_other_data

if TYPE_CHECKING:
    from shardwise.api.options import Options
    from shardwise.plan.graphs import Done
    from shardwise.plan.plan import StagePlan
    from shardwise.run.commits import Commit
    from shardwise.run.graph import Graph

CarryOut = Callable[["Graph"], dict[int, Any]]
"""Commits of all tasks of a graph, by id, once they are made."""


class Anew:
    """What a run finds that begins from nothing (``plan.graphs.Done``)."""

    def committed(self, stage: str) -> list[Commit]:
        return []

    def lost(self, stage: str) -> list[tuple[int, int]]:
        return []


def refuse_a_place_of_our_own(options: Options) -> None:
    """Workers on other hosts cannot write into this user's cache: say so before any work."""
    if options.ship:
        from shardwise.engines.shipping import located

        located(options.ship)
    if options.engine != "auto" and options.run_dir is None and engine_reach(options.engine) == "network":
        raise UsageError(
            f"workers of {engine_label(options.engine)} may be on other hosts, and cannot reach this user's cache",
            "say where the run is kept: --run-dir with a path or URL that the driver and all workers reach",
        )


@contextlib.contextmanager
def ledger_of_plan(work: Work, title: str, options: Options, tries: bool) -> Iterator[RunLedger]:
    """The run's ledger, to commit what is tried; to look at only, where nothing is or another driver works in it. A run
    that would begin anew is not touched: what is tried for it is not kept."""
    with contextlib.ExitStack() as stack:
        ledger = None
        if tries and options.restart:
            memory = EphemeralLedger()
            stack.callback(memory.close)
            remember_access(work, options)
            ledger = RunLedger(memory, "")
        elif tries:
            with contextlib.suppress(RunIsTaken):
                ledger = stack.enter_context(open_ledger(work, title, options))
        found = ledger or stack.enter_context(look_at(work, title, options))
        refuse_taken_output(work, title, found)
        if found.takes_commits and not found.is_finished:
            found.note_later(PLANNED, {})
        yield found


def why_nothing_is_tried(work: Work, options: Options, ledger: RunLedger, end: int, share: float) -> str:
    """Why nothing can be tried for a plan; empty: it can."""
    if share <= 0:
        return "nothing is tried (--no-sample)"
    if ledger.is_finished:
        return "the run is finished"
    if not ledger.takes_commits:
        return "another driver works in the run"
    if end <= work.part_batches:
        return "to try one batch would be to do all of it"
    done = [(commit.first, commit.last) for commit in ledger.committed(source_stage_name(work))]
    if not gaps(done, end) and not ledger.noted("sample"):
        return "all tasks that read the data are committed"
    if isinstance(work.target, WriteTo):
        where = work.target.directory
        if work.target.overwrite and holds_other_data(where, ledger.id):
            return f"the first task that is tried would replace what is in {where}"
        if options.restart:
            return f"a restart begins with emptying {where}"
    return ""


def reach(work: Work, share: float, ledger: RunLedger) -> int:
    """Ordinals to do: all, or the first ``share`` of them (never cutting a committed task)."""
    total = sum(fragment.batches for fragment in work.pipeline.source.fragments)
    if share >= 1:
        return total
    unit = work.part_batches
    end = min(total, max(1, -(-int(total * share + 0.5) // unit)) * unit)
    stages = ("partial", "collect", "write")
    return max([end, *(c.last for s in stages for c in ledger.committed(s) if c.first < end < c.last)])


def choice_of(work: Work, options: Options, end: int) -> Choice:
    named = engine_label(options.engine)
    far = engine_reach(options.engine) == "network"
    room = engine_room(options.engine) if far and options.workers is None else None
    choice = choose(work, named, options.workers, options.memory_bytes, options.shard_bytes, end, far, room)
    if options.timeout is not None and choice.undecided:
        return choice.beside("only a process can be given a time limit")
    return choice


def as_it_was(choice: Choice, outcome: dict[str, Any]) -> Choice:
    """Who carried a finished run out, whatever would be chosen for it now."""
    why = "all of it is done: this is how it was carried out"
    if outcome["engine"] == "inline":
        return choice.alone(why)
    return replace(choice, engine=str(outcome["engine"]), workers=int(outcome["workers"]), reasons=(why,))


def graph_of(work: Work, end: int, choice: Choice, done: Done) -> tuple[Graph, list[int]]:
    """The graph of a settled job, and the tasks whose outputs are the answer."""
    weights = Weights.of(work.pipeline.source.fragments)

    def cutter(ranges: Any) -> list[tuple[int, int]]:
        return cut(ranges, weights, choice.target, work.part_batches)

    if isinstance(work.target, (AggregateTo, DescribeTo)):
        graph, task = aggregate_graph(work, work.aggregation(), end, done, cutter)
        return graph, [task]
    return rows_graph(work, end, done, cutter)


def settle(work: Work, end: int, ledger: RunLedger, carry_out: CarryOut) -> Work:
    """The job with the columns of its functions known: one task calls them on the first batch."""
    from shardwise.compute.programs.settle import settled_operations

    graph, task = settle_graph(work.pipeline, end, ledger)
    outputs = carry_out(graph)[task].outputs
    operations = settled_operations(work.pipeline.operations, bytes(ledger.read(outputs[0])))
    return replace(work, pipeline=replace(work.pipeline, operations=operations))


def stages_of(work: Work, end: int, choice: Choice, done: Done) -> tuple[StagePlan, ...]:
    """What each stage will do, in numbers."""
    from shardwise.plan.preview import preview

    if work.settled:
        graph, _ = graph_of(work, end, choice, done)
        return preview(graph.tasks, work, end)
    graph, _ = settle_graph(work.pipeline, end, done)
    weights = Weights.of(work.pipeline.source.fragments)
    return preview(graph.tasks, work, end, later=len(cut([(0, end)], weights, choice.target, work.part_batches)))
