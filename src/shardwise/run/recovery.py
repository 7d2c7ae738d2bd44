"""What a driver does first: finish what the last one began, find what is gone, delete what nothing names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shardwise.run.commits import Commit
from shardwise.run.history import History
from shardwise.run.output import ATTEMPTS, is_owner, sweep_output
from shardwise.run.publish import Move, Places, carry_out
from shardwise.storage import Store

OpenBase = Callable[[str], Store]


class Snapshot:
    """Sizes of files and owners of output directories, each store asked once: a stat per file would take minutes on
    an object store."""

    def __init__(self, run: str, open_base: OpenBase) -> None:
        self._run = run
        self._open_base = open_base
        self._sizes: dict[str, dict[str, int]] = {}
        self._owned: dict[str, bool] = {}

    def size(self, store: Store, name: str) -> int | None:
        """Bytes of a file, as of the first question about its store."""
        if store.url not in self._sizes:
            self._sizes[store.url] = store.list()
        return self._sizes[store.url].get(name)

    def is_owned(self, base: str) -> bool:
        """Whether an output directory is this run's."""
        if base not in self._owned:
            self._owned[base] = is_owner(self._open_base(base), self._run)
        return self._owned[base]


def find_lost(history: History, places: Places, open_base: OpenBase, verify: bool) -> dict[str, Any]:
    """Complete publications; say which commits have lost a file.

    Parameters
    ----------
    history : History
        What was committed.
    places : Places
        Where it lies.
    open_base : callable
        Opens the store of an output directory.
    verify : bool
        Also read all files and compare digests.

    Returns
    -------
    dict
        Data of a ``dropped`` line, empty where nothing is lost: ``attempts``, and ``files`` with what is wrong.
    """
    snapshot = Snapshot(history.id, open_base)
    attempts, files, waiting = [], [], list[Move]()
    for commit in history.commits():
        base = history.bases[commit.attempt]
        moves = places.moves(commit, base)
        problem = _problem(commit, base, moves, snapshot, verify)
        if problem:
            attempts.append(commit.attempt)
            files.append(problem)
            continue
        waiting += [move for move in moves if move.is_waiting(snapshot.size)]
    carry_out(waiting)
    return {"attempts": attempts, "files": files} if attempts else {}


def _problem(commit: Commit, base: str, moves: list[Move], snapshot: Snapshot, verify: bool) -> str:
    """What is wrong with a commit's files, in words."""
    if any(output.publish for output in commit.outputs) and not snapshot.is_owned(base):
        return f"{base} no longer belongs to this run"
    for move in moves:
        if not move.is_waiting(snapshot.size) and not move.is_published(snapshot.size):
            return f"{move.target.address(move.new)} is gone, or does not have {move.output.size} bytes"
        if verify and not move.is_intact(snapshot.size):
            return f"{move.target.address(move.new)} is damaged: its digest is not {move.output.digest}"
    return ""


def sweep(root: Store, places: Places, history: History, open_base: OpenBase, epoch: int) -> None:
    """Delete garbage: attempts of drivers before ``epoch``, lasting files that no commit names, half-put files.

    Publications are complete by then, so that attempts of earlier drivers hold nothing that counts.
    """
    root.clean()
    moves = (move for commit in history.commits() for move in places.moves(commit, history.bases[commit.attempt]))
    named = {move.new for move in moves if move.target.url == root.url}
    for name in root.list("outputs"):
        if name not in named:
            root.delete(name)
    for label in {name.split("/")[1] for name in root.list(ATTEMPTS)}:
        if int(label.partition("-")[0]) < epoch:
            root.delete_tree(f"{ATTEMPTS}/{label}")
    for base in set(history.bases.values()) - {""}:
        sweep_output(open_base(base), history.id, epoch)
