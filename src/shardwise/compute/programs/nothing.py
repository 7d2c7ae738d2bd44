"""A program that does nothing: what is left is what a task costs beside its work."""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.compute.program import Attempt


@dataclass(frozen=True, slots=True)
class NothingProgram:
    """Gives one output without bytes. ``load`` is what travels along, to find out how fast it does."""

    load: bytes = b""

    def execute(self, attempt: Attempt) -> None:
        """Do nothing."""
        attempt.give("nothing", b"")
