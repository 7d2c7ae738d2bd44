"""From exceptions to failures that the scheduler can judge, and from the failure that ended a run to its error."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from shardwise import errors
from shardwise.compute.task import Failure
from shardwise.errors import Interrupted, ShardwiseError, StorageError

if TYPE_CHECKING:
    from shardwise.run.task import Task


def interrupted() -> Interrupted:
    """The error for a run that Ctrl-C ended."""
    return Interrupted("interrupted; what was committed stays", "run the same command again to go on from here")


def storage_failure(error: StorageError | OSError) -> Failure:
    """The failure of a commit."""
    message = error.message if isinstance(error, StorageError) else str(error)
    code = error.code if isinstance(error, StorageError) else StorageError.code
    return Failure("storage", type(error).__name__, message, getattr(error, "fix", ""), "", code)


def to_error(failure: Failure, task: Task | None) -> ShardwiseError:
    """The error of the tree that a failure of a task stands for."""
    by_code = {cls.code: cls for cls in _tree(ShardwiseError)}
    by_kind: dict[str, type[ShardwiseError]] = {
        "exception": errors.FunctionError,
        "input": errors.InputError,
        "storage": errors.StorageError,
        "engine": errors.EngineError,
        "internal": errors.InternalError,
    }
    cls = by_code.get(failure.code) or by_kind.get(failure.kind, errors.WorkerError)
    where = "" if task is None else f" [task {task.name}]"
    message = failure.message
    if failure.kind == "exception" and not failure.code:
        message = f"the function raised {failure.type}: {failure.message}{where}\n{failure.traceback}".rstrip()
    elif failure.kind in ("crash", "timeout", "memory"):
        message = f"{message}{where}"
    return cls(message, failure.fix)


def _tree(cls: type[ShardwiseError]) -> list[type[ShardwiseError]]:
    return [cls, *itertools.chain.from_iterable(_tree(sub) for sub in cls.__subclasses__())]
