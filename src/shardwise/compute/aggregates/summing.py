"""SQL of exact sums, shared by all aggregates that add: raw sums from rows, limbs from states."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from shardwise.compute.aggregates.kernel import Value
from shardwise.compute.aggregates.look import Look, Range
from shardwise.compute.aggregates.numbers import Number
from shardwise.compute.exact.doubles import (
    RawSum,
    Term,
    column_term,
    exact_sums,
    group_bits,
    piece_sums,
    quanta,
)
from shardwise.compute.exact.limbs import huge_name, limb_columns
from shardwise.compute.exact.products import near_one, product
from shardwise.compute.exact.sql import Layers, power, quoted


def values_of(sums: Iterable[RawSum]) -> list[Value]:
    """State columns of raw sums, told apart where two have one name."""
    taken: dict[str, int] = {}
    values = []
    for raw in sums:
        number = taken[raw.name] = taken.get(raw.name, -1) + 1
        values.append(Value(f"{raw.name}x{number}", f"({raw.sql})", ""))
    return values


def merged_sums(columns: Sequence[str], prefix: str) -> list[Value]:
    """Sums of limbs, limb by limb."""
    found = limb_columns(columns, prefix)
    return [Value(huge_name(prefix, unit), "", f"coalesce(sum({quoted(name)}), 0)") for name, unit in found.items()]


def counted(name: str, partial: str) -> Value:
    """A count, which adds up."""
    return Value(name, partial, f"coalesce(sum({quoted(name)}), 0)::BIGINT")


def count_where(test: str) -> str:
    """SQL of how many rows pass a test; ``count_if`` itself is null where all tests are."""
    return f"coalesce(count_if({test}), 0)::BIGINT"


def integer_sums(prefix: str, number: Number) -> list[RawSum]:
    """The sum of an integer column in 128 bits, or in several where those could be too few."""
    if number.bits <= 64:
        sql = number.sql if number.bits < 64 else f"{number.sql}::HUGEINT"
        return [RawSum(huge_name(prefix, 0), f"coalesce(sum({sql}), 0)::HUGEINT")]
    return [RawSum(huge_name(prefix, unit), f"coalesce(sum({sql}), 0)::HUGEINT") for sql, unit in number.limbs()]


def integer_product_sums(prefix: str, x: Number, y: Number) -> list[RawSum]:
    """The sum of x y over integer columns."""
    wide = "BIGINT" if x.bits + y.bits <= 62 else "HUGEINT"
    return [
        RawSum(huge_name(prefix, up + over), f"coalesce(sum(({a})::{wide} * ({b})::{wide}), 0)::HUGEINT")
        for a, up in x.limbs()
        for b, over in y.limbs()
    ]


def guessed_sums(layers: Layers, prefix: str, number: Number, look: Look) -> tuple[list[RawSum], str, Range] | None:
    """The sum of a float column on what is known or likely of it, the guard, and the range that it rests on."""
    known = look.known(number.column)
    found, sure = (known, True) if known else look.guess(number.column)
    term = float_term(layers, number, found)
    bits = group_bits(term.top, term.quantum, look.bits)
    pieces = quanta(term.top, term.quantum, bits)
    if pieces is None:
        return None
    sums, guard = piece_sums(layers, prefix, term, pieces, residue=known is None)
    guard += f" OR count({number.sql}) > {2**bits}"
    if not sure:
        guard += f" OR coalesce(max(abs({term.sql})), 0) >= {power(term.top)}"
    return sums, guard, found


def float_term(layers: Layers, number: Number, found: Range) -> Term:
    """A float column as a term; what is not finite is left out where it occurs."""
    if found.finite:
        return column_term(number.sql, found.low, found.top, number.bits)
    sql = layers.put(0, f"CASE WHEN isfinite({number.sql}) THEN {number.sql} END")
    term = column_term(sql, found.low, found.top, number.bits)
    return Term(term.sql, term.low, term.top, term.quantum, level=1)


def passed_sums(layers: Layers, prefix: str, number: Number, look: Look) -> tuple[list[RawSum], Range]:
    """The sum of a float column on what a pass over it found."""
    found = look.exact(number.column)
    return exact_sums(layers, prefix, float_term(layers, number, found), look.row_bits), found


def term_product_sums(
    layers: Layers, prefix: str, xs: Sequence[Term], ys: Sequence[Term], bits: int
) -> tuple[list[RawSum], list[str]]:
    """The sum of x y over columns given as terms, and guards that tell whether a value was not finite."""
    sums, guards = [], []
    for x, y in itertools.product(xs, ys):
        for term in [part for pair in _factors(layers, x, y) for part in product(layers, *pair)]:
            made = exact_sums(layers, prefix, term, bits)
            sums += made
            if quanta(term.top, term.quantum, bits) is not None:
                guards.append(f"NOT isfinite({made[0].sql})")
    return sums, guards


def _factors(layers: Layers, x: Term, y: Term) -> list[tuple[Term, Term]]:
    """Pairs of terms near one whose products add up to x y."""
    parts = near_one(layers, x)
    if x == y:  # of a square: a value is in one of the parts and zero in the others
        return list(zip(parts, parts))
    return list(itertools.product(parts, near_one(layers, y)))
