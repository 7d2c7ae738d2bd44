"""Programs on their way to workers; ``execute.PickledProgram`` is how they arrive."""

from __future__ import annotations

from shardwise import errors
from shardwise.data.loans import Loans, lending


def dump_program(program: object, loans: Loans) -> bytes:
    """A program as it travels; data in memory is lent.

    Raises
    ------
    UsageError
        Something that the user's function captured cannot be pickled; the message names it.
    """
    import cloudpickle

    try:
        with lending(loans):
            return bytes(cloudpickle.dumps(program))
    except Exception as error:
        raise errors.UsageError(
            f"the function, or something that it captures, cannot be sent to a worker: {error}",
            "open files, locks and connections inside the function, or in the __init__ of a class with __call__",
        ) from error
