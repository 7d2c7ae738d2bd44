"""What the scheduler schedules, and how often it may try: known before anything has happened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """A node of the graph.

    Parameters
    ----------
    id : int
        Unique in the run's plan; tasks with lower ids start first.
    stage : str
        Tasks of a stage run the same program.
    first, last : int
        Ordinals [first, last) it stands for.
    needs : tuple of int
        Ids of tasks whose committed outputs it reads, in order of position.
    done : bool
        Committed by an earlier driver; never started.
    unit : int
        It may be cut in two at ordinals that are multiples of this; 0: it cannot be cut.
    """

    id: int
    stage: str
    first: int
    last: int
    needs: tuple[int, ...] = ()
    done: bool = False
    unit: int = 0

    @property
    def name(self) -> str:
        """What a person sees of it: stage and ordinals."""
        return f"{self.stage}-{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Budgets:
    """How often a task may be tried again, by what went wrong, and how long one attempt may take (seconds).

    ``crash=4``: the fifth crash of one task fails the run. Kinds count separately. ``input`` and ``internal`` are
    never tried again; ``engine`` costs a task nothing (``policies.patience`` bounds it for the whole run), nor does
    ``memory`` as long as the task can be cut in two or claim more of its host's memory.

    Parameters
    ----------
    shares : int
        Attempts side by side on one host that its memory is divided among. A task that ran out of memory claims
        several shares, so that fewer run beside it.
    speculate : bool
        Try a task a second time, on an idle slot, while a first attempt takes much longer than those of its stage.
    """

    exception: int = 2
    crash: int = 4
    timeout: int = 1
    memory: int = 1
    storage: int = 2
    seconds: float | None = None
    shares: int = 1
    speculate: bool = True
