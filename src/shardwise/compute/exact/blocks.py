"""Exact sums of doubles and of their squares in NumPy: each value is cut into pieces whose products cannot round.

Let every |x| be below 2**top and every x a multiple of 2**(top - 62). ``(x + c) - c`` with ``c = 1.5 * 2**(52 + q)``
rounds to a multiple of 2**q, exactly as stored (Dekker 1971), so x = a + b + d with pieces of 20 bits each. The product
of two pieces has 40, and the sum of 2**13 of them 53: a double holds it, in whatever order it is added, fused or not.
What is too small for the quantum (nine binades below the greatest) is summed by itself, around its own greatest value.

References
----------
T. J. Dekker: A floating-point technique for extending the available precision (Numerische Mathematik 18, 1971).
K. Ozaki, T. Ogita, S. Oishi, S. M. Rump: Error-free transformations of matrix multiplication by using fast routines of
matrix multiplication and its applications (Numerical Algorithms 59, 2012), where products of cut matrices are exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

UNIT = 1080
"""Sums are counted in units of 2**-UNIT, squares in units of 2**-(2 UNIT): multiples of 40, below all doubles."""

_SQUARED, _SUMMED = 62, 81  # bits that three pieces of 20 reach, and two of 40; each but the first is signed
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_ROW = 1 << 13  # values whose pieces, or products of them, add up without rounding
_ROWS = 4  # worked on at once, so that pieces stay in the cache
_SAFE = 300  # exponents within which nothing leaves the range of doubles


class BlockSums(NamedTuple):
    """Sum of x in units of 2**-1080 and of x**2 in units of 2**-2160; how many were left out, being not finite."""

    first: int = 0
    second: int = 0
    nan: int = 0
    up: int = 0
    down: int = 0

    def plus(self, other: BlockSums) -> BlockSums:
        """The sums of both."""
        return BlockSums(*(a + b for a, b in zip(self, other)))


def block_sums(x: Doubles, squares: bool) -> BlockSums:
    """Sum doubles, and their squares where asked, without any rounding.

    Parameters
    ----------
    x : numpy.ndarray of float64, one-dimensional
        Any values.
    squares : bool
        Whether ``second`` is wanted; else it is 0.

    Returns
    -------
    BlockSums

    Examples
    --------
    >>> sums = block_sums(np.array([1e16, 1.0, -1e16, np.nan]), squares=False)
    >>> sums.first == 1 << UNIT, sums.nan
    (True, 1)
    """
    if not len(x):
        return BlockSums()
    least, greatest = float(x.min()), float(x.max())
    apart = BlockSums()
    if not (math.isfinite(least) and math.isfinite(greatest)):
        apart = BlockSums(0, 0, *(int(np.count_nonzero(odd)) for odd in (np.isnan(x), x == np.inf, x == -np.inf)))
        x = x[np.isfinite(x)]
        least, greatest = (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)
    first, second = _finite_sums(x, least, greatest, squares)
    return BlockSums(first, second, *apart[2:])


def _finite_sums(x: Doubles, least: float, greatest: float, squares: bool) -> tuple[int, int]:
    """Sums in units, window by window from the greatest value down."""
    first = second = 0
    while least or greatest:
        top = math.frexp(max(-least, greatest))[1]
        quantum = top - (_SQUARED if squares else _SUMMED)
        x, small = _parted(x, least, greatest, quantum)
        shift = 0 if abs(top) <= _SAFE else top
        found = _window_sums(np.ldexp(x, -shift) if shift else x, top - shift, squares)
        first += _shifted(found[0], quantum + UNIT)
        second += _shifted(found[1], 2 * (quantum + UNIT))
        x = small
        least, greatest = (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)
    return first, second


def _parted(x: Doubles, least: float, greatest: float, quantum: int) -> tuple[Doubles, Doubles]:
    """Values that are multiples of 2**quantum, perhaps some zeros more; and the others that are not zero."""
    nearest = least if least > 0 else -greatest
    if nearest > 0 and math.frexp(nearest)[1] - 53 >= quantum:
        return x, x[:0]
    is_small = np.abs(x) < math.ldexp(1.0, quantum + 52)
    many = np.count_nonzero(is_small)
    if not many:
        return x, x[:0]
    small = x[is_small]
    return np.where(is_small, 0.0, x) if many < len(x) // 2 else x[~is_small], small[small != 0]


def _shifted(number: int, by: int) -> int:
    return number << by if by >= 0 else number >> -by  # the bits that go are zero: all doubles are whole units


def _window_sums(x: Doubles, top: int, squares: bool) -> tuple[int, int]:
    """Sums of x and of x**2 in units of the window's quantum and of its square."""
    whole = len(x) // _ROW * _ROW
    rows = x[:whole].reshape(-1, _ROW)
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    parts += [x[whole:].reshape(1, -1)] if whole < len(x) else []
    scratch = np.empty((3, _ROWS * _ROW))
    if not squares:
        high, low = _totals([_summed(part, top, scratch) for part in parts], [top - 40, top - _SUMMED])
        return (high << _SUMMED - 40) + low, 0
    units = [top - 20, top - 41, top - _SQUARED]
    products = [units[i] + units[j] for i, j in _PAIRS]
    found = _totals([_squared(part, units, scratch) for part in parts], [*units, *products])
    a, b, d, aa, ab, ad, bb, bd, dd = found
    return (a << 42) + (b << 21) + d, (aa << 84) + (ab << 64) + (ad << 43) + (bb << 42) + (bd << 22) + dd


def _summed(x: Doubles, top: int, scratch: Doubles) -> list[Doubles]:
    """Sums by row of two pieces of 40 bits."""
    high = _rounded(x, top - 40, scratch[0, : x.size].reshape(x.shape))
    return [high.sum(axis=1), np.subtract(x, high, out=high).sum(axis=1)]


def _squared(x: Doubles, units: list[int], scratch: Doubles) -> list[Doubles]:
    """Sums by row of three pieces, and of their products."""
    a, b, d = scratch[:, : x.size].reshape(3, *x.shape)
    _rounded(x, units[0], a)
    np.subtract(x, a, out=d)
    _rounded(d, units[1], b)
    np.subtract(d, b, out=d)
    pieces = (a, b, d)
    return [piece.sum(axis=1) for piece in pieces] + [
        (pieces[i][:, None, :] @ pieces[j][:, :, None]).reshape(-1) for i, j in _PAIRS
    ]


def _rounded(x: Doubles, quantum: int, into: Doubles) -> Doubles:
    """The nearest multiples of 2**quantum."""
    constant = 1.5 * 2.0 ** (52 + quantum)
    np.add(x, constant, out=into)
    return np.subtract(into, constant, out=into)


def _totals(parts: list[list[Doubles]], units: list[int]) -> list[int]:
    """Sums of all rows of all parts, one for each unit; each row's is a multiple of 2**unit of at most 2**53."""
    found = []
    for sums, unit in zip(zip(*parts), units):
        wholes = (np.concatenate(sums) * 2.0**-unit).astype(np.int64)
        found.append((int((wholes >> 32).sum()) << 32) + int((wholes & 0xFFFFFFFF).sum()))
    return found
