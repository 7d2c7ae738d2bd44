"""Programs on their way to workers; ``execute.PickledProgram`` is how they arrive."""

from __future__ import annotations

from shardwise import errors
from shardwise.data.loans import Loans, lending

LARGE = 10_000_000
"""Bytes of what a function captures from which on a person is warned: it travels to each host, and to each worker."""


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
            blob = bytes(cloudpickle.dumps(program))
    except Exception as error:
        raise errors.UsageError(
            f"the function, or something that it captures, cannot be sent to a worker: {error}",
            "open files, locks and connections inside the function, or in the __init__ of a class with __call__",
        ) from error
    if len(blob) > LARGE and loans.reach != "process":
        from shardwise.compute.captured import warn_of_large_captures

        warn_of_large_captures(program, loans, LARGE)
    return blob
