"""Where an attempt's files lie before and after its commit, and moving them from there to here.

The order of durable steps is the whole point:

1. the worker closes the file: bytes and name are on disk, under ``_attempts/``;
2. the driver puts the segment that names file, size and digest: this is the commit;
3. the driver renames the file to its lasting place.

A crash before 2 leaves garbage; a crash after 2 leaves a rename to be done, which is done when the run is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from shardwise.compute.task import Output
from shardwise.errors import InternalError, StorageError
from shardwise.run.commits import Commit
from shardwise.run.output import empty_replaced
from shardwise.storage import Store, digest_file, move
from shardwise.storage.naming import attempt_name

Sizes = Callable[[Store, str], int | None]
"""Tells the bytes of a file of a store; None where there is none."""

_LOW = (1 << 32) - 1


def attempt_label(attempt: int) -> str:
    """A short name of an attempt: ``<driver>-<number>``."""
    return f"{attempt >> 32}-{attempt & _LOW}"


@dataclass(frozen=True, slots=True)
class Move:
    """A file of a committed attempt: where it was written, where it belongs."""

    output: Output
    source: Store
    old: str
    target: Store
    new: str

    def is_waiting(self, sizes: Sizes) -> bool:
        """Whether the attempt's file is there, whole. It is then the one that counts."""
        return sizes(self.source, self.old) == self.output.size

    def is_published(self, sizes: Sizes) -> bool:
        """Whether the lasting place has a file of the right size."""
        return sizes(self.target, self.new) == self.output.size

    def is_intact(self, sizes: Sizes) -> bool:
        """Whether the file that counts has its digest."""
        store, name = (self.source, self.old) if self.is_waiting(sizes) else (self.target, self.new)
        return digest_file(store, name) == self.output.digest


def carry_out(moves: Iterable[Move]) -> None:
    """Bring files to their lasting places, all of a store together. Old parts that new ones replace go before."""
    groups: dict[tuple[str, str], list[Move]] = {}
    for each in moves:
        groups.setdefault((each.source.url, each.target.url), []).append(each)
    for group in groups.values():
        if any(each.output.publish for each in group):
            empty_replaced(group[0].target)
        move(group[0].source, group[0].target, [(each.old, each.new) for each in group])


class Places:
    """Where files of a run lie.

    Parameters
    ----------
    root : Store
        The run directory.
    run : str
        Its id, which attempts under output directories carry.
    open_base : callable
        Opens the store of an output directory by its URL.
    """

    def __init__(self, root: Store, run: str, open_base: Callable[[str], Store]) -> None:
        self._root = root
        self._run = run
        self._open_base = open_base

    def directory(self, attempt: int, base: str = "") -> str:
        """Path or URL where an attempt may write: under the run directory, or under an output directory."""
        store, name = self._attempt(attempt, base)
        return store.address(name)

    def delete_attempt(self, attempt: int, base: str = "") -> None:
        """Delete whatever an attempt has left."""
        store, name = self._attempt(attempt, base)
        store.delete_tree(name)

    def moves(self, commit: Commit, base: str) -> list[Move]:
        """What has to be moved for a commit: its outputs that are files."""
        source, directory = self._attempt(commit.attempt, base)
        found = []
        for output in commit.outputs:
            if output.data is None:
                old = f"{directory}/{attempt_name(output.name, output.publish)}"
                if output.publish and not base:
                    raise InternalError(f"{output.publish} should be published, but its stage has no output directory")
                if output.publish:
                    found.append(Move(output, source, old, source, output.publish))
                else:
                    found.append(Move(output, source, old, self._root, _lasting(commit, output)))
        return found

    def with_paths(self, commit: Commit, base: str) -> Commit:
        """The commit with the lasting path of each output that is a file."""
        outputs = (self._with_path(commit, output, base) for output in commit.outputs)
        return replace(commit, outputs=tuple(outputs))

    def _with_path(self, commit: Commit, output: Output, base: str) -> Output:
        if output.data is not None:
            return output
        if output.publish:
            return replace(output, path=self._open_base(base).address(output.publish))
        return replace(output, path=_lasting(commit, output))

    def _attempt(self, attempt: int, base: str) -> tuple[Store, str]:
        if base:
            return self._open_base(base), f"_attempts/{self._run}-{attempt_label(attempt)}"
        return self._root, f"_attempts/{attempt_label(attempt)}"


def check_written(move: Move) -> None:
    """Refuse to commit a file that is not there, whole."""
    size = move.source.size(move.old)
    if size != move.output.size:
        raise StorageError(
            f"{move.source.address(move.old)} has {'vanished' if size is None else f'{size} bytes'} "
            f"where an attempt wrote {move.output.size} bytes",
            "make sure that driver and workers see the same file system, then run the same command again",
        )


def _lasting(commit: Commit, output: Output) -> str:
    return f"outputs/{commit.stage}/{commit.first:08d}-{commit.last:08d}-{output.name}"
