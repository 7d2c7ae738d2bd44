"""Slots of a backend of joblib's: calls of one ``joblib.Parallel``, as long as the engine is open."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from shardwise.engines.channel import Door, lend
from shardwise.engines.lending import PATIENCE_SECONDS
from shardwise.engines.pool import LOOPBACK, DialledEngine
from shardwise.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from joblib.parallel import ParallelBackendBase

ON_THIS_HOST = ("LokyBackend", "ThreadingBackend", "MultiprocessingBackend", "SequentialBackend")
"""joblib's own. Others may bring workers of other hosts."""

JOIN_SECONDS = 5.0


class JoblibEngine(DialledEngine):
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

    def __init__(
        self,
        backend: str | ParallelBackendBase | None = None,
        host: str = LOOPBACK,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._backend = _backend(backend)
        super().__init__(type(self._backend).__name__ in ON_THIS_HOST, host, patience)

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

        while not self._leaving:
            calls = (joblib.delayed(lend)(door, self._terms) for _ in range(self._want.slots))
            try:
                joblib.Parallel(self._want.slots, backend=self._backend, batch_size=1, pre_dispatch="all")(calls)
            except Exception as error:
                if not self._leaving and self._in_vain():
                    self._refuse(error)
                    return

    def _offer(self) -> str:
        return f"its backend is {type(self._backend).__name__}"


def _backend(named: str | ParallelBackendBase | None) -> Any:
    try:
        from joblib.parallel import get_active_backend, parallel_config
    except ImportError as error:
        fix = 'pip install "shardwise[joblib]"'
        raise MissingExtra("the engine 'joblib' needs joblib, which is not installed", fix) from error
    if named is None:
        return get_active_backend()[0]
    try:
        with parallel_config(named):
            return get_active_backend()[0]
    except ValueError as error:
        raise UsageError(f"joblib: {error}", "name one of these, or register yours before") from error
