"""What a driver does first: finish what the last one began, find what is gone, delete what nothing names."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shardwise.errors import StorageError
from shardwise.run.commits import Commit
from shardwise.run.history import History
from shardwise.run.output import ATTEMPTS, SUCCESS, is_owner, sweep_output
from shardwise.run.publish import Move, Places, carry_out
from shardwise.storage import Store
from shardwise.storage.naming import HELLO

OpenBase = Callable[[str], Store]

_TOGETHER = 8
"""Files read at the same time: digests are computed outside of Python's lock."""

_LABEL = re.compile(r"\d+-\d+")


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


def find_lost(
    history: History, places: Places, open_base: OpenBase, verify: bool | None, finished: bool
) -> dict[str, Any] | None:
    """Complete publications; say which commits have lost a file.

    Sizes are looked at first, of all files at once; what has the right one is read, on several threads, and its digest
    compared. Of a finished run only what the answer is read from is looked at: if that is whole, the answer is.

    Parameters
    ----------
    history : History
        What was committed.
    places : Places
        Where it lies.
    open_base : callable
        Opens the store of an output directory.
    verify : bool or None
        Whether digests are compared; unless given, they are.
    finished : bool
        Whether only what no other commit was made from counts.

    Returns
    -------
    dict or None
        Data of a ``dropped`` line; None where nothing is lost: ``attempts``, and ``files`` with what is wrong.
    """
    commits = history.commits()
    if finished:
        used = {need for commit in commits for need in commit.needs}
        commits = [commit for commit in commits if commit.key not in used]
    check = _Check(places, Snapshot(history.id, open_base))
    problems = check.sizes(commits, history.bases)
    if verify is not False:
        problems |= check.digests(problems)
    carry_out(check.waiting(problems))
    unmarked = _unmarked(commits, history.bases, open_base) if finished and not problems else []
    if problems and finished:  # then all the rest counts as well
        return find_lost(history, places, open_base, verify, finished=False)
    if not problems and not unmarked:
        return None
    return {"attempts": sorted(problems), "files": [problems[attempt] for attempt in sorted(problems)] + unmarked}


class _Check:
    """Looks at the files of commits."""

    def __init__(self, places: Places, snapshot: Snapshot) -> None:
        self._places = places
        self._snapshot = snapshot
        self._moves: dict[int, list[Move]] = {}

    def sizes(self, commits: list[Commit], bases: dict[int, str]) -> dict[int, str]:
        """What is wrong with which attempt, as far as sizes tell."""
        problems = {}
        for commit in commits:
            base = bases[commit.attempt]
            moves = self._moves[commit.attempt] = self._places.moves(commit, base)
            if problem := self._problem(commit, base, moves):
                problems[commit.attempt] = problem
        return problems

    def digests(self, known: dict[int, str]) -> dict[int, str]:
        """What is wrong with which other attempt, by reading its files."""
        pairs = [(attempt, move) for attempt, moves in self._moves.items() if attempt not in known for move in moves]
        with ThreadPoolExecutor(_TOGETHER) as pool:
            intact = pool.map(lambda pair: self._is_intact(pair[1]), pairs)
            return {
                attempt: f"{move.target.address(move.new)} is damaged: its digest is not {move.output.digest}"
                for (attempt, move), good in zip(pairs, intact)
                if not good
            }

    def waiting(self, problems: dict[int, str]) -> list[Move]:
        """Publications that are still to be made."""
        size = self._snapshot.size
        moves = [move for attempt, moves in self._moves.items() if attempt not in problems for move in moves]
        return [move for move in moves if move.is_waiting(size)]

    def _is_intact(self, move: Move) -> bool:
        try:
            return move.is_intact(self._snapshot.size)
        except StorageError:  # a sector that cannot be read, a file that vanished
            return False

    def _problem(self, commit: Commit, base: str, moves: list[Move]) -> str:
        """What is wrong with a commit's files, in words."""
        snapshot = self._snapshot
        if any(output.publish for output in commit.outputs) and not snapshot.is_owned(base):
            return f"{base} no longer belongs to this run"
        for move in moves:
            if not move.is_waiting(snapshot.size) and not move.is_published(snapshot.size):
                return f"{move.target.address(move.new)} is gone, or does not have {move.output.size} bytes"
        return ""


def _unmarked(commits: list[Commit], bases: dict[int, str], open_base: OpenBase) -> list[str]:
    """Output directories of a finished run that are not marked as complete any more."""
    writing = {bases[c.attempt] for c in commits if any(output.publish for output in c.outputs)}
    missing = (open_base(base).address(SUCCESS) for base in sorted(writing) if not open_base(base).exists(SUCCESS))
    return [f"{address} is gone" for address in missing]


def sweep(root: Store, places: Places, history: History, open_base: OpenBase, epoch: int) -> None:
    """Delete garbage: attempts of drivers before ``epoch``, lasting files that no commit names, half-put files.

    Publications are complete by then, so that attempts of earlier drivers hold nothing that counts.
    """
    root.clean()
    moves = (move for commit in history.commits() for move in places.moves(commit, history.bases[commit.attempt]))
    named = {move.new for move in moves if move.target.url == root.url}
    root.delete_many([name for name in root.list("outputs") if name not in named])
    for label in {name.split("/")[1] for name in root.list(ATTEMPTS)}:
        if label.startswith(HELLO) or (_LABEL.fullmatch(label) and int(label.partition("-")[0]) < epoch):
            root.delete_tree(f"{ATTEMPTS}/{label}")
    for base in set(history.bases.values()) - {""}:
        if is_owner(open_base(base), history.id):
            sweep_output(open_base(base), history.id, epoch)
