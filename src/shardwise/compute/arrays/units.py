"""Floats as integers: every finite float64 is a whole number of units of 2**-1074, so sums of units are exact."""

from __future__ import annotations

UNIT = 1074
"""A unit is 2**-UNIT."""


def to_units(value: float) -> int:
    """A finite float in units.

    Examples
    --------
    >>> to_units(5e-324), to_units(-1.0) == -(2**1074)
    (1, True)
    """
    numerator, denominator = value.as_integer_ratio()
    return numerator << UNIT + 1 - denominator.bit_length()
