"""HyperLogLog: how many different values there are, from the longest run of leading zeros among their hashes.

A register is chosen by the first 14 bits of a hash and keeps the greatest rank (leading zeros of the rest, and one)
that it has seen. A maximum does not depend on cut or order, and the estimate is a formula of how often each rank
occurs, made of additions, multiplications, one division and square roots, which IEEE 754 rounds alike everywhere.

References
----------
P. Flajolet, E. Fusy, O. Gandouet, F. Meunier: HyperLogLog (AofA 2007).
O. Ertl: New cardinality estimation algorithms for HyperLogLog sketches (arXiv:1702.01284, 2017), section 4: one
estimator for all ranges, with no thresholds and no table of corrections.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PRECISION = 14
REGISTERS = 1 << PRECISION
STANDARD_ERROR = 1.04 / 2 ** (PRECISION / 2)

_REST = 64 - PRECISION
RANKS = _REST + 2  # 0 (nothing seen) to _REST + 1 (all zeros)
_ALPHA = 0.7213475204444817  # 1 / (2 ln 2)

Floats = npt.NDArray[np.float64]


def register_and_rank(hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Split hashes into the register that each goes to and its rank there.

    Parameters
    ----------
    hashes : numpy.ndarray of uint64
        Uniform.

    Returns
    -------
    tuple of numpy.ndarray
        Registers from 0 to 16383, ranks from 1 to 51.

    Examples
    --------
    >>> register, rank = register_and_rank(np.array([0, 1 << 49, 2**64 - 1], np.uint64))
    >>> register.tolist(), rank.tolist()
    ([0, 0, 16383], [51, 1, 1])
    """
    registers = (hashes >> np.uint64(_REST)).astype(np.uint16)
    rest = (hashes & np.uint64((1 << _REST) - 1)).view(np.int64)
    exponents = rest.astype(np.float64).view(np.int64) >> 52  # exact, as 50 bits fit; 0 of zero
    return registers, (_REST + 1 - np.maximum(exponents - 1022, 0)).astype(np.uint8)


def estimate(histogram: npt.NDArray[np.int64]) -> Floats:
    """Estimate how many different values registers have seen.

    Parameters
    ----------
    histogram : numpy.ndarray of int64, shape (sketches, 52)
        How many of the 16384 registers of each sketch have which rank; column 0 is not read.

    Returns
    -------
    numpy.ndarray of float64
        One number per sketch; its standard error is 0.81 %.

    Examples
    --------
    >>> one_value = np.zeros((1, RANKS), np.int64)
    >>> one_value[0, 3] = 1
    >>> estimate(one_value).round(3).tolist()
    [1.0]
    """
    seen = histogram[:, 1:].astype(np.float64)
    unseen = REGISTERS - seen.sum(axis=1)
    z = REGISTERS * _tau(1.0 - seen[:, -1] / REGISTERS)
    for rank in range(_REST, 0, -1):
        z = 0.5 * (z + seen[:, rank - 1])
    empty = unseen == REGISTERS
    z = z + REGISTERS * _sigma(np.where(empty, 0.0, unseen / REGISTERS))
    return np.where(empty, 0.0, _ALPHA * REGISTERS * REGISTERS / np.where(empty, 1.0, z))


def _sigma(x: Floats) -> Floats:
    """x + sum of x**(2**k) * 2**(k - 1), for 0 <= x < 1."""
    total, weight, changes = x.copy(), 1.0, True
    while changes:
        x = x * x
        following = total + x * weight
        changes, weight, total = bool((following != total).any()), weight * 2.0, following
    return total


def _tau(x: Floats) -> Floats:
    """(1 - x - sum of (1 - x**(2**-k))**2 * 2**-k) / 3, for 0 <= x <= 1."""
    total, weight, changes = 1.0 - x, 1.0, True
    x = np.where(x == 0.0, 1.0, x)  # both ends give zero
    total = np.where(x == 1.0, 0.0, total)
    while changes:
        x = np.sqrt(x)
        weight = weight * 0.5
        following = total - (1.0 - x) * (1.0 - x) * weight
        changes, total = bool((following != total).any()), following
    return total / 3.0
