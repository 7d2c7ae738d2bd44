"""Programs on their way to workers; ``execute.PickledProgram`` is how they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shardwise import errors
from shardwise.compute.program import Attempt, Program
from shardwise.data.loans import Loans, lending
from shardwise.storage import Trusted, entrusted

LARGE = 10_000_000
"""Bytes of what a function captures from which on a person is warned: it travels to each host, and to each worker."""


@dataclass(frozen=True, slots=True)
class Entrusted:
    """A program that needs storage options where it runs."""

    program: Program
    access: Trusted

    def execute(self, attempt: Attempt) -> None:
        """Execute the program, with these options known to the process."""
        self.access.remember()
        self.program.execute(attempt)


def dump_program(program: Program, loans: Loans, places: Iterable[str] = ()) -> bytes:
    """A program as it travels; data in memory is lent. With it go the storage options of ``places``, URLs that it
    reads from and writes to, which are written nowhere.

    Raises
    ------
    UsageError
        Something that the user's function captured cannot be pickled; the message names it.
    """
    import cloudpickle

    options = entrusted(places)
    program = Entrusted(program, Trusted(options)) if options else program
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

        with lending(loans):
            warn_of_large_captures(program, LARGE)
    return blob
