"""What a check of functions found, in words, and what follows from it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

from shardwise.compute.first_difference import Difference
from shardwise.errors import CutDependent, Unrepeatable

How = Literal["process", "attempt", "cut", "step", "merge"]
"""Between what a difference lies: two processes, two attempts at one task, a batch and its halves, an aggregate's
state of a batch and that merged of its halves', two orders of merging."""

FIX = (
    "draw randomness from ctx.rng, and do not depend on the time, the order of a set, hash() or id(), earlier calls, "
    "or outside data"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A function that does not give the same for the same.

    Parameters
    ----------
    how : str
        ``process``, ``attempt``, ``cut``, ``step`` or ``merge``.
    function : str
        Its name.
    task : str
        The task in which it was seen.
    file : str
        The file or piece of memory; empty where only the task is known.
    batch : int or None
        The batch of the file.
    difference : Difference or None
        The first difference; its row is that of the function's result for the batch.
    raised : str
        Instead of it: what the function raised in one of the two.
    """

    how: How
    function: str
    task: str
    file: str
    batch: int | None
    difference: Difference | None
    raised: str = ""

    @property
    def is_rounding(self) -> bool:
        """Whether the last bits differ, and nothing else was seen to."""
        return self.difference is not None and self.difference.rounding

    @property
    def lawful(self) -> bool:
        """Whether nothing follows from it: the order in which an aggregate's states are merged is fixed by position,
        so that it may show in the last bits."""
        return self.how in ("step", "merge") and self.is_rounding

    def __str__(self) -> str:
        position = [f"task {self.task}"]
        position += [self.file] if self.file else []
        position += [f"batch {self.batch}"] if self.batch is not None else []
        return f"{self._says()} ({', '.join(position)}): {self.raised or self.difference}"

    def _says(self) -> str:
        last = " in the last bits" if self.is_rounding else ""
        match self.how:
            case "process":
                return f"{self.function} is not deterministic: two processes made something else of the same batch"
            case "attempt":
                return f"{self.function} is not deterministic: two attempts at the same task came out different"
            case "cut":
                return f"{self.function} depends on how the data is cut{last}: a batch, and its two halves"
            case "step":
                return f"{self.function} depends on how the data is cut{last}: a batch, and its halves merged"
        return f"merge of {self.function} is not associative{last}: (a + b) + c, and a + (b + c)"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was checked, and what was found.

    Parameters
    ----------
    findings : tuple of Finding
        At most one of a kind for each function.
    functions : tuple of str
        What was checked.
    batches, of : int
        So many ordinals were looked at, of so many.
    processes : int
        By so many processes.
    seconds : float
        It took.
    notes : tuple of str
        What could not be checked, and why.
    """

    findings: tuple[Finding, ...]
    functions: tuple[str, ...]
    batches: int = 0
    of: int = 0
    processes: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def unrepeatable(self) -> tuple[Finding, ...]:
        """Functions that are not deterministic."""
        return tuple(finding for finding in self.findings if finding.how in ("process", "attempt"))

    @property
    def ok(self) -> bool:
        """Whether nothing was found that matters."""
        return all(finding.lawful for finding in self.findings)

    def enforce(self) -> None:
        """Warn of functions that depend on the cut, and refuse those that are not deterministic.

        Raises
        ------
        Unrepeatable
            A function is not deterministic.
        """
        for finding in self.findings:
            if finding not in self.unrepeatable and not finding.lawful:
                warnings.warn(str(finding), CutDependent, stacklevel=2)
        if self.unrepeatable:
            raise Unrepeatable("\n".join(map(str, self.unrepeatable)), FIX)

    @property
    def summary(self) -> str:
        """What was checked, what differs lawfully, and what could not be checked."""
        if not self.functions:
            return "checked: no function of yours takes part"
        names = ", ".join(self.functions)
        what = f"checked {names} on {self.batches} of {self.of} tasks of one batch, in {self.processes} processes"
        found = "the same everywhere" if self.ok else f"{sum(not f.lawful for f in self.findings)} found"
        return "\n".join([f"{what}: {found}", *(str(f) for f in self.findings if f.lawful), *self.notes])

    def __str__(self) -> str:
        return "\n".join([self.summary, *(str(f) for f in self.findings if not f.lawful)])
