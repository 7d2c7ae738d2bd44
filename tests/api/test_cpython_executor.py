"""CPython's own tests of executors, on ours.

They come with the interpreter (``test.test_concurrent_futures``). Where a distribution leaves them out, Debian's
``libpython3.11-testsuite`` has them; ``SHARDWISE_CPYTHON_TESTS`` may name another directory, such as ``Lib/test`` of
the sources of this very version.

What does not apply stands in ``NOT_OURS``, with the reason. All other tests of the classes in ``FOR_ALL`` run, also
those that a later Python adds.
"""

from __future__ import annotations

import importlib
import os
import time
import unittest
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import shardwise as sw
from servers import cpython_tests

PACKAGE = "test.test_concurrent_futures"
ELSEWHERE = os.environ.get("SHARDWISE_CPYTHON_TESTS", "") or ("" if find_spec(PACKAGE) else cpython_tests.directory())

FOR_ALL = {
    "ExecutorTest": "executor",
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
    "ExecutorShutdownTest": "test_shutdown",
}
"""Classes that CPython runs on each of its own executors, and the module that has them where there are several."""

NOT_OURS = {
    "test_max_workers_negative": "is about the name and the error of an argument; ours is workers, and a UsageError",
}
"""Tests of these classes that do not apply."""

OF_OTHERS = {
    "ThreadPool*, ProcessPool* (what they add to the classes above)": "look at threads, processes and queues of theirs",
    "InitializerMixin, FailingInitializerMixin": "there is no initializer: a class with __call__ builds what it needs",
    "ExecutorDeadlockTest": "ends workers through _processes and expects BrokenProcessPool; test_executor.py has them",
    "FutureTests": "are about Future itself, which is CPython's",
}
"""Other classes, which do not apply."""


class Pool(sw.Executor):
    """As CPython's executors are made."""

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__("local", max_workers)
        self.submit(int).result()  # CPython's have begun the first call when submit returns; our workers start first
        while not self._dispatcher._idle:
            time.sleep(0.001)


PRELUDE = """
import sys, cloudpickle, shardwise, test, test.support
test.__path__.append({elsewhere!r})
import test.test_concurrent_futures as theirs
cloudpickle.register_pickle_by_value(theirs)
class Pool(shardwise.Executor):
    def __init__(self, max_workers=None):
        super().__init__("local", max_workers)
"""


def theirs(name: str) -> ModuleType:
    """A module of CPython's tests."""
    import test

    if ELSEWHERE and ELSEWHERE not in test.__path__:
        test.__path__.append(ELSEWHERE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package = importlib.import_module(PACKAGE)
            found = importlib.import_module(f"{PACKAGE}.{name}") if hasattr(package, "__path__") else package
    except (ImportError, unittest.SkipTest) as error:
        pytest.skip(f"this Python comes without its own tests ({error})", allow_module_level=True)
    if ELSEWHERE:  # workers do not look there
        import cloudpickle

        cloudpickle.register_pickle_by_value(found)
    return found


def in_our_words(module: ModuleType) -> None:
    """Scripts of theirs that are run apart shall use our executor."""
    ok = getattr(module, "assert_python_ok", None)
    if ok is None or hasattr(ok, "theirs"):
        return

    def translated(flag: str, script: str) -> Any:
        script = script.replace("from concurrent.futures import Pool", "pass")
        path = os.pathsep.join([str(Path(sw.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        return ok(flag, f"{PRELUDE.format(elsewhere=ELSEWHERE)}\n{script}", PYTHONPATH=path)

    translated.theirs = ok  # type: ignore[attr-defined]
    module.assert_python_ok = translated  # type: ignore[attr-defined]


def made(name: str, module: ModuleType) -> type[unittest.TestCase]:
    """One of their classes, on our executor."""
    in_our_words(module)
    base: Any = getattr(module, "BaseTestCase", None) or theirs("util").BaseTestCase
    mixin: Any = getattr(module, "ExecutorMixin", None) or theirs("util").ExecutorMixin
    left_out = {test: None for test in NOT_OURS if hasattr(getattr(module, name), test)}
    return type(f"{name}OnOurs", (getattr(module, name), mixin, base), {"executor_type": Pool, **left_out})


for _name, _module in FOR_ALL.items():
    _case = made(_name, theirs(_module))
    _case.__module__ = __name__
    globals()[_case.__name__] = _case
del _case
