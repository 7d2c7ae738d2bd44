"""Counts, least and greatest values of a column by the buckets of quantile sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shardwise.compute.buckets import SHIFT, Longs, lowest_level

_COUNTED = ("counts", "lows", "highs")

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Filled buckets in order, and of each: how many values, the least, the greatest. Ticks are in runs of 2**level."""

    places: Longs
    counts: Longs
    lows: Values
    highs: Values
    level: int = 0


def filled(values: Values, places: Longs) -> Buckets:
    """Put values into buckets.

    Parameters
    ----------
    values : numpy.ndarray
        At least one.
    places : numpy.ndarray of int64
        The bucket of each.

    Examples
    --------
    >>> found = filled(np.array([5, 7, 6]), np.array([2, 3, 2]))
    >>> found.places.tolist(), found.counts.tolist(), found.lows.tolist(), found.highs.tolist()
    ([2, 3], [2, 1], [5, 7], [6, 7])
    """
    first = int(places.min())
    offsets = places - first
    counts = np.bincount(offsets)
    floating = values.dtype.kind == "f"
    lows = np.full(len(counts), np.inf if floating else values.max(), values.dtype)
    highs = np.full(len(counts), -np.inf if floating else values.min(), values.dtype)
    with np.errstate(invalid="ignore"):  # of NaN, which has a bucket of its own
        np.minimum.at(lows, offsets, values)
        np.maximum.at(highs, offsets, values)
    found = np.flatnonzero(counts)
    return Buckets(found + first, counts[found], lows[found], highs[found])


def joined(parts: list[Buckets], has_levels: bool = False) -> Buckets:
    """The buckets of all parts; ticks in the shortest runs that are few enough for all of them."""
    counts, lows, highs = (np.concatenate([getattr(part, name) for part in parts]) for name in _COUNTED)
    level = max(part.level for part in parts)
    places = np.concatenate([part.places >> (level - part.level) for part in parts])
    if has_levels:
        up = lowest_level(np.sort(places))
        places, level = places >> up, level + up
    order = np.argsort(places, kind="stable")
    places = places[order]
    firsts = np.flatnonzero(np.r_[True, places[1:] != places[:-1]])
    reduced = (np.add.reduceat(counts[order], firsts), np.minimum.reduceat(lows[order], firsts))
    return Buckets(places[firsts], *reduced, np.maximum.reduceat(highs[order], firsts), level)


def tick_buckets(ticks: Longs) -> Buckets:
    """Ticks in the shortest runs that are few enough.

    Examples
    --------
    >>> tick_buckets(np.array([7, 5, 7])).counts.tolist()
    [1, 2]
    """
    return joined([Buckets(ticks, np.ones(len(ticks), np.int64), ticks, ticks)], has_levels=True)


def float_places(values: npt.NDArray[np.float64]) -> Longs:
    """Buckets of doubles with one NaN: their order keys without the lower bits."""
    places = values.view(np.int64) >> SHIFT
    if places.min() >= 0:
        return places
    return np.where(places < 0, places ^ ((1 << 63 - SHIFT) - 1), places)
