"""The parts of exact sums: limbs, pieces, windows, products, rounding."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.exact.doubles import (
    LEAST,
    MAX_PIECES,
    RawSum,
    column_term,
    exact_sums,
    group_bits,
    piece_sums,
    quanta,
    window_sums,
)
from shardwise.compute.exact.limbs import double_name, huge_name, limb_columns, settle, totals
from shardwise.compute.exact.products import near_one, product
from shardwise.compute.exact.rounding import quotient, root
from shardwise.compute.exact.sql import Layers, layered, literal, quoted, scaled

con = duckdb.connect(config={"threads": 2})
decimal = pa.decimal128(38, 0)
int128 = st.integers(-(2**127), 2**127 - 1)


def huge(values: list[int]) -> pa.Array:
    words = b"".join(v.to_bytes(16, "little", signed=True) for v in values)
    return pa.Array.from_buffers(decimal, len(values), [None, pa.py_buffer(words)])


@settings(deadline=None)
@given(st.lists(int128, min_size=1, max_size=5), st.integers(-20, 20))
def test_128_bits_in_limbs(values, j) -> None:
    table = settle(pa.table({"key": [7] * len(values), huge_name("a_s", 40 * j): huge(values)}))
    found, exponent = totals(table, "a_s")
    assert [Fraction(v) * Fraction(2) ** exponent for v in found] == [v * Fraction(2) ** (40 * j) for v in values]
    assert table["key"].to_pylist() == [7] * len(values)
    for name in limb_columns(table.column_names, "a_s"):
        digits = table[name].to_numpy()
        assert (digits >= -(2**39)).all() and (digits < 2**39).all() and digits.any()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(2**53), 2**53), st.integers(-1074, 900), st.integers(-900, 900)), min_size=1, max_size=4
    )
)
def test_doubles_in_limbs(parts) -> None:
    """Several raw sums of one prefix, whatever their units, add up."""
    columns = {}
    truth = Fraction(0)
    for i, (whole, quantum, shift) in enumerate(parts):
        value = math.ldexp(whole, quantum)
        columns[double_name("p", shift, quantum) + f"x{i}"] = [value]
        truth += Fraction(value) * Fraction(2) ** shift
    found, exponent = totals(settle(pa.table(columns)), "p")
    assert found[0] * Fraction(2) ** exponent == truth


@settings(deadline=None)
@given(st.lists(st.integers(-(2**126), 2**126), min_size=2, max_size=6))
def test_canonical_form_does_not_tell_how_a_sum_came_about(values) -> None:
    """One row with the whole sum has the limbs of many rows added in any order."""
    total = sum(values)
    low, high = total & (2**80 - 1), total >> 80
    whole = settle(pa.table({huge_name("s", 0): huge([low]), huge_name("s", 80): huge([high])}))
    each = settle(pa.table({huge_name("s", 0): huge(values)}))
    columns = limb_columns(each.column_names, "s")
    if not any(values):
        assert not columns
        return
    added = {huge_name("s", unit): huge([sum(each[name].to_pylist())]) for name, unit in columns.items()}
    assert settle(pa.table(added)).equals(whole)


def test_nothing_in_limbs() -> None:
    table = settle(pa.table({"n": [1, 2], huge_name("s", 0): huge([0, 0])}))
    assert table.column_names == ["n"] and totals(table, "s") == ([0, 0], 0)
    assert settle(pa.table({"n": pa.array([], pa.int64()), huge_name("s", 0): huge([])})).num_rows == 0


def test_a_sum_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ArithmeticError):
        settle(pa.table({double_name("s", 0, 0): [0.5]}))


@settings(deadline=None)
@given(st.integers(-1074, 1023), st.integers(0, 250), st.integers(2, 45))
def test_pieces_reach_from_top_to_quantum(top, spread, bits) -> None:
    quantum = max(top - spread, LEAST)
    found = quanta(top, quantum, bits)
    if found is None:
        assert top + bits > 1023 or top - quantum + bits > (53 - bits) * MAX_PIECES + bits
        return
    assert found[-1] <= quantum and len(found) <= MAX_PIECES
    assert top + bits <= found[0] + 53
    for above, below in itertools.pairwise(found):
        assert above > quantum and above - 1 + bits <= below + 53
    assert len(quanta(top, quantum, group_bits(top, quantum, bits))) == len(found)


def carried_out(values: list[float], sums: list[RawSum], layers: Layers, extra: str = "") -> tuple[Fraction, object]:
    con.register("t", pa.table({"x": pa.array(values, pa.float64()), "y": pa.array(values[::-1], pa.float64())}))
    chosen = ", ".join(f"{raw.sql} AS {quoted(f'{raw.name}x{i}')}" for i, raw in enumerate(sums))
    query = f"SELECT {chosen}{', ' + extra + ' AS guard' if extra else ''} FROM {layered('t', [tuple(layers.levels)])}"
    table = con.sql(query).to_arrow_table()
    found, exponent = totals(settle(table), "s")
    return found[0] * Fraction(2) ** exponent, table["guard"][0].as_py() if extra else None


def binades(values: list[float]) -> tuple[int, int]:
    sizes = [abs(v) for v in values if v] or [1.0]
    return math.frexp(min(sizes))[1] - 1, math.frexp(max(sizes))[1]


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=60)
@given(st.lists(finite, min_size=1, max_size=12))
def test_windows_hold_everything(values) -> None:
    sums = window_sums("s", column_term("x", *binades(values)))
    assert carried_out(values, sums, Layers("a"))[0] == sum(map(Fraction, values))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=12), st.integers(-40, 20), st.booleans())
def test_pieces_are_exact_or_the_guard_says_so(values, low, residue) -> None:
    true_low, top = binades(values)
    term = column_term("x", low if residue else true_low, top)
    pieces = quanta(term.top, term.quantum, 5)
    if pieces is None:
        return
    layers = Layers("a")
    sums, guard = piece_sums(layers, "s", term, pieces, residue)
    found, failed = carried_out(values, sums, layers, guard)
    assert failed or found == sum(map(Fraction, values))
    assert not failed or (residue and true_low < low)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("residue", [True, False])
def test_the_guard_sees_what_is_not_finite(odd, residue) -> None:
    layers = Layers("a")
    term = column_term("x", 0, 4)
    sums, guard = piece_sums(layers, "s", term, quanta(term.top, term.quantum, 10), residue)
    chosen = layered("t", [tuple(layers.levels)])
    for values, failed in (([1.0, odd, 2.0], True), ([odd], True), ([1.0, 2.0], False), ([None], False)):
        con.register("t", pa.table({"x": pa.array(values, pa.float64())}))
        assert bool(con.execute(f"SELECT {guard} FROM {chosen}").fetchall()[0][0]) is failed
    assert len(sums) == 2


@settings(deadline=None, max_examples=25)
@given(st.lists(finite, min_size=1, max_size=8))
def test_products_are_exact_whatever_the_exponents(values) -> None:
    layers = Layers("a")
    x, y = (column_term(name, *binades(values)) for name in "xy")
    sums = []
    for a in near_one(layers, x):
        for b in near_one(layers, y):
            sums += [raw for term in product(layers, a, b) for raw in exact_sums(layers, "s", term, 4)]
    truth = sum(Fraction(a) * Fraction(b) for a, b in zip(values, values[::-1]))
    assert carried_out(values, sums, layers)[0] == truth


@settings(deadline=None)
@given(st.fractions(), st.integers(-2000, 2000))
def test_quotient_is_the_nearest_double(value, exponent) -> None:
    found = quotient(value.numerator, value.denominator, exponent)
    truth = value * Fraction(2) ** exponent
    if math.isinf(found):
        assert abs(truth) >= Fraction(2) ** 1024 - Fraction(2) ** 970 and (found > 0) == (truth > 0)
        return
    for beside in (math.nextafter(found, math.inf), math.nextafter(found, -math.inf)):
        if not math.isinf(beside):
            assert abs(truth - Fraction(found)) <= abs(truth - Fraction(beside))


@settings(deadline=None)
@given(st.fractions(min_value=0), st.integers(-2300, 2000))
def test_root_is_the_nearest_double(value, exponent) -> None:
    found = root(value.numerator, value.denominator, exponent)
    truth = value * Fraction(2) ** exponent
    if math.isinf(found):
        assert truth >= (Fraction(2) ** 1024 - Fraction(2) ** 970) ** 2
        return
    above = (Fraction(found) + Fraction(math.nextafter(found, math.inf))) / 2 if found < 1.7e308 else None
    below = (Fraction(found) + Fraction(math.nextafter(found, -math.inf))) / 2
    assert above is None or truth <= above**2
    assert below < 0 or truth >= below**2
    assert root(*(Fraction(found) ** 2).as_integer_ratio()) == found


@settings(deadline=None, max_examples=50)
@given(finite, st.integers(-2100, 2100))
def test_scaling_by_powers_of_two(value, exponent) -> None:
    truth = Fraction(value) * Fraction(2) ** exponent
    if truth and not Fraction(2) ** -1022 <= abs(truth) < Fraction(2) ** 1023:
        return
    found = con.execute(f"SELECT {scaled(literal(value), exponent)}").fetchall()[0][0]
    assert Fraction(found) == truth


def test_duckdb_leaves_the_rounding_alone() -> None:
    """``(x + c) - c`` must not be simplified, in sums neither."""
    rng = np.random.default_rng(0)
    con.register("t", pa.table({"x": rng.random(10_000)}))
    row = con.execute(
        "SELECT sum((x + 6755399441055744.0) - 6755399441055744.0), sum(round_even(x, 0)), sum(x + 1e16::DOUBLE) FROM t"
    ).fetchall()[0]
    assert row[0] == row[1] and row[2] % 2 == 0
