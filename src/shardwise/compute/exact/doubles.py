"""Exact sums of doubles in DuckDB: each value is cut into pieces whose sums cannot round.

*Pieces.* Let every |x| be below 2**top, every x a multiple of 2**quantum, and a group hold at most 2**bits of them.
``(x + c) - c`` with ``c = 1.5 * 2**(52 + q)`` rounds x to a multiple of 2**q, exactly as stored; what is left is a
double too (Dekker 1971). With ``q = top + bits - 53`` any sum of such pieces is a multiple of 2**q below 2**(q + 53):
an ordinary ``sum(DOUBLE)`` of them is exact in any order. The rest, at most 2**(q - 1), is cut again until nothing is
left. Two pieces hold 107 - 2 bits binary digits, and add half of what a cast to HUGEINT adds to a plain sum.

*Windows.* Where exponents spread too far for that, |x| is sorted into windows of 40 binades; in window j the integer
x * 2**(-40 j) is below 2**92, and HUGEINT holds the sum of 2**35 of them.

Demmel and Hida, "Fast and accurate floating point summation with application to computational geometry" (2004), sum by
exponent in wider accumulators; Rump, Ogita and Oishi, "Accurate floating-point summation" (2008), cut as here.
"""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.compute.exact.limbs import LIMB, double_name, huge_name
from shardwise.compute.exact.sql import Layers, literal, power, scaled

MAX_PIECES = 6
LEAST = -1074
"""Exponent of the least double; all doubles are multiples of 2**LEAST."""


@dataclass(frozen=True, slots=True)
class Term:
    """A double column: values ``sql * 2**shift`` where |sql| < 2**top and nonzero ones are >= 2**low.

    All of ``sql`` are multiples of 2**quantum. ``level`` is the lowest layer that can use it.
    """

    sql: str
    low: int
    top: int
    quantum: int
    shift: int = 0
    level: int = 0


def column_term(sql: str, low: int, top: int, digits: int = 53) -> Term:
    """A column as stored, in ``digits`` binary digits: what is at least 2**low is a multiple of 2**(low - 52)."""
    return Term(sql, low, top, max(low - digits + 1, LEAST))


@dataclass(frozen=True, slots=True)
class RawSum:
    """One raw column of a state: its name and its SQL aggregate."""

    name: str
    sql: str


def quanta(top: int, quantum: int, bits: int) -> list[int] | None:
    """Quantum of each piece, the last at most ``quantum``; None where pieces do not reach.

    Examples
    --------
    >>> quanta(top=10, quantum=-58, bits=19)
    [-24, -59]
    """
    if bits < 2 or bits > 45 or top + bits > 1023:
        return None
    found = [top + bits - 53]
    while found[-1] > quantum:
        found.append(found[-1] - 54 + bits)
    return found if len(found) <= MAX_PIECES else None


def group_bits(top: int, quantum: int, least: int) -> int:
    """The most bits of rows per group that cost no more pieces than ``least`` bits do."""
    bits = least
    pieces = quanta(top, quantum, least)
    while pieces is not None:
        more = quanta(top, quantum, bits + 1)
        if more is None or len(more) > len(pieces):
            break
        bits += 1
    return bits


def _rounded(sql: str, quantum: int) -> str:
    constant = literal(1.5 * 2.0 ** (52 + quantum))
    return f"(({sql} + {constant}) - {constant})"


def piece_sums(layers: Layers, prefix: str, term: Term, pieces: list[int], residue: bool) -> tuple[list[RawSum], str]:
    """Sums of ``term`` in pieces of these quanta.

    Parameters
    ----------
    layers : Layers
        Gets the columns that the sums read.
    prefix : str
        Of the raw columns.
    term : Term
    pieces : list of int
        From `quanta`, perhaps for a guessed range.
    residue : bool
        Whether multiples of finer quanta may occur: then the last piece is rounded too, and what it leaves is watched.

    Returns
    -------
    sums : list of RawSum
    guard : str
        SQL aggregate, true where a value was not finite or, with ``residue``, too fine.
    """
    rest, sums = term.sql, []
    last = max(pieces[-1], LEAST)
    for step, quantum in enumerate(pieces[:-1] + [last]):
        if quantum == last and not residue:
            piece = rest
        else:
            piece = layers.put(term.level + step, _rounded(rest, quantum))
            rest = f"({rest} - {piece})"
        sums.append(RawSum(double_name(prefix, term.shift, quantum), f"coalesce(sum({piece}), 0)"))
    guard = f"NOT isfinite({sums[0].sql})"
    if residue:
        guard += f" OR coalesce(sum(abs({rest})), 0) <> 0"
    return sums, guard


def window_sums(prefix: str, term: Term) -> list[RawSum]:
    """Sums of a finite ``term`` in one HUGEINT per window of 40 binades, whatever the spread."""
    first = (term.quantum + term.shift) // LIMB
    last = first
    while LIMB * last + 92 < term.top + term.shift:
        last += 1
    sums = []
    for j in range(first, last + 1):
        whole = f"{scaled(term.sql, term.shift - LIMB * j)}::HUGEINT"
        inside = _inside(term, j, j == first, j == last)
        # CASE, not FILTER: the cast must not see what lies outside.
        summed = f"CASE WHEN {inside} THEN {whole} ELSE 0 END" if inside else whole
        sums.append(RawSum(huge_name(prefix, LIMB * j), f"coalesce(sum({summed}), 0)"))
    return sums


def _inside(term: Term, j: int, is_first: bool, is_last: bool) -> str:
    size = f"abs({term.sql})"
    conditions = []
    if not is_first:
        conditions.append(f"{size} >= {power(LIMB * j + 52 - term.shift)}")
    if not is_last:
        conditions.append(f"{size} < {power(LIMB * j + 92 - term.shift)}")
    return " AND ".join(conditions)


def exact_sums(layers: Layers, prefix: str, term: Term, bits: int) -> list[RawSum]:
    """Sums of a finite ``term`` with at most 2**bits rows in a group: in pieces where they reach, else in windows."""
    pieces = quanta(term.top, term.quantum, max(bits, 2))
    if pieces is None:
        return window_sums(prefix, term)
    return piece_sums(layers, prefix, term, pieces, residue=False)[0]
