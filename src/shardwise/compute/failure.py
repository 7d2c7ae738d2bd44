"""An exception becomes data: whose fault it is, its message, and the part of its traceback that a person wrote."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path

from shardwise import errors
from shardwise.compute.logs import shorten
from shardwise.compute.task import Failure

MESSAGE_BYTES = 8 * 1024
TRACEBACK_BYTES = 32 * 1024

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (errors.InputError, "input"),
    (errors.UsageError, "input"),  # another try would be refused as well
    (errors.StorageError, "storage"),
    (errors.WorkerError, "crash"),
    (errors.EngineError, "engine"),
    (errors.InternalError, "internal"),
    (MemoryError, "memory"),  # NumPy's and PyArrow's derive from it
)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_FIXES = {
    "memory": "use smaller batches (batch_rows), fewer workers, or allow more memory",
    "storage": "free space or mend permissions, then run the same command again",
}
_OURS = str(Path(errors.__file__).parent) + os.sep


def failure_of(error: BaseException) -> Failure:
    """Turn what a program raised into a Failure. Never raises, whatever the exception's own methods do."""
    if _is_of_expression(error):
        error = _expression_error(error)
    kind = kind_of(error)
    ours = isinstance(error, errors.ShardwiseError)
    return Failure(
        kind=kind,
        type=_type_name(type(error)),
        message=shorten(_message(error), MESSAGE_BYTES),
        fix=shorten(_text(getattr(error, "fix", "")), MESSAGE_BYTES) if ours else _FIXES.get(kind, ""),
        traceback=shorten(_traceback(error), TRACEBACK_BYTES),
        code=type(error).code if isinstance(error, errors.ShardwiseError) else "",
    )


def kind_of(error: BaseException) -> str:
    """Whose fault an exception is, in the words of ``Failure.kind``."""
    for types, kind in _KINDS:
        if isinstance(error, types):
            return kind
    if isinstance(error, OSError) and error.errno in _FULL:
        return "storage"
    if duckdb := sys.modules.get("duckdb"):
        if isinstance(error, duckdb.OutOfMemoryException):
            return "memory"
        if isinstance(error, duckdb.IOException) and "No space left on device" in _message(error):
            return "storage"
    return "exception"


def _is_of_expression(error: BaseException) -> bool:
    """Whether DuckDB met it in a query of ours, not in one that a person's function made."""
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or not isinstance(error, (duckdb.DataError, duckdb.ProgrammingError)):
        return False
    if isinstance(error, duckdb.OutOfMemoryException):
        return False
    known = (_OURS, str(Path(str(duckdb.__file__)).parent) + os.sep)
    frames = traceback.extract_tb(error.__traceback__)
    return all(frame.filename.startswith(known) for frame in frames)


def _expression_error(error: BaseException) -> errors.InputError:
    first = _text(error).splitlines()[0] if _text(error) else type(error).__name__
    return errors.InputError(
        f"an expression, or the data that it meets, fails: {first}",
        "write it so that every row has a value: TRY_CAST(x AS ...) gives null where CAST fails, nullif(x, 0) where a "
        "divisor is 0; or filter such rows out before",
    )


def _type_name(kind: type[BaseException]) -> str:
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    if isinstance(error, errors.ShardwiseError):
        return _text(getattr(error, "message", error))
    if isinstance(error, SystemExit):
        return f"the function called sys.exit({_text(error.code)})"
    return _text(error)


def _text(value: object) -> str:
    try:
        return str(value)
    except BaseException as broken:
        return f"<str() of {type(value).__qualname__} raised {type(broken).__qualname__}>"


def _traceback(error: BaseException) -> str:
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
        _drop_our_frames(report)
        return "".join(report.format())
    except BaseException as broken:  # a hostile __cause__ or __notes__, or no stack left to format with
        return f"<the traceback could not be formatted: {type(broken).__qualname__}>"


def _drop_our_frames(report: traceback.TracebackException | None) -> None:
    """Leave out Shardwise's own frames of an exception and of those it came from; keep all where all are ours."""
    while report is not None:
        theirs = [frame for frame in report.stack if not frame.filename.startswith(_OURS)]
        if theirs:
            report.stack[:] = theirs
        for part in report.exceptions or ():
            _drop_our_frames(part)
        report = report.__cause__ or report.__context__
