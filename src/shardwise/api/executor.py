"""An executor in Python's own sense, on any engine."""

from __future__ import annotations

import hashlib
import itertools
import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any, TypeVar

from shardwise.api.options import Options
from shardwise.compute.calling import Lend, Shared, owned, pack
from shardwise.compute.machine import usable_cores
from shardwise.compute.packing import LARGE
from shardwise.engines.protocol import Want
from shardwise.engines.registry import engine_label, engine_reach, engine_room, make_engine, parse_engine
from shardwise.engines.shipping import located
from shardwise.run.calls import Call
from shardwise.run.dispatcher import Dispatcher

if TYPE_CHECKING:
    from shardwise.engines.registry import Place

T = TypeVar("T")


class Executor(futures.Executor):
    """Calls functions on the workers of an engine: a ``concurrent.futures.Executor``.

    Functions, arguments and results travel by value (cloudpickle): lambdas and functions of a notebook are fine, and
    nothing of a call is shared with another one. A worker that dies costs its call another try, and no other call
    anything. What a function prints goes to this process's standard output when its call has ended.

    Parameters
    ----------
    engine : str, Engine or Executor
        As for jobs: ``"local"``, ``"local:4"``, ``"dask://host:8786"``, ``"joblib"`` ... ``"auto"`` is ``"local"``;
        ``"inline"`` calls one after another, in a thread of this process.
    workers : int, optional
        Worker processes. Default: what the engine's URL says; of a cluster that can be asked, as many slots as it has;
        else as many as there are usable cores.
    retries : int
        How often a call whose worker died is tried again. A function that raises is not tried again.
    timeout : float or str, optional
        Seconds that one call may take (``"2m"``) before its worker is killed; then its future raises `CallLost`.
    memory : int or str, optional
        Bytes that the workers of a host may use together (``"4GB"``); one that grows beyond its share is killed.
    ship : sequence of str
        Modules and packages, by name or path, that the hosts of a cluster lack, as for jobs.

    Raises
    ------
    UsageError
        There is no such engine, a number makes no sense, or a module to ship is none.

    Examples
    --------
    >>> import shardwise as sw
    >>> with sw.Executor("local", workers=1) as executor:
    ...     future = executor.submit(divmod, 17, 5)
    ...     squares = list(executor.map(lambda x: x * x, range(5), chunksize=5))
    >>> future.result(), squares
    ((3, 2), [0, 1, 4, 9, 16])

    Notes
    -----
    Workers are started by the first call. They end when the executor is shut down or forgotten and all calls are done;
    at the end of the program that is waited for. A call that killed ``retries + 1`` workers raises an error that is a
    ``BrokenExecutor``, and so do all where the engine is lost.
    """

    def __init__(
        self,
        engine: Place = "local",
        workers: int | None = None,
        *,
        retries: int = 2,
        timeout: float | str | None = None,
        memory: int | str | None = None,
        ship: Sequence[str] = (),
    ) -> None:
        options = Options(engine=engine, workers=workers, retries=retries, timeout=timeout, memory=memory, ship=ship)
        located(ship)  # what is none is told here and not by all futures
        engine = "local" if engine == "auto" else engine
        self.workers = workers or workers_of(engine)
        self._reach = engine_reach(engine)
        self._told: set[str] = set()  # functions that have been warned of
        threads = max(1, usable_cores() // self.workers) if self._reach != "network" else 1
        share = options.memory_bytes // self.workers if options.memory_bytes else None
        want = Want(self.workers, threads, share, ship=tuple(ship))
        self._dispatcher = Dispatcher(make_engine(engine), want, retries, options.timeout_seconds)
        weakref.finalize(self, self._dispatcher.finish).atexit = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> futures.Future[T]:
        """Call ``fn(*args, **kwargs)`` on a worker.

        Returns
        -------
        Future
            Raises what the function raises, caused by a `RemoteTraceback` that says where. What cannot be pickled is
            an error of the future as well.

        Raises
        ------
        RuntimeError
            The executor is shut down; as a ``BrokenExecutor`` where its engine is lost.
        """
        return self._begin(self._packed, fn, (args, kwargs))

    def submit_lending(self, fn: Callable[..., T], lend: Lend, /, *args: Any) -> futures.Future[T]:
        """The same for arguments some of whose buffers travel once for many calls, as ``lend`` says; they must not
        change as long as calls that name them go on."""
        return self._begin(self._packed, fn, (args, {}), lend=lend)

    @property
    def broken(self) -> bool:
        """Whether the engine is lost."""
        return self._dispatcher.broken is not None

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Like ``map(fn, *iterables)``, but calls go on side by side; results come in order.

        Parameters
        ----------
        fn : callable
            It travels to each worker once.
        *iterables : iterable
            Of its arguments; read at once, unless ``buffersize`` bounds how far.
        timeout : float, optional
            Seconds from now after which ``TimeoutError`` is raised where the next result is not there.
        chunksize : int
            So many calls travel together.
        buffersize : int, optional
            So many calls at most (chunks of them, in truth) are under way or wait to be asked for.

        Raises
        ------
        ValueError
            ``chunksize`` or ``buffersize`` is less than 1.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else time.monotonic() + timeout
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        ahead = None if buffersize is None else -(-buffersize // chunksize)
        function: list[Shared] = []

        def once(fn: Callable[..., Any]) -> Shared:
            function[:] = function or [self._packed(fn)]
            return function[0]

        def begin(chunk: list[tuple[Any, ...]]) -> futures.Future[list[T]]:
            return self._begin(once, fn, chunk, each=True)

        begun = deque(map(begin, itertools.islice(chunks, ahead)))
        return _results(begun, chunks, begin, end)

    def _packed(self, fn: Callable[..., Any]) -> Shared:
        """A function as it travels; where that is much, a person is told what of it, as for jobs."""
        function = packed(fn)
        if function.size > LARGE and self._reach != "process" and function.key not in self._told:
            from shardwise.compute.captured import warn_of_large_captures

            self._told.add(function.key)
            warn_of_large_captures(fn, LARGE)
        return function

    def _begin(
        self,
        how: Callable[[Callable[..., Any]], Shared],
        fn: Callable[..., Any],
        given: object,
        each: bool = False,
        lend: Lend = owned,
    ) -> futures.Future[Any]:
        """Submit a call, pickled here and now; what cannot be is an error of its future."""
        future: futures.Future[Any] = futures.Future()
        try:
            calls = [Call(future, how(fn), *pack(given, lend), each)]
        except Exception as error:
            calls = []
            future.set_running_or_notify_cancel()
            future.set_exception(error)
        self._dispatcher.submit(*calls)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. ``wait``: until all are done, and the workers have ended. ``cancel_futures``: those that
        have not begun are cancelled."""
        self._dispatcher.finish(cancel_futures)
        if wait:
            self._dispatcher.join()

    def kill_workers(self) -> None:
        """Shut down at once: calls that wait are cancelled, those under way raise ``BrokenExecutor``. As of
        ``ProcessPoolExecutor`` since Python 3.14."""
        self._dispatcher.abort()


def packed(fn: Callable[..., Any]) -> Shared:
    """A function as it travels, named by its bytes: where it captures something that has changed, it is another one."""
    import cloudpickle

    data = bytes(cloudpickle.dumps(fn))
    kind = "function" if isinstance(fn, types.FunctionType) else "callable"
    return Shared(f"{kind}-{hashlib.blake2b(data, digest_size=16).hexdigest()}", len(data), data)


def workers_of(engine: Place) -> int:
    """How many workers an engine has where nobody says; a cluster is asked, if it can be."""
    _, argument = parse_engine(engine_label(engine))
    if argument.isdecimal():
        return int(argument)
    if engine in ("auto", "inline"):  # auto stays on this host
        return usable_cores() if engine == "auto" else 1
    return engine_room(engine) or usable_cores()


def _chunks(arguments: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(arguments, size)):
        yield chunk


def _results(
    begun: deque[futures.Future[list[T]]],
    chunks: Iterator[list[tuple[Any, ...]]],
    begin: Callable[[list[tuple[Any, ...]]], futures.Future[list[T]]],
    end: float | None,
) -> Iterator[T]:
    """Results in order; each is let go of when it has been given, and what is not asked for any more is cancelled."""
    try:
        while begun:
            results = _result(begun.popleft(), end)
            results.reverse()
            begun.extend(map(begin, itertools.islice(chunks, 1)))
            while results:
                yield results.pop()
    finally:
        for future in begun:
            future.cancel()


def _result(future: futures.Future[list[T]], end: float | None) -> list[T]:
    """The result of a future; the traceback of what it raises holds on to no future."""
    try:
        return future.result(None if end is None else end - time.monotonic())
    finally:
        future.cancel()
        del future
