"""Slots of a pool of Python's own: tasks of any ``concurrent.futures.Executor``, as long as the engine is open.

The pool decides how many run at once, and where. An agent in each dials the driver (`channel`), so functions run in
worker processes of ours whatever the pool is made of: threads, processes, or the ranks of an MPI program.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

from shardwise.engines.channel import Door, lend
from shardwise.engines.dialled import LOOPBACK, DialledEngine
from shardwise.engines.lending import GOES_ON, PATIENCE_SECONDS
from shardwise.engines.room import Room
from shardwise.errors import EngineError

ON_THIS_HOST = (ThreadPoolExecutor, ProcessPoolExecutor)
"""Pools whose workers are nowhere else. Of others nobody knows."""


class PooledEngine(DialledEngine):
    """What pools have in common: their tasks may fail, and it is known of some that they are on this host.

    Parameters
    ----------
    near : bool
        Whether the pool's workers are known to be on this host.
    host, patience : str, float
        As in `PoolEngine`.
    """

    def __init__(self, near: bool, host: str, patience: float) -> None:
        super().__init__(host, patience)
        self.reach = "host" if near and host == LOOPBACK else "network"

    def _refuse(self, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        fix = f"make another pool, whose workers can import shardwise and reach {self._host}; {GOES_ON}"
        self._fail(EngineError(f"the {self.name} cannot lend slots: {reason}", fix))


class PoolEngine(PooledEngine):
    """Lends slots that are tasks of a pool.

    Parameters
    ----------
    pool : Executor or callable
        An executor of yours, which stays open; or what makes one, given how many slots are wanted: that one is shut
        down with the engine, and another one is made where it breaks.
    host : str
        Address of this machine that the pool's workers reach. Nobody but this machine does, unless you name one.
    patience : float
        Seconds until a pool that lends no slot is given up.

    Examples
    --------
    >>> import shardwise as sw
    >>> with ThreadPoolExecutor(2) as pool:
    ...     done = sw.from_items([1, 2, 3]).map_items(hex).collect().run(engine=pool, workers=1, progress=False)
    >>> done.to_list()
    ['0x1', '0x2', '0x3']
    """

    name = "pool"

    def __init__(
        self,
        pool: Executor | Callable[[int], Executor],
        host: str = LOOPBACK,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(isinstance(pool, ON_THIS_HOST) or not isinstance(pool, Executor), host, patience)
        self._pool = pool
        self._seats: set[Future[None]] = set()

    def room(self) -> Room | None:
        """As many slots as the pool has workers, where it is one of Python's kind."""
        workers = getattr(self._pool, "_max_workers", None)
        return Room(workers, 1, workers) if isinstance(workers, int) else None

    async def _occupy(self, door: Door) -> None:
        pool = self._pool if isinstance(self._pool, Executor) else self._pool(self._slots)
        broken = threading.Event()
        try:
            for _ in range(self._slots):
                self._seat(pool, door, broken)
            self._asked()
            while not (broken.is_set() or await asyncio.to_thread(self._closing.wait, 1.0)):
                pass
        finally:
            seats, self._seats = self._seats, set()
            for seat in seats:
                seat.cancel()
            if self._closing.is_set():
                self._board.close()  # who has only just begun ends as well
            if pool is not self._pool:
                await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    def _seat(self, pool: Executor, door: Door, broken: threading.Event) -> None:
        try:
            seat = pool.submit(lend, door, self._terms)
        except RuntimeError as error:  # it is broken, or was shut down
            self._refuse(error)
            return
        self._seats.add(seat)
        seat.add_done_callback(lambda seat: self._vacated(pool, door, broken, seat))

    def _vacated(self, pool: Executor, door: Door, broken: threading.Event, seat: Future[None]) -> None:
        """A seat has ended: its slot closed, or the pool failed it."""
        mine = seat in self._seats
        self._seats.discard(seat)
        if not mine or self._leaving.is_set() or broken.is_set() or seat.cancelled():
            return
        error = seat.exception()
        if error is not None and (self._in_vain() or (isinstance(error, BrokenExecutor) and pool is self._pool)):
            self._refuse(error)
        elif isinstance(error, BrokenExecutor):
            broken.set()
        else:
            self._seat(pool, door, broken)

    def _offer(self) -> str:
        running = sum(seat.running() for seat in list(self._seats))
        return f"of {len(self._seats)} tasks that hold a slot each {running} were begun"
