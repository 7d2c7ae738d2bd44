"""The command line that this process carries out, where there is one: a run keeps it, for ``shardwise replay``."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person typed after ``shardwise``, and where."""

    arguments: tuple[str, ...]
    directory: str


TYPED: ContextVar[Typed | None] = ContextVar("shardwise_typed", default=None)
"""None: the process is no command of ours."""
