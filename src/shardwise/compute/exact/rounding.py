"""The one rounding at the end: rationals and their square roots to the nearest double, ties to even."""

from __future__ import annotations

import math


def quotient(numerator: int, denominator: int, exponent: int = 0) -> float:
    """``numerator / denominator * 2**exponent``, correctly rounded; infinite where no double is near.

    Python's division of integers is correctly rounded, subnormal results included.

    Examples
    --------
    >>> quotient(1, 3), quotient(1, 1, 5000), quotient(-3, 2, -1074)
    (0.3333333333333333, inf, -1e-323)
    """
    if exponent > 0:
        numerator <<= exponent
    elif exponent < 0:
        denominator <<= -exponent
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if (numerator < 0) == (denominator < 0) else -math.inf


def root(numerator: int, denominator: int, exponent: int = 0) -> float:
    """Square root of ``numerator / denominator * 2**exponent`` (not negative), correctly rounded.

    An integer root of at least 60 bits with its lowest bit set where it is not exact rounds as the true root does.

    Examples
    --------
    >>> root(1, 4), root(2, 1) == 2**0.5, root(1, 1, -2148) == 5e-324
    (0.5, True, True)
    """
    if not numerator:
        return 0.0
    size = numerator.bit_length() - denominator.bit_length()
    up = max(0, 122 - size)
    up += (up + exponent) % 2  # the exponent left must be even
    whole, left = divmod(numerator << up, denominator)
    found = math.isqrt(whole)
    sticky = bool(left) or found * found != whole
    return quotient(2 * found + sticky, 1, (exponent - up) // 2 - 1)
