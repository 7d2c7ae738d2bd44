"""Sums, means and moments of doubles: equal to rational arithmetic rounded once, in any cut and order."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.aggregates import corr, cov, maximum, mean, minimum, std, total, var
from shardwise.compute.exact.rounding import root

finite = st.floats(allow_nan=False, allow_infinity=False)
tame = st.floats(-1e6, 1e6)
money = st.integers(1, 100_000).map(lambda cents: cents / 100)
columns = st.one_of(
    *(st.lists(kind, max_size=30) for kind in (finite, tame, money, st.sampled_from([0.0, -0.0, 5e-324])))
)


def nearest(value: Fraction) -> float:
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def true_sum(values: list[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))


def true_var(values: list[float], ddof: int = 1) -> Fraction:
    n, s = len(values), true_sum(values)
    return (n * sum((Fraction(v) ** 2 for v in values), Fraction(0)) - s * s) / (n * (n - ddof))


def statistics(values: list[float]) -> object:
    ends = (min(values), max(values)) if values else None
    return lambda column: ends


def cuts_of(data: st.DataObject, rows: int) -> list[int]:
    return data.draw(st.lists(st.integers(0, rows), max_size=5))


@settings(deadline=None, max_examples=60)
@given(st.data(), columns, st.booleans(), st.sampled_from([1, 2, 4]))
def test_sum_and_mean_are_rounded_once(harness, data, values, known, threads) -> None:
    table = pa.table({"x": pa.array(values, pa.float64())})
    harness.threads(threads)
    options = {"bounds": statistics(values)} if known else {}
    whole = harness.run(table, [], s=total("x"), m=mean("x"), **options)
    cut = harness.run(
        table, [], cuts_of(data, len(values)), shuffle=data.draw(st.integers(0, 99)), s=total("x"), m=mean("x")
    )
    assert whole.schema.metadata == cut.schema.metadata
    found = whole.to_pylist()[0]
    if not values:
        assert found == {"s": None, "m": None}
        return
    assert found["s"] == nearest(true_sum(values))
    assert found["m"] == nearest(true_sum(values) / len(values))
    try:
        assert found["s"] == math.fsum(values)
    except OverflowError:  # of fsum, in between
        pass


@settings(deadline=None, max_examples=30)
@given(st.data(), columns, st.booleans(), st.integers(0, 2))
def test_var_and_std_are_rounded_once(harness, data, values, known, ddof) -> None:
    table = pa.table({"x": pa.array(values, pa.float64())})
    options = {"bounds": statistics(values)} if known else {}
    asked = {"v": var("x", ddof), "s": std("x", ddof)}
    whole = harness.run(table, [], **asked, **options)
    cut = harness.run(table, [], cuts_of(data, len(values)), shuffle=data.draw(st.integers(0, 99)), **asked)
    assert whole.schema.metadata == cut.schema.metadata
    found = whole.to_pylist()[0]
    if len(values) <= ddof:
        assert found == {"v": None, "s": None}
        return
    truth = true_var(values, ddof)
    assert found["v"] == nearest(truth)
    assert found["s"] == root(truth.numerator, truth.denominator)


@settings(deadline=None, max_examples=15)
@given(st.data(), st.lists(st.tuples(st.none() | finite, st.none() | tame), max_size=25))
def test_cov_and_corr_are_rounded_once(harness, data, pairs) -> None:
    table = pa.table(
        {"x": pa.array([p[0] for p in pairs], pa.float64()), "y": pa.array([p[1] for p in pairs], pa.float64())}
    )
    asked = {"c": cov("x", "y"), "r": corr("x", "y")}
    whole = harness.run(table, [], **asked)
    cut = harness.run(table, [], cuts_of(data, len(pairs)), shuffle=1, **asked)
    assert whole.schema.metadata == cut.schema.metadata
    found = whole.to_pylist()[0]
    both = [(Fraction(x), Fraction(y)) for x, y in pairs if x is not None and y is not None]
    n = len(both)
    if n == 0:
        assert found == {"c": None, "r": None}
        return
    sx, sy = (sum(column) for column in zip(*both))
    spread = [n * sum(a * b for a, b in zip(u, v)) - su * sv for u, v, su, sv in _pairs(both, sx, sy)]
    assert found["c"] == (nearest(spread[1] / (n * (n - 1))) if n > 1 else None)
    if not spread[0] or not spread[2]:
        assert math.isnan(found["r"])
    else:
        square = spread[1] ** 2 / (spread[0] * spread[2])
        assert abs(found["r"]) == root(square.numerator, square.denominator) <= 1
        assert found["r"] == 0 or (found["r"] < 0) == (spread[1] < 0)


def _pairs(both, sx, sy):
    xs, ys = zip(*both)
    return (xs, xs, sx, sx), (xs, ys, sx, sy), (ys, ys, sy, sy)


@pytest.mark.parametrize("with_bounds", [True, False])
@pytest.mark.parametrize("low, high", [(-3, 3), (-30, 30), (-300, 300), (-1074, 1020), (-1074, -1060), (1000, 1020)])
def test_wide_exponents_in_groups(harness, low, high, with_bounds) -> None:
    rng = np.random.default_rng(abs(low + high))
    values = rng.standard_normal(3000) * 2.0 ** rng.integers(low, high, 3000)
    keys = rng.integers(0, 4, 3000)
    table = pa.table({"k": keys, "x": values})
    bounds = statistics(values.tolist()) if with_bounds else lambda column: None
    answers = set()
    for threads, cuts in ((1, []), (2, [700, 701, 1500]), (4, [1, 2999])):
        harness.threads(threads)
        result = harness.run(table, ["k"], cuts, bounds, shuffle=threads, s=total("x"), v=var("x"), m=mean("x"))
        answers.add(result.schema.metadata[b"state"])
        assert result["k"].to_pylist() == [0, 1, 2, 3]
        for key, s, v in zip(*(result[name].to_pylist() for name in ("k", "s", "v"))):
            own = values[keys == key].tolist()
            assert s == nearest(true_sum(own))
            assert v == nearest(true_var(own))
    assert len(answers) == 1


@pytest.mark.parametrize("scale", [1.0, 2.0**40])
def test_more_rows_in_a_group_than_pieces_bear(harness, scale) -> None:
    """A million values just below a power of two: their pieces would round, so the sum is made again."""
    values = np.random.default_rng(1).uniform(0.75, 1, 1 << 20) * scale
    values[0] = 0.1 * 2.0**-18 * scale
    table = pa.table({"k": np.zeros(len(values), int), "x": values})
    truth = math.fsum(values)
    for bounds in (lambda c: None, statistics([values.min(), values.max()])):
        assert harness.run(table, ["k"], bounds=bounds, s=total("x"))["s"].to_pylist() == [truth]


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e300, 5e-324])
def test_surprises_after_a_usual_start(harness, size) -> None:
    values = [1.5, -2.25, 3.0, size, 0.1, -size / 3]
    assert harness.one(pa.table({"x": values}), total("x")) == math.fsum(values)
    assert harness.one(pa.table({"x": values}), var("x")) == nearest(true_var(values))


nan, inf = math.nan, math.inf


@pytest.mark.parametrize(
    "values, expected",
    [
        ([1.0, nan], nan),
        ([nan], nan),
        ([inf, 1.0], inf),
        ([-inf, 1e308], -inf),
        ([inf, -inf], nan),
        ([inf, nan], nan),
        ([1.7e308, 1.7e308], inf),
        ([-1.7e308, -1.7e308], -inf),
        ([1.7e308, 1.7e308, -1.7e308], 1.7e308),
        ([-0.0], 0.0),
        ([-0.0, -0.0], 0.0),
        ([5e-324, 5e-324], 1e-323),
        ([None, 2.0, None], 2.0),
        ([None], None),
        ([], None),
    ],
)
@pytest.mark.parametrize("cuts", [[], [1]])
def test_odd_sums(harness, values, expected, cuts) -> None:
    table = pa.table({"x": pa.array(values, pa.float64())})
    cuts = [cut for cut in cuts if cut <= len(values)]
    finite_ones = [v for v in values if v is not None and math.isfinite(v)]
    for bounds in (lambda c: None, statistics(finite_ones)):  # writers leave NaN out of statistics
        if any(v is not None and math.isinf(v) for v in values) and finite_ones:
            bounds = lambda c: None  # noqa: E731
        found = harness.one(table, total("x"), cuts=cuts, bounds=bounds)
        assert repr(found) == repr(expected)
        average = harness.one(table, mean("x"), cuts=cuts, bounds=bounds)
        assert (average is None) == (expected is None)
        assert expected is None or math.isnan(average) == math.isnan(expected)


def test_mean_of_the_greatest_does_not_overflow(harness) -> None:
    assert harness.one(pa.table({"x": [1.7e308] * 8}), mean("x")) == 1.7e308


def test_moments_of_what_is_not_finite(harness) -> None:
    for odd in (nan, inf, -inf):
        table = pa.table({"k": [0, 0, 0, 1, 1], "x": [1.0, odd, 2.0, 1.0, 3.0], "y": [1.0, 2.0, 3.0, 5.0, 4.0]})
        for bounds in (lambda c: None, lambda c: (1.0, 5.0)):
            if math.isinf(odd):
                bounds = lambda c: None  # noqa: E731
            result = harness.run(
                table, ["k"], [2], bounds, v=var("x"), s=std("x"), c=cov("x", "y"), d=cov("y", "x"), r=corr("x", "y")
            )
            assert all(math.isnan(result[name][0].as_py()) for name in "vscdr")
            assert result.slice(1).to_pylist() == [
                {"k": 1, "v": 2.0, "s": math.sqrt(2), "c": -1.0, "d": -1.0, "r": -1.0}
            ]


def test_nan_is_met_again_without_a_second_guess(harness) -> None:
    """What one partial state found is used for the next, and changes nothing."""
    from shardwise.compute.aggregates.grouped import GroupedAggregation

    table = pa.table({"k": [0, 1] * 50, "x": [nan, 1.5, inf, 1e300] * 25})
    grouped = GroupedAggregation(["k"], [("m", mean("x")), ("v", var("x"))], table.schema)
    first, second = (grouped.save(harness.states(grouped, table, [], lambda c: None)[0]) for _ in range(2))
    fresh = GroupedAggregation(["k"], [("m", mean("x")), ("v", var("x"))], table.schema)
    assert first == second == fresh.save(harness.states(fresh, table, [], lambda c: (1.5, 1e300))[0])


def test_variance_survives_a_great_mean(harness) -> None:
    rng = np.random.default_rng(3)
    for mean_, deviation in ((1e6, 1.0), (1e12, 1e-3), (1e15, 0.25)):
        values = (mean_ + deviation * rng.standard_normal(4000)).tolist()
        assert harness.one(pa.table({"x": values}), var("x"), cuts=[5, 3000]) == nearest(true_var(values))


def test_float32_is_taken_as_it_is(harness) -> None:
    values = np.random.default_rng(5).standard_normal(2000).astype(np.float32)
    table = pa.table({"x": values})
    exact = [float(v) for v in values]
    for bounds in (lambda c: None, statistics([abs(v) for v in exact])):
        taken = pa.table({"x": np.abs(values)}) if bounds("x") else table
        own = [abs(v) for v in exact] if bounds("x") else exact
        result = harness.run(taken, [], [700], bounds, s=total("x"), v=var("x"), m=mean("x"))
        assert result.to_pylist() == [
            {"s": math.fsum(own), "v": nearest(true_var(own)), "m": nearest(true_sum(own) / 2000)}
        ]
    assert harness.run(table, [], lo=minimum("x"), hi=maximum("x")).schema.types == [pa.float32()] * 2


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | finite), min_size=2, max_size=20))
def test_integers_with_floats(harness, pairs) -> None:
    table = pa.table(
        {"i": pa.array([p[0] for p in pairs], pa.int64()), "x": pa.array([p[1] for p in pairs], pa.float64())}
    )
    both = [(i, Fraction(x)) for i, x in pairs if i is not None and x is not None]
    found = harness.one(table, cov("i", "x"), cuts=[1])
    n = len(both)
    if n < 2:
        assert found is None
        return
    spread = n * sum(i * x for i, x in both) - sum(i for i, _ in both) * sum(x for _, x in both)
    assert found == nearest(spread / (n * (n - 1)))


def test_near_the_answers_of_others(harness) -> None:
    import polars as pl

    rng = np.random.default_rng(11)
    table = pa.table(
        {"k": rng.integers(0, 50, 20_000), "x": rng.gamma(2, 30, 20_000), "y": rng.standard_normal(20_000)}
    )
    ours = harness.run(
        table, ["k"], [100, 9000], s=total("x"), m=mean("x"), v=var("x"), d=std("x"), c=cov("x", "y"), r=corr("x", "y")
    )
    harness.con.register("rows_of_test", table)
    theirs = harness.con.sql(
        "SELECT k, sum(x) s, avg(x) m, var_samp(x) v, stddev_samp(x) d, covar_samp(x, y) c, corr(x, y) r"
        " FROM rows_of_test GROUP BY k ORDER BY k"
    ).to_arrow_table()
    frame = (
        pl.from_arrow(table)
        .group_by("k")
        .agg(
            pl.col("x").sum().alias("s"),
            pl.col("x").mean().alias("m"),
            pl.col("x").var().alias("v"),
            pl.col("x").std().alias("d"),
            pl.cov("x", "y").alias("c"),
            pl.corr("x", "y").alias("r"),
        )
        .sort("k")
        .to_arrow()
    )
    for name in "smvdcr":
        for other in (theirs, frame):
            assert np.allclose(ours[name].to_numpy(), other[name].to_numpy(), rtol=1e-9, atol=1e-9)
