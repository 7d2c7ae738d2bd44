"""Slots of a backend of joblib's: calls of one ``joblib.Parallel``, as long as the engine is open."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

from shardwise.engines.channel import Door, lend
from shardwise.engines.dialled import LOOPBACK
from shardwise.engines.lending import PATIENCE_SECONDS
from shardwise.engines.needs import refuse_without
from shardwise.engines.pool import PooledEngine
from shardwise.engines.protocol import Want
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from joblib.parallel import ParallelBackendBase

ON_THIS_HOST = ("LokyBackend", "ThreadingBackend", "MultiprocessingBackend", "SequentialBackend")
"""joblib's own. Others may bring workers of other hosts."""

JOIN_SECONDS = 5.0


class JoblibEngine(PooledEngine):
    """Lends slots of a backend of joblib's.

    Parameters
    ----------
    backend : str or ParallelBackendBase, optional
        ``"loky"``, ``"multiprocessing"``, ``"threading"``, one that was registered, or one of yours. Without it: the
        one that is active here (``joblib.parallel_config``), which is loky where nobody chose.
    host, patience : str, float
        As in `PoolEngine`.

    Raises
    ------
    MissingExtra
        joblib is not installed.
    UsageError
        joblib knows no such backend.
    """

    name = "joblib"
    library = "joblib"
    oldest = "1.4"

    def __init__(
        self,
        backend: str | ParallelBackendBase | None = None,
        host: str = LOOPBACK,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if backend is not None:
            refuse_without(self.needs(), self.name)
        chosen = backend is not None or "joblib" in sys.modules  # else nobody can have made one active
        self._backend: Any = _backend(backend) if chosen else None
        super().__init__(not chosen or type(self._backend).__name__ in ON_THIS_HOST, host, patience)

    def open(self, want: Want) -> None:
        """Ask the backend for slots.

        Raises
        ------
        MissingExtra
            joblib is not installed.
        """
        refuse_without(self.needs(), self.name)
        self._backend = self._backend or _backend(None)
        super().open(want)

    async def _occupy(self, door: Door) -> None:
        seats = threading.Thread(target=self._sit, args=(door,), name="shardwise-seats", daemon=True)
        seats.start()
        self._asked()
        while not await asyncio.to_thread(self._closing.wait, 1.0):
            pass
        self._board.close()  # who has only just begun ends as well
        await asyncio.to_thread(seats.join, JOIN_SECONDS)

    def _sit(self, door: Door) -> None:
        """Keep the slots: begin anew whenever the backend fails, or all have ended."""
        import joblib

        leaving = self._leaving
        while not leaving.is_set():
            calls = (joblib.delayed(lend)(door, self._terms) for _ in range(self._slots))
            try:
                joblib.Parallel(self._slots, backend=self._backend, batch_size=1, pre_dispatch="all")(calls)
            except Exception as error:
                if not leaving.is_set() and self._in_vain():
                    self._refuse(error)
                    return

    def _offer(self) -> str:
        return f"its backend is {type(self._backend).__name__}"


def _backend(named: str | ParallelBackendBase | None) -> Any:
    from joblib.parallel import get_active_backend, parallel_config

    if named is None:
        return get_active_backend()[0]
    try:
        with parallel_config(named):
            return get_active_backend()[0]
    except ValueError as error:
        raise UsageError(f"joblib: {error}", "name one of these, or register yours before") from error
