"""What to say when a single batch does not fit in memory, though it had all that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from shardwise.compute.task import Failure
from shardwise.sizes import format_size

if TYPE_CHECKING:
    from shardwise.data.source import Fragment
    from shardwise.run.messages import Task


def too_large(
    failure: Failure, task: Task, fragments: Sequence[Fragment], ceiling: int, allowed: int | None
) -> Failure:
    """Name the batch, what it needed at least, and what would fit.

    Parameters
    ----------
    failure : Failure
        Of kind ``memory``: of an attempt that had its host for itself.
    task : Task
        What it tried.
    fragments : sequence of Fragment
        Of the source.
    ceiling : int
        Bytes that its worker might use.
    allowed : int or None
        Bytes that the person allowed for all processes together; None where the machine is the limit.

    Returns
    -------
    Failure
        The same with another message and fix.
    """
    needed = max(failure.used, ceiling)
    message = (
        f"{_subject(task, fragments)} does not fit in memory, with no other at work: it needed at least "
        f"{format_size(needed)}, and {format_size(ceiling)} was all that a worker may use; {failure.message}"
    )
    if allowed is None:
        fix = "lower batch_rows, or use a machine with more memory"
    else:
        # A worker is stopped while it grows, so nobody knows what it needs in the end: double what it had.
        fix = f"give memory={format_size(allowed - ceiling + 2 * needed)} or more, or lower batch_rows"
    return replace(failure, message=message, fix=fix)


def _subject(task: Task, fragments: Sequence[Fragment]) -> str:
    starts = list(accumulate((fragment.batches for fragment in fragments), initial=0))
    if task.needs:
        return f"merging batches {task.first} to {task.last - 1}"
    for fragment, start in zip(fragments, starts):
        if start <= task.first < start + fragment.batches:
            if fragment.in_order:
                return f"{fragment.name}, which can only be read in one piece,"
            first, last = task.first - start, task.last - start
            if task.unit and last - first == 1:
                return f"batch {first} of {fragment.name}"
            if not task.unit:
                return f"the first batch of {fragment.name}"
            return f"the part with batches {first} to {last - 1} of {fragment.name}"
    return f"the task of batches {task.first} to {task.last - 1}"
