"""Try a task once. Whatever its program does short of killing the process, an Outcome comes back."""

from __future__ import annotations

import contextlib
import pickle
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from shardwise.compute.attempt import ActiveAttempt, OnProgress
from shardwise.compute.connection import forget_connection
from shardwise.compute.failure import failure_of
from shardwise.compute.logs import Logs, captured
from shardwise.compute.program import Attempt, Program
from shardwise.compute.task import Failure, Outcome, TaskSpec
from shardwise.errors import FunctionError, ShardwiseError

if TYPE_CHECKING:
    from shardwise.compute.calls import Calls


def execute(
    spec: TaskSpec,
    program: Program,
    on_progress: OnProgress | None = None,
    capture: bool = True,
    interruptible: bool = False,
    calls: Calls | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Try a task once.

    Parameters
    ----------
    spec : TaskSpec
        What to do.
    program : Program
        How.
    on_progress : callable, optional
        Called with (rows, bytes, memory now) at most ten times a second.
    capture : bool
        Keep what is printed in ``Outcome.logs``. Without it prints go where they always go, and so do lines of
        ``ctx.log``: to standard error.
    interruptible : bool
        Let KeyboardInterrupt through, for a process whose keyboard it is. Otherwise it is the function's own fault
        like any other exception.
    calls : Calls, optional
        Where calls of functions are noted and timed.
    say : callable, optional
        Takes lines of ``ctx.log`` where prints are not kept; unless given they go to standard error.

    Returns
    -------
    Outcome
        With outputs, or with a failure. Exceptions of every kind become failures, ``SystemExit`` among them.
    """
    logs = Logs()
    attempt = ActiveAttempt(spec, on_progress, logs.add if capture else say or _say, calls)
    began, started = time.time(), time.monotonic()
    failure: Failure | None = None
    with captured(logs) if capture else contextlib.nullcontext():
        try:
            program.execute(attempt)
            attempt.seal()
            outputs = attempt.outputs()
        except BaseException as error:
            forget_connection()  # it may be in the middle of a result, or broken
            if interruptible and isinstance(error, KeyboardInterrupt):
                raise
            failure, outputs = failure_of(error), ()
        finally:
            attempt.close()
    metrics = attempt.metrics(time.monotonic() - started)
    return Outcome(spec.task, spec.attempt, outputs, failure, metrics, logs.lines(), logs.times(), began)


class PickledProgram:
    """A program as it travelled; it is unpickled when the first attempt needs it, and then kept."""

    def __init__(self, blob: bytes | memoryview, before: Callable[[], None] = lambda: None) -> None:
        self._blob = blob
        self._before = before
        self._program: Program | None = None

    def execute(self, attempt: Attempt) -> None:
        """Execute the program.

        Raises
        ------
        FunctionError
            It cannot be unpickled here, most often because a module is missing.
        """
        if self._program is None:
            self._before()
            self._program = _unpickle(self._blob)
            self._blob = b""
        self._program.execute(attempt)


def _unpickle(blob: bytes | memoryview) -> Program:
    try:
        return cast(Program, pickle.loads(blob))
    except (ShardwiseError, MemoryError):
        raise
    except ImportError as error:
        raise FunctionError(
            f"the function cannot be loaded where it should run: {error}",
            "install that module for the workers too, or keep it beside your script; a cluster can be sent it: "
            f"--ship {(error.name or 'MODULE').partition('.')[0]}",
        ) from error
    except Exception as error:
        raise FunctionError(
            f"the function cannot be loaded where it should run: {type(error).__name__}: {error}",
            "build what cannot be pickled inside the function, or in the __init__ of a class with __call__",
        ) from error


def _say(line: str) -> None:
    print(line, file=sys.stderr)
