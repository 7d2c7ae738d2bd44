"""Commits whose files are gone: what is made in their place must come out the same."""

from __future__ import annotations

from collections.abc import KeysView

from shardwise.run.commits import Commit

Bytes = tuple[tuple[str, str], ...]
"""Names and digests of the outputs of a commit."""


class Lost:
    """What was lost, by key, until it is made again."""

    def __init__(self) -> None:
        self._commits: dict[str, Commit] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._commits

    def add(self, commit: Commit) -> None:
        """A commit's files are gone."""
        self._commits[commit.key] = commit

    def found_again(self, commit: Commit) -> None:
        """Its range, or a part of it, was committed anew."""
        for other in self._overlapped(commit):
            del self._commits[other.key]

    def keys(self) -> KeysView[str]:
        """Keys of all that is lost."""
        return self._commits.keys()

    def ranges(self, stage: str) -> list[tuple[int, int]]:
        """Ranges of a stage to be made again as they were."""
        return sorted((lost.first, lost.last) for lost in self._commits.values() if lost.stage == stage)

    def differs(self, commit: Commit) -> bool:
        """Whether a commit stands for the same as a lost one, and has other bytes."""
        before = self._commits.get(commit.key)
        return before is not None and _bytes(before) != _bytes(commit)

    def changed_by(self, commit: Commit) -> list[str]:
        """Keys of lost commits that a new one replaces without being the same: what was made from them is stale."""
        return [lost.key for lost in self._overlapped(commit) if lost.key != commit.key or self.differs(commit)]

    def _overlapped(self, commit: Commit) -> list[Commit]:
        if not self._commits:
            return []
        return [
            lost
            for lost in self._commits.values()
            if lost.stage == commit.stage
            and (lost.key == commit.key or (lost.first < commit.last and commit.first < lost.last))
        ]


def _bytes(commit: Commit) -> Bytes:
    return tuple((output.name, output.digest) for output in commit.outputs)
