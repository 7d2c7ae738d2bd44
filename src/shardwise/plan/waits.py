"""How much of a task no processor works on: the function waits, for a network, a lock, another service."""

from __future__ import annotations

from shardwise.plan.costs import line
from shardwise.plan.sample import Sample


def idle(sample: Sample, weight: float) -> float:
    """Part of the seconds in which a task of this weight neither reads nor writes, nor is queued for a processor, in
    which none works, at least: all that worked is taken to have done so meanwhile.

    A sample's tasks are short, and what a task costs whatever it reads is work. So the seconds of long ones are told as
    those of a plan are (`costs.line`), and so is what of them was work.

    Examples
    --------
    >>> from shardwise.plan.sample import Phase, Tried
    >>> tried = (Tried(1.0, 1.0, cpu=0.6), Tried(9.0, 5.0, cpu=1.4))
    >>> sample = Sample("inline", 1, (Phase(1, 6.0, tried),))
    >>> round(idle(sample, 1.0), 6), round(idle(sample, 99.0), 6)
    (0.4, 0.792)
    """
    if not sample.alone:
        return 0.0
    own = line(
        [(task.weight, max(task.cpu, task.seconds - task.read - task.write - task.queued)) for task in sample.alone]
    )
    busy = line([(task.weight, task.cpu) for task in sample.alone])
    seconds, worked = (fixed + each * weight for fixed, each in (own, busy))
    return max(0.0, 1 - worked / seconds) if seconds > 0 else 0.0
