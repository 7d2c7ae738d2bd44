"""A full disk: how much room the rest of a run needs."""

from __future__ import annotations

from shardwise.api.runs import RunLedger
from shardwise.errors import DiskFull
from shardwise.plan.work import Work
from shardwise.sizes import format_count, format_size

_READING = ("partial", "collect", "write")
"""Stages whose tasks write something for each batch."""


def with_need(error: DiskFull, work: Work, share: float, ledger: RunLedger | None) -> DiskFull:
    """The same error with an estimate of what is still to be written: the mean of a batch so far, times the batches
    that are left. ``ledger``: None where there was not even room for the beginning of a run."""
    end = max(1, round(share * sum(fragment.batches for fragment in work.pipeline.source.fragments)))
    commits = [c for stage in _READING for c in (ledger.committed(stage) if ledger else ()) if c.last <= end]
    done = sum(commit.last - commit.first for commit in commits)
    written = sum(output.size for commit in commits for output in commit.outputs)
    left = end - done
    batches = f"{format_count(left)} {'batch' if left == 1 else 'batches'}"
    if not done:
        need = f"{batches} are still to be written; how much each needs is not known before one is done"
    elif not left:
        need = "all batches are written; merging and publishing them needs a little more"
    else:
        each = written / done
        need = (
            f"about {format_size(each * left)} more are needed for the {batches} that are left "
            f"({format_size(each)} each so far)"
        )
    return DiskFull(f"{error.message}; {need}", error.fix)
