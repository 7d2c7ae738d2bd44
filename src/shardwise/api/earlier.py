"""What tasks cost in a run that needs no more of them: a sample of what is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardwise.api.sampling import tried
from shardwise.compute.machine import resident_memory
from shardwise.plan.graphs import source_stage_name
from shardwise.plan.sample import Phase, Sample
from shardwise.plan.shards import Weights
from shardwise.records import revive

if TYPE_CHECKING:
    from shardwise.api.runs import RunLedger
    from shardwise.plan.work import Work


def noted_sample(ledger: RunLedger, engine: str, workers: int) -> Sample | None:
    """What was tried last for a plan of the run, on this engine with so many workers; else None."""
    for note in reversed(ledger.noted("sample")):
        if (note["engine"], note["workers"]) == (engine, workers):
            noted: Sample = revive(Sample, note)
            return noted
    return None


def earlier_sample(work: Work, ledger: RunLedger) -> Sample | None:
    """What was tried for an earlier plan of the run; else all tasks of the run, where it is finished; else None."""
    for note in reversed(ledger.noted("sample")):
        noted: Sample = revive(Sample, note)
        return noted
    commits, outcome = ledger.committed(source_stage_name(work)), ledger.outcome
    if not commits or outcome is None:
        return None
    weights = Weights.of(work.pipeline.source.fragments)
    costs = tuple(tried(commit, weights) for commit in commits)
    workers, here = int(outcome["workers"]), resident_memory()  # what its driver held above that is not known here
    return Sample(
        str(outcome["engine"]),
        workers,
        (Phase(workers, float(outcome["seconds"]), costs),),
        before=here,
        driver=here,
        asked=1.0,
    )
