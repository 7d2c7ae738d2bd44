"""What merging costs: the states that are committed so far, merged once more, and thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shardwise.compute.execute import execute
from shardwise.compute.task import EPHEMERAL, TaskSpec

if TYPE_CHECKING:
    from shardwise.api.runs import RunLedger
    from shardwise.compute.aggregation import Aggregation
    from shardwise.run.commits import Commit

MOST = 16
"""So many states show what one costs."""


def seconds_of_merging(aggregation: Aggregation, commits: Sequence[Commit], ledger: RunLedger, threads: int) -> float:
    """Seconds that one state adds to a task that merges."""
    from shardwise.compute.programs.aggregate import FinishProgram

    inputs = tuple(commit.outputs[0] for commit in commits[:MOST] if commit.outputs)
    if not inputs:
        return 0.0
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        spec = TaskSpec(EPHEMERAL, "finish", 0, 0, "", 0, 1, directory, inputs, ledger.url, threads, measured=False)
        execute(spec, FinishProgram(aggregation))  # imports, and opens DuckDB
        began = time.monotonic()
        outcome = execute(spec, FinishProgram(aggregation))
        seconds = time.monotonic() - began
    return seconds / len(inputs) if outcome.failure is None else 0.0
