"""joblib's calls on the workers of an engine."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

from shardwise.api.executor import Executor, workers_of
from shardwise.compute.calling import Shared
from shardwise.data.loans import Loans
from shardwise.engines.registry import engine_reach

if TYPE_CHECKING:
    from shardwise.engines.registry import Place

LENT_BYTES = 1 << 20
"""Arrays beyond this size travel once for all calls of one ``Parallel``: joblib's own default."""


class ShardwiseBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Backend ``"shardwise"``: batches of calls go to an `Executor`, which stays for the next ``Parallel``.

    A worker that dies costs its batch another try. Calls that themselves use joblib get threads, as under loky.

    Parameters
    ----------
    engine : str, Engine or Executor
        As for jobs: ``"local"``, ``"dask://host:8786"`` ...
    retries, timeout, memory, ship
        As of `Executor`; ``timeout`` is for a batch of calls.
    nesting_level, inner_max_num_threads
        joblib's own.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(
        self,
        engine: Place = "local",
        *,
        retries: int = 2,
        timeout: float | str | None = None,
        memory: int | str | None = None,
        ship: Sequence[str] = (),
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._engine = engine
        self._options: dict[str, Any] = {"retries": retries, "timeout": timeout, "memory": memory, "ship": ship}
        self._executor: Executor | None = None
        self._slots = 0  # of the engine, once it has been asked
        self._least: int | None = LENT_BYTES
        self._lent = _Lent("network", None)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at once; below zero: all of the engine's slots but so many, less one. An engine is asked
        once, as joblib and what uses it want to know several times for each ``Parallel``."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None or n_jobs > 0:
            return n_jobs or 1
        self._slots = self._slots or workers_of(self._engine)
        return max(self._slots + 1 + n_jobs, 1)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, max_nbytes: int | None = LENT_BYTES, **others: Any
    ) -> int:
        """Have an executor with so many workers; a single call at a time is done here. ``max_nbytes``: arrays that are
        larger travel once; None: none do. ``others`` are about memory maps of joblib's own, and hints."""
        workers = self.effective_n_jobs(n_jobs)
        if workers == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._least = max_nbytes
        if self._executor is None or self._executor.workers != workers or self._executor.broken:
            self._executor = Executor(self._engine, workers, **self._options)  # who is forgotten ends when it is idle
        return workers

    def start_call(self) -> None:
        """Calls of one ``Parallel`` begin."""
        self._lent = _Lent(engine_reach(self._engine), self._least)

    def stop_call(self) -> None:
        """They have ended."""
        self._lent.close()

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Future[Any]:
        """Begin a batch of calls."""
        assert self._executor is not None
        future = self._executor.submit_lending(_carry_out, self._lent, func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch."""
        return out.result()

    def terminate(self) -> None:
        """The next ``Parallel`` learns anew how large its batches should be."""
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End calls that nobody waits for any more."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.kill_workers()
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)


class _Lent:
    """Large buffers that calls have in common: written once to a file in memory that workers of this host map, sent
    once to each worker elsewhere. They are held, so that no other has their address."""

    def __init__(self, reach: Any, least: int | None) -> None:
        self._least = least
        self._loans = Loans(reach)
        self._known: dict[tuple[int, int], tuple[memoryview, Shared]] = {}

    def __call__(self, view: memoryview) -> Shared | None:
        if self._least is None or view.nbytes <= self._least or "numpy" not in sys.modules:
            return None
        import numpy as np

        place = np.frombuffer(view, np.uint8).ctypes.data, view.nbytes
        if place not in self._known:
            self._known[place] = view, self._shared(view)
        return self._known[place][1]

    def _shared(self, view: memoryview) -> Shared:
        key = f"buffer-{uuid.uuid4().hex}"
        if self._loans.reach == "network":
            return Shared(key, view.nbytes, bytes(view))
        return Shared(key, view.nbytes, None, self._loans.file(view, view))

    def close(self) -> None:
        """Free the memory."""
        self._loans.close()
        self._known.clear()


def _carry_out(batch: Callable[[], Any]) -> Any:
    return batch()
