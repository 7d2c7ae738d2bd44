"""Exact sums of products of doubles: x y = p + e with p = fl(x y) and e its rounding error, both doubles.

Veltkamp's split and Dekker's product (T. J. Dekker, "A floating-point technique for extending the available precision",
1971). They are exact as long as nothing over- or underflows, so values are first moved near 1 by a power of two, and a
column whose exponents spread over more than 720 binades is taken as the sum of three that do not.
"""

from __future__ import annotations

import itertools

from shardwise.compute.exact.doubles import LEAST, Term
from shardwise.compute.exact.limbs import LIMB
from shardwise.compute.exact.sql import Layers, power, scaled

SPREAD = 720
_CUTS = (LEAST, -358, 358, 1024)


def near_one(layers: Layers, term: Term) -> list[Term]:
    """Terms that add up to a column, each spread over at most 720 binades around 1."""
    if term.top - term.low <= SPREAD:
        return [_moved(layers, term)]
    size = f"abs({term.sql})"
    found = []
    for low, top in itertools.pairwise(_CUTS):
        if low >= term.top or top <= term.low:
            continue
        inside = [] if low == LEAST else [f"{size} >= {power(low)}"]
        inside += [] if top == 1024 else [f"{size} < {power(top)}"]
        # Times zero, not zero: a null must stay null.
        sql = layers.put(term.level, f"CASE WHEN {' AND '.join(inside)} THEN {term.sql} ELSE {term.sql} * 0 END")
        low = max(low, term.low)
        part = Term(sql, low, min(top, term.top), max(low - 52, LEAST), term.shift, term.level + 1)
        found.append(_moved(layers, part))
    return found


def _moved(layers: Layers, term: Term) -> Term:
    """``term`` times a power of two that brings it near 1."""
    middle = (term.low + term.top) // 2
    if abs(middle) <= 100:
        return term
    by = -LIMB * round(middle / LIMB)
    sql = layers.put(term.level, scaled(term.sql, by))
    return Term(sql, term.low + by, term.top + by, term.quantum + by, term.shift - by, term.level + 1)


def product(layers: Layers, x: Term, y: Term) -> list[Term]:
    """Two terms, p and e, whose sum is x y exactly; both factors from `near_one`."""
    level = max(x.level, y.level)
    p = layers.put(level, f"({x.sql} * {y.sql})")
    x_high, y_high = _high(layers, x), _high(layers, y)
    x_low = layers.put(level + 1, f"({x.sql} - {x_high})")
    y_low = layers.put(level + 1, f"({y.sql} - {y_high})")
    error = f"((({x_high} * {y_high} - {p}) + {x_high} * {y_low}) + {x_low} * {y_high}) + {x_low} * {y_low}"
    e = layers.put(level + 2, f"({error})")
    low, top, shift, finest = x.low + y.low, x.top + y.top, x.shift + y.shift, x.quantum + y.quantum
    return [
        Term(p, low, top, max(low - 52, finest), shift, level + 1),
        Term(e, finest, top - 53, finest, shift, level + 3),
    ]


def _high(layers: Layers, term: Term) -> str:
    """Veltkamp: the upper 26 bits."""
    big = f"({term.sql} * 134217729.0::DOUBLE)"
    return layers.put(term.level, f"({big} - ({big} - {term.sql}))")
