"""A person's functions in the debugger: where one raises, or where one is first entered."""

from __future__ import annotations

import bdb
import contextlib
import functools
import inspect
import pdb
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.operations import functions
from shardwise.errors import UsageError
from shardwise.plan.work import AggregateTo

if TYPE_CHECKING:
    from shardwise.plan.work import Work


@contextlib.contextmanager
def watching(work: Work, debug: bool, stop_at_entry: bool) -> Iterator[None]:
    """Debug what a block does, if asked.

    Parameters
    ----------
    work : Work
        Whose functions are of interest.
    debug : bool
        Whether anything is to be done.
    stop_at_entry : bool
        Stop where one of the functions is first entered. Else the debugger comes where something is raised.

    Raises
    ------
    UsageError
        No function of the person's takes part.
    """
    if not debug:
        yield
        return
    codes = set(_codes(work))
    if not codes:
        raise UsageError(
            "no Python function of yours takes part in it, so there is nothing to debug", "leave out --pdb"
        )
    try:
        if stop_at_entry:
            with _stopping_in(codes):
                yield
        else:
            yield
    except (KeyboardInterrupt, UsageError, bdb.BdbQuit):
        raise
    except BaseException as error:
        pdb.post_mortem(error.__traceback__)
        raise


@contextlib.contextmanager
def _stopping_in(codes: set[CodeType]) -> Iterator[None]:
    debugger = pdb.Pdb()

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call" and frame.f_code in codes:
            debugger.set_trace(frame)
            return debugger.trace_dispatch
        return None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


def _codes(work: Work) -> Iterator[CodeType]:
    """The code of all that a person wrote for a job. It is compared by what it says, so that it is found again where it
    has travelled."""
    for function in functions(work.pipeline.operations):
        yield from _codes_of(function.call)
    if isinstance(work.target, AggregateTo):
        for _, aggregate in work.target.aggregates:
            if not isinstance(aggregate, Builtin):
                for name in ("zero", "step", "merge", "finish"):
                    yield from _codes_of(getattr(aggregate, name))


def _codes_of(call: Any) -> Iterator[CodeType]:
    while isinstance(call, functools.partial):
        call = call.func
    if not inspect.isroutine(call):
        call = getattr(call, "__call__", call)  # noqa: B004  (a class's own, or an object's)
    code = getattr(inspect.unwrap(getattr(call, "__func__", call)), "__code__", None)
    if isinstance(code, CodeType):
        yield code
