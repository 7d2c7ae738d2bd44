"""Exact sums of a column and of its squares, as Python integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shardwise.compute.exact.blocks import UNIT, block_sums

_DOUBLE = 1 << 53
_CUTS = ((44, None), (22, 0x3FFFFF), (0, 0x3FFFFF))
_ROWS = 1 << 9  # whose products of parts of 22 bits add up within 53


@dataclass(frozen=True, slots=True)
class Sums:
    """Sum of x in units of 2**-unit, of x**2 in units of 2**-(2 unit); values that are not finite are counted apart."""

    unit: int = 0
    first: int = 0
    second: int = 0
    nan: int = 0
    up: int = 0
    down: int = 0

    def plus(self, other: Sums) -> Sums:
        """The sums of both; they have one unit."""
        return Sums(
            max(self.unit, other.unit),
            self.first + other.first,
            self.second + other.second,
            self.nan + other.nan,
            self.up + other.up,
            self.down + other.down,
        )


def sums(values: npt.NDArray[Any], squares: bool) -> Sums:
    """Sum integers or floats, and their squares where asked.

    Examples
    --------
    >>> found = sums(np.array([2**62, 2**62, 2**62]), squares=True)
    >>> found.first == 3 << 62, found.second == 3 << 124
    (True, True)
    """
    if values.dtype.kind == "f":
        return Sums(UNIT, *block_sums(values.astype(np.float64, copy=False), squares))
    if not len(values) or (int(values.min()) > -_DOUBLE and int(values.max()) < _DOUBLE):
        found = block_sums(values.astype(np.float64), squares)
        return Sums(0, found.first >> UNIT, found.second >> 2 * UNIT)
    return Sums(0, *_long_sums(values))


def _long_sums(values: npt.NDArray[Any]) -> tuple[int, int]:
    """Of 64-bit integers: in parts of 22 bits, the highest of 20 (with its sign, or not)."""
    first = second = 0
    for start in range(0, len(values), _ROWS):
        run = values[start : start + _ROWS]
        parts = [
            ((run >> run.dtype.type(by)) & run.dtype.type(mask or -1)) if mask else run >> run.dtype.type(by)
            for by, mask in _CUTS
        ]
        doubles = [part.astype(np.float64) for part in parts]
        for (up, _), a in zip(_CUTS, doubles):
            first += int(a.sum()) << up
            for (over, _), b in zip(_CUTS, doubles):
                second += int(a @ b) << up + over
    return first, second
