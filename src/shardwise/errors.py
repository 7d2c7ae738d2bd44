"""The error tree. Each type says whose fault it is; each message names the offender and ends with the fix.

::

    ShardwiseError
    ├── UsageError               the command or call is wrong; found before work starts
    │   ├── ExpressionError      an SQL expression is refused or does not parse
    │   ├── MissingExtra         an optional library is not installed
    │   └── DifferentJob         the run directory or output belongs to another job
    ├── InputError               the data is wrong: file, row, column
    ├── FunctionError            the user's function raised, or gave what cannot be stored
    │   └── Unrepeatable         asked to check: it gave another output for the same input
    ├── WorkerError              a worker died, ran out of time or of memory
    ├── StorageError             a file or store could not be read or written
    │   ├── RunIsTaken           another driver holds, or has taken over, the run directory
    │   ├── DiskFull             no room, or no quota, is left
    │   └── InDoubt              the disk failed in the middle of a commit
    ├── EngineError              the engine lent no slot, or went away
    ├── Interrupted              the person pressed Ctrl-C; the run can be resumed
    └── InternalError            a fault of Shardwise itself

    UserWarning
    ├── NonDeterministic         a function gave another output for the same input, and the run went on
    ├── CutDependent             a function's output depends on where batches are cut
    └── LargeClosure             a function takes much data along to each worker
"""

from __future__ import annotations

from typing import Any, ClassVar


class ShardwiseError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        What is wrong, with numbers and the name of the offender.
    fix : str, optional
        What to do about it; printed on a line of its own.

    Notes
    -----
    ``code`` is stable and printed with the message; ``exit_status`` is what the command line ends with.
    Errors survive pickling.
    """

    code: ClassVar[str] = "E000"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message, fix)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.fix)


class UsageError(ShardwiseError):
    """A call or command is wrong; correct it as the message says. Nothing was started."""

    code = "E100"
    exit_status = 2


class ExpressionError(UsageError):
    """An SQL expression is refused (aggregate, window, ``random()``) or does not parse; write a row-wise one."""

    code = "E110"


class MissingExtra(UsageError):
    """An optional library is not installed; install the extra that the message names."""

    code = "E120"


class DifferentJob(UsageError):
    """A run directory or output directory belongs to another job; choose another, or restart or overwrite it."""

    code = "E130"


class InputError(ShardwiseError):
    """A source file holds what cannot be read as its schema says; mend the file or the read options."""

    code = "E200"
    exit_status = 2


class FunctionError(ShardwiseError):
    """The user's function raised or returned what cannot be stored; mend the function and run again."""

    code = "E300"


class Unrepeatable(FunctionError):
    """A function was checked, and gave another output for the same input; draw randomness from ``ctx.rng`` only."""

    code = "E310"


class WorkerError(ShardwiseError):
    """A worker died, hung or outgrew its memory, more often than its budget of retries allows."""

    code = "E400"


class StorageError(ShardwiseError):
    """A store refused to read or write; free space or mend permissions, then run the same command again."""

    code = "E500"


class RunIsTaken(StorageError):
    """Another driver works in this run directory; wait for it, or stop it."""

    code = "E510"


class DiskFull(StorageError):
    """No room is left where the run writes; free as much as the message says, then run the same command again."""

    code = "E520"


class InDoubt(StorageError):
    """The disk failed while a commit was put, so that nobody knows whether it stands; the same command finds out."""

    code = "E530"


class EngineError(ShardwiseError):
    """The engine lent no slot or went away; the same command goes on, on this engine or another."""

    code = "E600"


class Interrupted(ShardwiseError):
    """The person interrupted the run; what was committed stays, and the same command goes on from there."""

    code = "E700"
    exit_status = 130


class InternalError(ShardwiseError):
    """Shardwise broke one of its own promises; please report it with the message."""

    code = "E900"


class NonDeterministic(UserWarning):
    """The same function gave another output for the same input; draw randomness from ``ctx.rng`` only.

    A damaged output was made again and came out different. What had been made from the old one was made again, too.
    """


class CutDependent(UserWarning):
    """A function was checked, and made something else of two halves of a batch than of the whole.

    That is lawful, as the data and ``batch_rows`` alone fix the batches; but then ``batch_rows`` is a part of the
    question. Where every row is to be dealt with by itself, it is a mistake.
    """


class LargeClosure(UserWarning):
    """A function captures more than 10 MB, which travel to each worker; read them inside the function instead."""
