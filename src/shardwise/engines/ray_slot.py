"""What runs in Ray's workers, the actor that is a slot, and how a Ray of this machine keeps to it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from shardwise.engines.agent import Agent, Terms

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where this variable is 0, Ray binds to loopback only."""


@contextlib.contextmanager
def loopback(wanted: bool) -> Iterator[None]:
    """Have a Ray that starts here bind to loopback only. It asks for that when it is imported."""
    if not wanted:
        yield
        return
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(LOOPBACK)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[LOOPBACK] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before[0]
        if before[1] is None:
            del os.environ[LOOPBACK]
        else:
            os.environ[LOOPBACK] = before[1]


class Seat:
    """The actor that is a slot."""

    def __init__(self, terms: dict[str, Any]) -> None:
        self._agent = Agent(Terms(**terms))
        self._thread = threading.Thread(target=self._agent.run, name="shardwise-agent", daemon=True)
        self._thread.start()

    def talk(self, number: int, messages: list[bytes], seen: int | None) -> tuple[str, int | None, list[bytes]]:
        """Mail for the agent; its number, that of its last message, and those after what was ``seen`` (None: none)."""
        if messages:
            self._agent.post(number, messages)
        if seen is None:
            return self._agent.id, 0, []
        last, news = self._agent.poll(seen)
        return self._agent.id, None if self._agent.has_ended(seen) else last, news
