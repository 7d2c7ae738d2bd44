"""Outputs of a task that was done again, beside those that were committed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from shardwise.compute.attempt import ActiveAttempt
from shardwise.compute.first_difference import Difference, difference
from shardwise.compute.outputs import STATE, decoded
from shardwise.compute.task import EPHEMERAL, QUARANTINE, Output, TaskSpec
from shardwise.errors import StorageError
from shardwise.plan.work import CollectTo, Work, WriteTo
from shardwise.run.commits import Commit
from shardwise.storage import digest, open_store
from shardwise.storage.naming import attempt_name


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the source, where a result has as many rows as were read."""

    file: str
    batch: int | None = None
    row: int | None = None

    def __str__(self) -> str:
        batch = "" if self.batch is None else f", batch {self.batch}"
        return f"{self.file}{batch}" + ("" if self.row is None else f", row {self.row}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output, as it was committed and as it came out again.

    Parameters
    ----------
    name : str
        Of the output.
    committed, again : str
        Digests; empty where there is no such output.
    difference : Difference or None
        The first difference between the two, where both can be read.
    place : Place or None
        Where in the source that is.
    damage : str
        What is wrong with the committed file, as it lies there now; empty where it is what was committed.
    equal : bool
        The bytes differ, but say the same: a state may be kept in several ways, and what lies under a null is free.
    why : str
        Why there is no difference to be shown though the digests differ.
    """

    name: str
    committed: str
    again: str
    difference: Difference | None = None
    place: Place | None = None
    damage: str = ""
    equal: bool = False
    why: str = ""

    @property
    def same(self) -> bool:
        """Whether what came out is what was committed."""
        return self.equal or self.committed == self.again

    @property
    def in_batch(self) -> Difference | None:
        """The difference, with the row of the batch where that is known."""
        if self.difference is None or self.place is None or self.place.row is None:
            return self.difference
        return replace(self.difference, row=self.place.row)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self._verdict()}", *([f"  damaged: {self.damage}"] if self.damage else [])])

    def _verdict(self) -> str:
        if self.committed == self.again:
            return f"the same digest, {self.again}"
        if self.equal:
            return "other bytes, which say the same"
        if not self.again:
            return f"committed with digest {self.committed}, did not come out again"
        if not self.committed:
            return f"came out with digest {self.again}, was not committed"
        shown = self.why or str(self.difference)
        where = "" if self.place is None else f" ({self.place})"
        return f"digest {self.again}, where {self.committed} was committed\n  first difference{where}: {shown}"


def compared(work: Work, commit: Commit, again: Sequence[Output], root: str, directory: str) -> list[Comparison]:
    """Compare the outputs of a task, name by name.

    Parameters
    ----------
    work : Work
        The job.
    commit : Commit
        What was committed, in a run whose directory is ``root``.
    again : sequence of Output
        What came out now, in ``directory``.
    """
    before = {output.name: output for output in commit.outputs}
    now = {output.name: output for output in again}
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old is None or new is None:
            found.append(Comparison(name, old.digest if old else "", new.digest if new else ""))
        else:
            found.append(_of_two(work, commit, old, new, root, directory))
    return found


def _of_two(work: Work, commit: Commit, old: Output, new: Output, root: str, directory: str) -> Comparison:
    made = Comparison(old.name, old.digest, new.digest)
    kept, damage = _kept(old, root)
    made = replace(made, damage=damage)
    if old.digest == new.digest and not damage:
        return made
    if kept is None or (damage and old.digest != new.digest):
        return replace(made, why="the committed file cannot be compared with") if old.digest != new.digest else made
    apart, why = _apart(work, old.name, kept, _written(new, directory))
    if damage:  # what came out is what was committed: the difference says what the damage did
        return replace(made, damage=f"{damage}; first difference: {why or apart}")
    if apart is None and not why:
        return replace(made, equal=True)
    place = None if apart is None else place_of(work, commit, old, apart.row)
    return replace(made, difference=apart, place=place, why=why)


def _kept(output: Output, root: str) -> tuple[bytes | None, str]:
    """The committed bytes as they lie there now, and what is wrong with them."""
    if output.data is not None:
        return output.data, ""
    try:
        data = _fetch(output.path, root)
    except (StorageError, OSError) as error:
        return None, str(error).splitlines()[0]
    if (found := digest(data)) != output.digest:
        return data, f"{output.path} has digest {found} and {len(data)} bytes, where {output.size} were committed"
    return data, ""


def _written(output: Output, directory: str) -> bytes:
    if output.data is not None:
        return output.data
    return bytes(open_store(directory).get(attempt_name(output.name, output.publish)))


def _fetch(path: str, root: str) -> bytes:
    if path.startswith("/") or "://" in path:
        directory, _, name = path.rpartition("/")
        return bytes(open_store(directory or "/").get(name))
    return bytes(open_store(root).get(path))


def _apart(work: Work, name: str, old: bytes, new: bytes) -> tuple[Difference | None, str]:
    """The first difference of what two outputs say; or why it cannot be told."""
    try:
        with _scratch() as attempt:
            aggregation = work.aggregation() if name == STATE else None
            one, two = (decoded(name, data, aggregation, attempt) for data in (old, new))
            apart = difference(one, two)
    except Exception as error:  # damaged bytes, or a person's own ``finish``
        byte = next((place for place, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
        return None, f"byte {byte} ({type(error).__name__} when it is read: {str(error).splitlines()[0:1]})"
    return apart, ""


@contextmanager
def _scratch() -> Iterator[ActiveAttempt]:
    with tempfile.TemporaryDirectory(prefix="shardwise-") as directory:
        attempt = ActiveAttempt(TaskSpec(EPHEMERAL, "compare", 0, 0, "", 0, 0, directory), None, print)
        try:
            yield attempt
        finally:
            attempt.close()


# --- where a row comes from ----------------------------------------------------------------------------------------


def place_of(work: Work, commit: Commit, output: Output, row: int | None) -> Place | None:
    """The row of the source that a row of an output comes from: where the task gave as many rows as it read, row by
    row; else only the file, where it read one."""
    if not isinstance(work.target, (CollectTo, WriteTo)):
        return None
    source = work.pipeline.source
    given = sum(o.rows for o in commit.outputs if o.name != QUARANTINE)
    before = next(i for i, o in enumerate(commit.outputs) if o.name == output.name)
    if row is not None and given == commit.metrics.rows_in and output.name != QUARANTINE:
        at = row + sum(o.rows for o in commit.outputs[:before] if o.name != QUARANTINE)
        for batch in source.read(commit.first, commit.last, None):
            if at < len(batch.data):
                return Place(source.fragments[batch.fragment].name, batch.index, at)
            at -= len(batch.data)
    files = {f.name for f, first, last in _spans(source) if first < commit.last and commit.first < last}
    return Place(files.pop()) if len(files) == 1 else None


def _spans(source: Any) -> Iterator[tuple[Any, int, int]]:
    at = 0
    for fragment in source.fragments:
        yield fragment, at, at + fragment.batches
        at += fragment.batches
