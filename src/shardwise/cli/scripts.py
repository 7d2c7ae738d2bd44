"""Python files named on the command line: loaded as modules whose functions can travel to workers."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from shardwise.errors import FunctionError, ShardwiseError, UsageError


def split_target(text: str) -> tuple[Path, str | None]:
    """Split ``FILE.py:NAME`` or ``FILE.py``; a colon in the path itself is none of ours.

    Examples
    --------
    >>> split_target("jobs/clean.py:main")[1], split_target("jobs/clean.py")[1]
    ('main', None)
    """
    head, colon, name = text.rpartition(":")
    if colon and head.endswith(".py"):
        if not name:
            raise UsageError(f"{text!r} names nothing after the colon", "write FILE.py:NAME")
        return Path(head), name
    return Path(text), None


def load_script(path: Path) -> ModuleType:
    """Load a Python file, not as ``__main__``, and see to it that what it defines is sent to workers by value.

    Raises
    ------
    UsageError
        There is no such file, or it is not Python.
    FunctionError
        It raised as it was loaded; the message has its own part of the traceback.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}{_near(path)}", "name a Python file that exists")
    # A name of its own, so that json.py or test.py hide no module of the same name.
    name = "shardwise_script_" + "".join(c if c.isalnum() else "_" for c in path.stem)
    # As `python FILE.py` would: the file may import its neighbours.
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", "name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (KeyboardInterrupt, ShardwiseError):
        raise
    except BaseException as error:
        raise _blame(path, error) from error
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return module


def find_function(module: ModuleType, path: Path, name: str) -> Callable[..., Any]:
    """The function or class called ``name`` in a loaded file."""
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    own = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
    what = "is no function" if name in vars(module) else "does not exist"
    raise UsageError(f"{name} {what} in {path}{_listed(name, own, 'functions')}", f"write {path}:FUNCTION")


def find_job(module: ModuleType, path: Path, name: str | None) -> Any:
    """The job called ``name``, or the only one, in a loaded file."""
    from shardwise.api.job import Job

    jobs = {n: v for n, v in vars(module).items() if isinstance(v, Job)}
    if name is not None:
        if name in jobs:
            return jobs[name]
        what = "is no job" if name in vars(module) else "does not exist"
        raise UsageError(f"{name} {what} in {path}{_listed(name, list(jobs), 'jobs')}", f"write {path}:JOB")
    # Two names for one job are one job.
    different = {id(job): job for job in jobs.values()}
    if len(different) == 1:
        return next(iter(different.values()))
    if not jobs:
        fix = "assign one at the top level: job = sw.read_parquet(...).aggregate(...)"
        raise UsageError(f"{path} defines no job", fix)
    raise UsageError(
        f"{path} defines {len(different)} jobs: {', '.join(jobs)}", f"say which: {path}:{next(iter(jobs))}"
    )


def _listed(name: str, there: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, there, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; it has the {what} {', '.join(there)}" if there else f"; it has no {what}"


def _near(path: Path) -> str:
    names = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, 1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""


def _blame(path: Path, error: BaseException) -> FunctionError:
    """An error of the person's own file, with its own lines of the traceback and none of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, f in enumerate(frames) if Path(f.filename) == path.resolve()), len(frames))
    lines = "".join(traceback.format_list(frames[first:]) + traceback.format_exception_only(error)).rstrip()
    return FunctionError(f"{path} failed as it was loaded:\n{lines}", "mend the file; `python FILE.py` fails likewise")
