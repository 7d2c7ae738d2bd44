"""The life of a task: every state, everything that can happen to it, and what comes next. There is no other place.

``python -m shardwise.run.transitions`` prints the table as a Mermaid state diagram.
"""

from __future__ import annotations

from enum import StrEnum

from shardwise.errors import InternalError


class State(StrEnum):
    """Where a task stands."""

    WAITING = "waiting"  # for tasks whose outputs it reads
    READY = "ready"  # for a slot
    AHEAD = "ahead"  # sent to a slot that is at another attempt, behind which it begins
    RUNNING = "running"  # an attempt is on a slot
    COMMITTING = "committing"  # the journal is being asked to name its attempt
    RESTING = "resting"  # an attempt failed; another one follows after a pause
    DONE = "done"  # the journal names its attempt
    FAILED = "failed"  # it failed more often than its budget allows
    SPLIT = "split"  # it ran out of memory; two tasks took its place


class Cause(StrEnum):
    """What can happen to a task."""

    RESUMED = "committed by an earlier driver"
    FED = "last need committed"
    STARTED = "sent to a slot"
    SENT_AHEAD = "sent to a slot that is busy"
    BEGAN = "the attempt before it ended"
    TAKEN_BACK = "never began"
    SUCCEEDED = "attempt succeeded"
    COMMITTED = "journal has it"
    SPOILED = "failed, within budget"
    EXHAUSTED = "failed, over budget"
    RESTED = "pause over"
    DOUBLED = "second attempt sent to a slot"
    OUTLIVED = "one of two attempts failed"
    HALVED = "out of memory, cut in two"
    DROPPED = "the run is failing"
    NARROWED = "died, and told which rows did it"


BEGIN = State.WAITING

TABLE: dict[State, dict[Cause, State]] = {
    State.WAITING: {
        Cause.RESUMED: State.DONE,
        Cause.FED: State.READY,
    },
    State.READY: {
        Cause.STARTED: State.RUNNING,
        Cause.SENT_AHEAD: State.AHEAD,
        Cause.HALVED: State.SPLIT,
    },
    State.AHEAD: {
        Cause.BEGAN: State.RUNNING,
        Cause.TAKEN_BACK: State.READY,
    },
    State.RUNNING: {
        Cause.SUCCEEDED: State.COMMITTING,
        Cause.SPOILED: State.RESTING,
        Cause.EXHAUSTED: State.FAILED,
        Cause.DROPPED: State.READY,
        Cause.DOUBLED: State.RUNNING,
        Cause.OUTLIVED: State.RUNNING,
        Cause.HALVED: State.SPLIT,
        Cause.NARROWED: State.READY,
        Cause.TAKEN_BACK: State.READY,
    },
    State.COMMITTING: {
        Cause.COMMITTED: State.DONE,
        Cause.SPOILED: State.RESTING,
        Cause.EXHAUSTED: State.FAILED,
        Cause.DROPPED: State.READY,
    },
    State.RESTING: {
        Cause.RESTED: State.READY,
    },
    State.DONE: {},
    State.FAILED: {},
    State.SPLIT: {},
}


def step(state: State, cause: Cause, task: int) -> State:
    """Look up what becomes of a task.

    Parameters
    ----------
    state : State
        Where the task stands.
    cause : Cause
        What happened to it.
    task : int
        Its id, for the message.

    Returns
    -------
    State
        Where it stands now.

    Raises
    ------
    InternalError
        The table has no row for this.

    Examples
    --------
    >>> step(State.RUNNING, Cause.SUCCEEDED, task=7)
    <State.COMMITTING: 'committing'>
    """
    try:
        return TABLE[state][cause]
    except KeyError:
        raise InternalError(
            f"task {task} is {state}, and there is no row for {cause!r} in the table of transitions",
            "report this message and the run directory",
        ) from None


def mermaid() -> str:
    """Draw the table.

    Returns
    -------
    str
        A Mermaid state diagram, without a newline at its end.

    Examples
    --------
    >>> print(mermaid().splitlines()[0])
    stateDiagram-v2
    """
    lines = ["stateDiagram-v2", f"    [*] --> {BEGIN}"]
    for state, row in TABLE.items():
        lines += [f"    {state} --> {after}: {cause}" for cause, after in row.items()]
        if not row:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())
