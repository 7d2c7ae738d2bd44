"""What runs in Ray's workers: the actor that is a slot."""

from __future__ import annotations

import threading
from typing import Any

from shardwise.engines.agent import Agent, Terms


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
