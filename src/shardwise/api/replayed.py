"""What came of a task that was done again."""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.api.comparing import Comparison


@dataclass(frozen=True, slots=True)
class Replayed:
    """A task that was done again in this process, beside what a run committed of it.

    Parameters
    ----------
    task : str
        Its name.
    outputs : tuple of Comparison
        What was committed beside what came out; empty where the run committed nothing of the task.
    failures : tuple of str
        How it failed in the run, attempt by attempt.
    notes : tuple of str
        In what this process differs from the one that did it before.
    """

    task: str
    outputs: tuple[Comparison, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether all that was committed came out again, and lies there as it was committed."""
        return all(output.same and not output.damage for output in self.outputs)

    @property
    def verdict(self) -> str:
        """The same in a few words."""
        if not self.outputs:
            return "passes; the run committed nothing of it, so there is nothing to compare with"
        if self.same:
            return "same"
        if all(output.same for output in self.outputs):
            return "same, but what was committed is damaged: the same command makes it again"
        return "differs"

    def __str__(self) -> str:
        lines = [f"task {self.task}: {self.verdict}"]
        lines += [f"  {line}" for output in self.outputs for line in str(output).splitlines()]
        lines += [f"  in the run it failed: {failure}" for failure in self.failures]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])
