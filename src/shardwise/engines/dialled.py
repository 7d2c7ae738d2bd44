"""What engines have in common whose slots have no mail of their own: agents dial the driver (`channel`)."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from shardwise.engines.channel import Door, Switchboard
from shardwise.engines.lending import PATIENCE_SECONDS, LendingEngine

LOOPBACK = "127.0.0.1"


class DialledEngine(LendingEngine):
    """Lends slots of agents that dial the driver. An adapter says how such agents are placed (`_occupy`).

    Parameters
    ----------
    host : str
        Address of this machine that agents reach.
    patience : float
        As in `LendingEngine`.
    """

    def __init__(self, host: str = LOOPBACK, patience: float = PATIENCE_SECONDS) -> None:
        super().__init__(patience)
        self._host = host

    @abstractmethod
    async def _occupy(self, door: Door) -> None:
        """Have agents placed that dial the door, until the engine is closed. It is begun again when it returns."""

    def _lend(self) -> None:
        asyncio.run(self._serve(self._host, self._host))

    async def _serve(self, bind: str, host: str) -> None:
        """Take calls on the interface ``bind``, which agents know as ``host``."""
        self._board = Switchboard(self._joined, self._heard, self._lost, self.waits)
        door = await self._board.open(bind, host)
        try:
            while not self._closing.is_set():
                await self._occupy(door)
        finally:
            self._board.close()
            await self._board.closed()

    def _post(self, agent: str, number: int, messages: list[bytes]) -> None:
        for message in messages:
            self._board.post(agent, message)
