"""What a driver knew of rows that ended workers, recalled from what was committed about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shardwise.compute import guarding
from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.bad_rows import from_ipc
from shardwise.compute.guard import MOST_DEATHS, MOST_TIMEOUTS
from shardwise.compute.narrowing import MOST_BAD_ROWS
from shardwise.compute.task import QUARANTINE, Output, Suspect

if TYPE_CHECKING:
    from shardwise.plan.work import Work


def suspects_in(work: Work, outputs: Iterable[Output], read: Any, attempt: ActiveAttempt) -> tuple[Suspect, ...]:
    """The suspects with which an attempt left out the rows that its quarantine names: what ends a worker would end this
    process, too. ``read``: gives the bytes of an output."""
    found: list[Suspect] = []
    for output in outputs:
        if output.name == QUARANTINE:
            rows = from_ipc([read(output)]).to_pylist()
            deadly = [row for row in rows if row["type"] == "WorkerError"]
            for fragment, batch in dict.fromkeys((row["fragment"], row["batch"]) for row in deadly):
                mine = [row for row in deadly if (row["fragment"], row["batch"]) == (fragment, batch)]
                found += _of_batch(work, fragment, batch, mine, attempt)
    return tuple(found)


def _of_batch(
    work: Work, fragment: int, batch: int, rows: list[dict[str, Any]], attempt: ActiveAttempt
) -> Iterator[Suspect]:
    first = rows[0]
    if first["scope"] == "batch":
        yield from _hopeless(fragment, batch, len(rows), first)
        return
    numbers = _entering(work, fragment, batch, attempt)
    for row in rows:
        place = int(np.flatnonzero(numbers == row["row"])[0])
        yield Suspect(fragment, batch, place, place + 1, row["kind"], row["message"], row["traceback"])


def _hopeless(fragment: int, batch: int, rows: int, row: dict[str, Any]) -> list[Suspect]:
    """What makes a batch be given up for the same reason, in the same words."""
    why, _, message = row["message"].partition(": ")
    whole = Suspect(fragment, batch, 0, rows, row["kind"], message, row["traceback"])
    if "together" in why:
        return [replace(whole, searched=True)]
    if "ran out of time" in why:
        return [replace(whole, kind="timeout")] * MOST_TIMEOUTS
    singles = [replace(whole, first=place, last=place + 1) for place in range(min(rows, MOST_BAD_ROWS + 1))]
    return singles if rows > MOST_BAD_ROWS else [whole] * (MOST_DEATHS + 1)


def _entering(work: Work, fragment: int, batch: int, attempt: ActiveAttempt) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each row of a batch that reaches the functions: its number in the batch as the source has it."""
    pipeline = work.pipeline
    begin, _ = guarding.span(pipeline.operations, True)
    whole = guarding.one_batch(pipeline, fragment, batch)
    return guarding.source_rows(pipeline, pipeline.operations[:begin], whole, attempt)
