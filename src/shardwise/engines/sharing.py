"""Programs travel to each host once: one agent of it is sent the bytes, the others map what that one keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from shardwise.engines import mail

Mail = list[tuple[str, bytes]]
"""Agents, and what each is to be sent."""


@dataclass(slots=True)
class _Copy:
    """A program on one host."""

    keeper: str  # the agent that is sent it, or has it
    file: str = ""  # where other agents find it, once it is there
    waiting: list[str] = field(default_factory=list)


class Programs:
    """All programs of an engine, and which host has which."""

    def __init__(self) -> None:
        self.refs: list[str] = []
        self._blobs: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        self._copies: dict[tuple[str, str], _Copy] = {}

    def add(self, ref: str, blob: bytes, path: tuple[str, ...]) -> None:
        """Keep one. ``path``: where its modules are found."""
        if ref not in self._blobs:
            self._blobs[ref] = blob, path
            self.refs.append(ref)

    def needed(self, agent: str, host: str, ref: str, found: bool) -> Mail:
        """An agent lacks a program; not ``found``: what it was told of is not there."""
        copy = self._copies.get((host, ref))
        if copy is None or not found:
            self._copies.setdefault((host, ref), _Copy(agent))
            return [(agent, self._by_value(ref))]
        if not copy.file:
            copy.waiting.append(agent)
            return []
        return [(agent, self._by_name(ref, copy.file))]

    def kept(self, agent: str, host: str, ref: str, file: str) -> Mail:
        """An agent has a program now, where others of its host find it."""
        copy = self._copies.setdefault((host, ref), _Copy(agent))
        if copy.keeper != agent:
            return []
        copy.file = file
        waiting, copy.waiting = copy.waiting, []
        return [(other, self._by_name(ref, file)) for other in waiting]

    def gone(self, agent: str) -> Mail:
        """An agent is gone, with what it kept. Who waited for it is sent the bytes."""
        letters: Mail = []
        for copy in self._copies.values():
            copy.waiting = [other for other in copy.waiting if other != agent]
        for (host, ref), copy in list(self._copies.items()):
            if copy.keeper == agent:
                del self._copies[host, ref]
                for other in copy.waiting:
                    letters += self.needed(other, host, ref, found=True)
        return letters

    def _by_value(self, ref: str) -> bytes:
        blob, path = self._blobs[ref]
        return mail.write("program", blob, ref=ref, path=path)

    def _by_name(self, ref: str, file: str) -> bytes:
        return mail.write("look", ref=ref, file=file, path=self._blobs[ref][1])
