"""What a plan says of itself where it knows less than usual, or tried more."""

from __future__ import annotations

from shardwise.plan.costs import Costs
from shardwise.plan.sample import Sample
from shardwise.sizes import format_count, format_percent

LONG_WAY = 100
"""Tasks that are so many times as long as what was tried are a long way from it."""


def more_than_allowed(sample: Sample, total: float, units: int) -> tuple[str, ...]:
    """That more was tried than could be, and why: weights add up to ``total``, in so many units that a cut may fall on.

    Examples
    --------
    >>> from shardwise.plan.sample import Phase, Tried
    >>> tried = Sample("inline", 1, (Phase(1, 1.0, (Tried(1.0, 1.0),)),))
    >>> more_than_allowed(tried, 4.0, 4)[0].partition(":")[0]
    '25.0 % of the data was tried, more than the 5.0 % allowed'
    >>> more_than_allowed(tried, 40.0, 40)
    ()
    """
    share = sample.facts(total)["share"]
    if share <= 1.005 * sample.allowed:
        return ()
    few = f"one of {format_count(units)} parts is the least that can be" if units * sample.allowed < 1 else ""
    said = f"{format_percent(share)} of the data was tried, more than the {format_percent(sample.allowed)} allowed"
    return (f"{said}: {few or 'its parts are of unequal size'}",)


def far_from_tried(heaviest: float, costs: Costs) -> tuple[str, ...]:
    """That tasks will be much longer than what was tried.

    Examples
    --------
    >>> far_from_tried(400.0, Costs(0.0, 1.0, longest=1.0))[0].partition(":")[0]
    'its tasks are 400 times as long as the longest one tried, which is a long way'
    """
    if not costs.longest or heaviest < LONG_WAY * costs.longest:
        return ()
    times = format_count(round(heaviest / costs.longest))
    said = f"its tasks are {times} times as long as the longest one tried, which is a long way"
    return (f"{said}: to know better, try more (--sample), of more of the data",)
