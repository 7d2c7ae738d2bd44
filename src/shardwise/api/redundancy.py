"""``redundancy=2``: every task of an answer is done a second time by other processes, and its digests are compared.

The first graph has been carried out and committed when a second one, of the same tasks in the opposite order, is given
to a driver of its own: the scheduler knows nothing of it. What a second attempt writes is deleted as soon as it was
compared, so that it costs the time of a second run and the space of a few attempts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shardwise.api.check import SEEDS, first_in, own_aggregates
from shardwise.api.check_report import FIX, Finding
from shardwise.api.comparing import Comparison, compared
from shardwise.api.lender import Lender
from shardwise.compute.operations import functions
from shardwise.engines.local import LocalEngine
from shardwise.engines.registry import parse_engine
from shardwise.errors import ShardwiseError, Unrepeatable
from shardwise.plan.graphs import source_stage
from shardwise.run.commits import Commit
from shardwise.run.graph import Graph, Stage, inner
from shardwise.storage import open_store

if TYPE_CHECKING:
    from shardwise.api.options import Options
    from shardwise.api.runs import RunLedger
    from shardwise.plan.choose import Choice
    from shardwise.plan.work import Work

MOST_TOLD = 5
"""So many tasks that came out different are told of."""


def do_again(work: Work, end: int, choice: Choice, options: Options, ledger: RunLedger, lender: Lender) -> None:
    """Do all tasks once more, and compare.

    Raises
    ------
    Unrepeatable
        Some came out different.
    """
    lender.close()  # its slots may be all there are
    graph, originals = _graph(work, end, ledger)
    again = _Again(work, ledger, originals)
    engine, choice = _others(choice, options)
    with closing(
        Lender(choice, options, again, lender.watcher, work, engine)  # type: ignore[arg-type]
    ) as second:
        second.carry_out(graph)
    if again.different:
        raise Unrepeatable(again.told(options.timeout_seconds), FIX)


def _others(choice: Choice, options: Options) -> tuple[Any, Choice]:
    """An engine of other processes than those of the first attempts: of this host with another hash seed, elsewhere as
    the cluster starts them anew."""
    name, _ = parse_engine(choice.engine)
    if name not in ("inline", "local") or not isinstance(options.engine, str):
        return None, choice
    return LocalEngine(choice.workers, SEEDS[1]), replace(choice, engine="local")


def _graph(work: Work, end: int, ledger: RunLedger) -> tuple[Graph, dict[str, Commit]]:
    """The tasks that call a person's code, the last ones first, each over the range that was committed."""
    graph = Graph(fragments=work.pipeline.source.fragments)
    stage = source_stage(work)
    graph.stages[stage.name] = Stage(stage.name, stage.program)  # it publishes nothing
    originals: dict[str, Commit] = {}
    for commit in reversed(ledger.committed(stage.name)):
        if commit.last <= end:
            graph.task(stage.name, commit.first, commit.last)
            originals[commit.key] = commit
    if own_aggregates(work):
        _add_tree(graph, work, end, ledger, originals)
    return graph, originals


def _add_tree(graph: Graph, work: Work, end: int, ledger: RunLedger, originals: dict[str, Commit]) -> None:
    from shardwise.compute.programs.aggregate import FinishProgram, MergeProgram

    aggregation, known = work.aggregation(), Standing(ledger)
    graph.stage("merge", MergeProgram(aggregation), tree=True)
    graph.stage("finish", FinishProgram(aggregation), tree=True)
    waiting = ledger.committed(inner("finish", 0, end))
    while waiting:
        commit = waiting.pop()
        stage = commit.stage.partition("-")[0]
        if stage == "partial" or commit.key in originals:
            continue
        needs = [found for found in map(known.get, commit.needs) if found is not None]
        ids = [graph.committed(need.stage.partition("-")[0], with_addresses(need, ledger.url)) for need in needs]
        graph.task(stage, commit.first, commit.last, tuple(ids))
        originals[commit.key] = commit
        waiting += needs


class Standing:
    """Commits by their keys; ``ledger`` knows those of a stage."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self._stages: dict[str, dict[str, Commit]] = {}

    def get(self, key: str) -> Commit | None:
        """The commit that a key names, if it stands."""
        stage, _, _ = key.rsplit(":", 2)
        if stage not in self._stages:
            self._stages[stage] = {commit.key: commit for commit in self._ledger.committed(stage)}
        return self._stages[stage].get(key)


def with_addresses(commit: Commit, root: str) -> Commit:
    """The commit with paths that can be read from anywhere."""
    store = open_store(root) if root else None
    outputs = (
        replace(o, path=store.address(o.path)) if store and o.path and "://" not in o.path and o.path[0] != "/" else o
        for o in commit.outputs
    )
    return replace(commit, outputs=tuple(outputs))


class _Again:
    """The ledger of second attempts: commits nothing, and compares. Passes the driver's other calls on."""

    def __init__(self, work: Work, ledger: RunLedger, originals: dict[str, Commit]) -> None:
        self._work = work
        self._ledger = ledger
        self._originals = originals
        self.different: list[tuple[Commit, Comparison]] = []

    @property
    def id(self) -> str:
        """Of the run."""
        return self._ledger.id

    @property
    def url(self) -> str:
        """Of the run."""
        return self._ledger.url

    def next_attempt(self) -> int:
        """A number never used before in this run."""
        return self._ledger.next_attempt()

    def attempt_directory(self, attempt: int, base: str | None = None) -> str:
        """Where this attempt may write."""
        return self._ledger.attempt_directory(attempt, base)

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        """Compare, and delete what was written."""
        for commit in commits:
            original = self._originals[commit.key]
            directory = self._ledger.attempt_directory(commit.attempt)
            for comparison in compared(self._work, original, commit.outputs, self._ledger.url, directory):
                if not comparison.same:
                    self.different.append((original, comparison))
            self._ledger.discard(commit.attempt)
        return list(commits)

    def discard(self, attempt: int) -> None:
        """Delete what an attempt wrote."""
        self._ledger.discard(attempt)

    def append_logs(self, task: str, attempt: int, lines: Sequence[str], times: Sequence[float] = ()) -> None:
        """What a second attempt says has been said."""

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Keep how second attempts failed, and nothing else: they are no part of what the run was."""
        if kind == "retry":
            self._ledger.note(kind, data)

    def note_later(self, kind: str, data: dict[str, Any]) -> None:
        """When second attempts ran is not told, either."""

    def write_notes(self) -> None:
        """Nothing was left for later."""

    def told(self, timeout: float | None) -> str:
        """What came out different, the first ones in full. Where the first one does not say which row of the source it
        is about, that is looked for by calling the functions again."""
        pairs = sorted(self.different, key=lambda pair: (pair[0].first, pair[0].last))
        findings = [self._finding(*pair) for pair in pairs[:MOST_TOLD]]
        if findings[0].batch is None:
            findings[:1] = [*self._located(pairs[0][0], timeout), findings[0]]
        more = f"\n... and {len(pairs) - MOST_TOLD} more" if len(pairs) > MOST_TOLD else ""
        return "\n".join(map(str, findings)) + more

    def _located(self, commit: Commit, timeout: float | None) -> list[Finding]:
        with contextlib.suppress(ShardwiseError):  # on a cluster, this host may not even read the data
            found = first_in(self._work, range(commit.first, commit.last), timeout)
            return [replace(found, task=task_name(commit))] if found is not None else []
        return []

    def _finding(self, commit: Commit, comparison: Comparison) -> Finding:
        names = [function.name for function in functions(self._work.pipeline.operations)]
        names += [name for name, _ in own_aggregates(self._work)]
        place = comparison.place
        name = ", ".join(names) or "the job"
        file, batch = (place.file, place.batch) if place is not None else ("", None)
        return Finding("attempt", name, task_name(commit), file, batch, comparison.in_batch, comparison.why)


def task_name(commit: Commit) -> str:
    """A commit's task as people see it."""
    tail = f"-{commit.first}-{commit.last}"
    return commit.stage if commit.stage.endswith(tail) else commit.stage + tail
