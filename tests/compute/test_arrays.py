"""Aggregates of arrays: exact between batches, careful inside one, the same bits for any cut and order."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shardwise.compute.aggregates import (
    approx_n_unique,
    approx_quantile,
    count,
    count_null,
    maximum,
    mean,
    minimum,
    std,
    top_k,
    total,
    var,
)
from shardwise.compute.arrays.aggregation import ArrayAggregation, ArrayState
from shardwise.compute.arrays.lanes import reduce_columns
from shardwise.data.source import Batch
from shardwise.errors import InputError, UsageError

EVERYTHING = [
    ("n", count()),
    ("nulls", count_null("c0")),
    *((f"{one.function}", one) for one in (total("*"), mean("*"), var("*"), std("*"), minimum("*"), maximum("*"))),
    ("middle", approx_quantile("*", 0.5)),
    ("ends", approx_quantile("c0", [0, 1])),
    ("distinct", approx_n_unique("*")),
]
DTYPES = [np.float64, np.float32, np.int64, np.uint64, np.int8, np.uint16]
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def batches_of(array: np.ndarray[Any, Any], ends: list[int]) -> list[Batch]:
    pieces = itertools.pairwise([0, *sorted(ends), len(array)])
    return [Batch(0, index, array[first:last]) for index, (first, last) in enumerate(pieces)]


def one(function: Any, array: Any, ends: list[int] | None = None) -> Any:
    """The value of column 0, with the array cut into batches."""
    array = np.asarray(array)
    run = ArrayAggregation([("x", function)], 1)
    state = run.partial(batches_of(array, list(range(1, len(array))) if ends is None else ends))
    return run.finish(state)["x"][0].as_py()


def spread_of(values: list[Any], ddof: int) -> Fraction:
    exact = [Fraction(value) for value in values]
    middle = sum(exact) / len(exact)
    return sum((x - middle) ** 2 for x in exact) / (len(exact) - ddof)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype = draw(st.sampled_from(DTYPES))
    return draw(hnp.arrays(dtype, st.tuples(st.integers(1, 40), st.integers(1, 4))))


@settings(deadline=None, max_examples=60)
@given(arrays(), st.data())
def test_any_cut_into_shards_and_any_order_give_the_same_bits(array: np.ndarray[Any, Any], data: st.DataObject) -> None:
    rows = st.lists(st.integers(0, len(array)), max_size=6)
    batches = batches_of(array, data.draw(rows))
    run = ArrayAggregation([pair for pair in EVERYTHING if pair[0] != "sum"], array.shape[1])  # a sum may not fit
    whole = run.partial(batches)
    states = [run.partial([batch]) for batch in data.draw(st.permutations(batches))]
    while len(states) > 1:
        size = data.draw(st.integers(2, len(states)))
        states = [run.merge(states[:size]), *(run.load(run.save(state)) for state in states[size:])]
    assert run.save(states[0]) == run.save(whole) == run.save(run.partial(iter(batches), threads=2))
    assert repr(run.finish(states[0]).to_pylist()) == repr(run.finish(whole).to_pylist())


@settings(deadline=None, max_examples=60)
@given(arrays())
def test_how_the_array_lies_in_memory_does_not_matter(array: np.ndarray[Any, Any]) -> None:
    run = ArrayAggregation(EVERYTHING, array.shape[1])
    spread = np.zeros((len(array) * 2, array.shape[1] * 3), array.dtype)
    spread[::2, ::3] = array
    foreign = array.astype(array.dtype.newbyteorder(">"))
    saved = {
        run.save(run.partial([Batch(0, 0, one)]))
        for one in (array, np.asfortranarray(array), spread[::2, ::3], foreign)
    }
    assert len(saved) == 1


@settings(deadline=None, max_examples=100)
@given(st.lists(FINITE, min_size=1, max_size=30))
def test_sums_of_batches_of_one_row_are_rounded_once(values: list[float]) -> None:
    exact = sum(map(Fraction, values))
    try:
        wanted = float(exact)
    except OverflowError:
        wanted = math.inf if exact > 0 else -math.inf
    assert one(total("c0"), values) == wanted
    assert one(mean("c0"), values) == float(exact / len(values))


@settings(deadline=None, max_examples=100)
@given(st.lists(FINITE, min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=3))
def test_sums_in_a_batch_are_as_good_as_adding_one_by_one(values: list[float], ends: list[int]) -> None:
    found = one(mean("c0"), values, [min(end, len(values)) for end in ends])
    size = sum(abs(Fraction(value)) for value in values) / len(values)
    assert abs(Fraction(found) - sum(map(Fraction, values)) / len(values)) <= size * Fraction(1, 2**44) + Fraction(
        1, 2**1074
    )


def test_a_sum_that_leaves_the_range_of_floats_on_the_way_comes_back() -> None:
    values = [1.5e308] * 2000 + [-1.5e308] * 2000 + [1.0]
    assert one(total("c0"), values, []) == 1.0
    assert one(total("c0"), [1.5e308, 1.5e308], []) == math.inf
    assert one(mean("c0"), [1.5e308, 1.5e308], []) == 1.5e308


@pytest.mark.parametrize("ends", [[], None])
def test_nan_and_infinities(ends: list[int] | None) -> None:
    nan, inf = math.nan, math.inf
    for values, wanted in [([1.0, inf], inf), ([-inf, 1.0], -inf), ([1.0, nan], nan), ([inf, -inf], nan)]:
        assert repr(one(total("c0"), values, ends)) == repr(one(mean("c0"), values, ends)) == repr(wanted)
        assert repr(one(var("c0"), values, ends)) == repr(one(std("c0"), values, ends)) == "nan"
    assert one(minimum("c0"), [nan, 2.0, inf], ends) == 2.0
    assert math.isnan(one(maximum("c0"), [nan, 2.0, inf], ends))
    assert math.isnan(one(minimum("c0"), [nan, nan], ends))
    assert one(minimum("c0"), [-inf, nan], ends) == -inf
    assert repr(one(minimum("c0"), [0.0, -0.0, 0.0], ends)) == "-0.0"
    assert repr(one(maximum("c0"), [-0.0, 0.0, -0.0], ends)) == "0.0"
    assert repr(one(maximum("c0"), [-0.0, -1.0], ends)) == "-0.0"
    assert repr(one(minimum("c0"), [0.0, 1.0], ends)) == "0.0"
    assert one(approx_n_unique("c0"), [nan, -nan, 0.0, -0.0, 1.0], ends) == 3


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(st.sampled_from([np.int64, np.uint64, np.int32, np.int8]), st.integers(1, 60)), st.booleans())
def test_sums_of_integers_are_exact(values: np.ndarray[Any, Any], together: bool) -> None:
    exact = sum(values.tolist())
    ends = [] if together else None
    assert one(mean("c0"), values, ends) == float(Fraction(exact, len(values)))
    if -(2**63) <= exact < 2**63:
        assert one(total("c0"), values, ends) == exact
    else:
        with pytest.raises(InputError, match=f"column 'c0' is {exact}, which does not fit"):
            one(total("c0"), values, ends)
    assert one(minimum("c0"), values, ends) == min(values.tolist())
    assert one(maximum("c0"), values, ends) == max(values.tolist())


@settings(deadline=None, max_examples=150)
@given(
    st.lists(FINITE, min_size=2, max_size=40) | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=40),
    st.lists(st.integers(0, 40), max_size=2),
    st.integers(0, 1),
)
def test_variance_is_close_to_the_exact_one(values: list[Any], ends: list[int], ddof: int) -> None:
    exact = spread_of(values, ddof)
    dtype = np.float64 if isinstance(values[0], float) else np.int64
    found = one(var("c0", ddof), np.array(values, dtype), [min(end, len(values)) for end in ends])
    if exact > Fraction(2**1023):
        assert found > 2.0**1022
    else:
        assert abs(Fraction(found) - exact) <= exact * Fraction(1, 10**12) + Fraction(1, 2**1074)


@pytest.mark.parametrize("scale", [1.0, 1e-170, 1e150, 2.0**-1070])
@pytest.mark.parametrize("mean_of_all", [0.0, 1e6, 1e12])
def test_the_mean_may_be_far_from_zero_and_the_numbers_of_any_size(scale: float, mean_of_all: float) -> None:
    values = (np.random.default_rng(3).normal(size=3000).round(3) + mean_of_all) * scale
    exact = spread_of(values.tolist(), 1)
    for ends in ([], [1000, 1001], list(range(0, 3000, 7))):
        found = one(var("c0"), values, ends)
        assert abs(Fraction(found) - exact) <= exact * Fraction(1, 10**12) + Fraction(1, 2**1074)
        deviation = Fraction(one(std("c0"), values, ends))  # of a variance that may be too small for a float
        assert abs(deviation**2 - exact) <= exact * Fraction(1, 10**12) + 2 * deviation * Fraction(1, 2**1075)


def test_a_centre_far_from_most_values_costs_few_digits() -> None:
    values = np.r_[np.full(500, 1e9), np.random.default_rng(0).normal(size=50_000)]
    for column in (values, values[::-1]):
        exact = spread_of(column.tolist(), 1)
        assert abs(Fraction(one(var("c0"), column, [])) - exact) <= exact * Fraction(1, 10**12)


@pytest.mark.parametrize("value", [0.1, -1e300, 5e-324, 0.0])
def test_a_constant_column_has_no_variance_at_all(value: float) -> None:
    assert one(var("c0"), np.full(1000, value), [300, 700]) == 0.0
    assert one(std("c0"), np.full(1000, value), []) == 0.0


def test_variance_of_large_integers_keeps_what_floats_would_lose() -> None:
    values = np.array([2**62, 2**62 + 1, 2**62 + 2], np.int64)
    assert one(var("c0"), values, []) == one(var("c0"), values) == 1.0
    assert one(var("c0"), values.astype(np.uint64) * np.uint64(3), []) == 9.0


def test_too_few_rows_have_no_variance() -> None:
    assert one(var("c0"), [1.0]) is None
    assert one(var("c0", 0), [1.0]) == 0.0


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3000), st.integers(1, 1100), st.sampled_from([np.add, np.maximum]))
def test_wide_rows_leave_nothing_out(rows: int, columns: int, combine: np.ufunc) -> None:
    rows = min(rows, 40_000 // columns + 1)
    array = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns) % 997
    padding = 0 if combine is np.add else np.iinfo(np.int64).min
    assert (reduce_columns(array, combine, padding) == combine.reduce(array, axis=0)).all()


def test_quantiles_and_unique_values_are_those_of_tables() -> None:
    import duckdb

    from shardwise.compute.aggregates.grouped import GroupedAggregation

    array = np.random.default_rng(5).normal(size=5000) * 1000
    wanted = [
        ("q", approx_quantile("c0", [0, 0.01, 0.5, 0.99, 1])),
        ("n", approx_n_unique("c0")),
        ("lo", minimum("c0")),
    ]
    for dtype in (np.float64, np.float32, np.int32):
        values = array.astype(dtype)
        table = pa.table({"c0": values})
        con = duckdb.connect()
        con.register("t", table)
        grouped = GroupedAggregation([], wanted, table.schema)
        run = ArrayAggregation(wanted, 1)
        found = run.finish(run.partial(batches_of(values, [100, 4000])))
        assert found.equals(grouped.finish(con, grouped.partial(con, "t", lambda name: None)))


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.bool_])
def test_result_types(dtype: Any) -> None:
    run = ArrayAggregation([pair for pair in EVERYTHING if pair[0] not in ("middle", "ends")], 2)
    found = run.finish(run.partial([Batch(0, 0, np.array([[1, 0], [0, 1], [1, 1]], dtype))]))
    own = pa.from_numpy_dtype(dtype)
    summed = pa.float64() if np.dtype(dtype).kind == "f" else pa.int64()
    kinds = {"sum": summed, "min": own, "max": own, "distinct": pa.int64()}
    for name in ("sum", "mean", "var", "std", "min", "max", "distinct"):
        assert found.schema.field(name).type == pa.list_(kinds.get(name, pa.float64()))
    assert found.to_pylist()[0]["sum"] == [2, 2]
    assert found.to_pylist()[0]["n"] == 3
    assert found.to_pylist()[0]["nulls"] == 0


def test_columns_by_name_are_those_of_all() -> None:
    array = np.random.default_rng(0).normal(size=(300, 4))
    run = ArrayAggregation([("all", std("*")), ("two", std("c2")), ("least", minimum("c3")), ("top", maximum("c1"))], 4)
    found = run.finish(run.partial(batches_of(array, [10]))).to_pylist()[0]
    assert found["two"] == found["all"][2]
    assert found["least"] == array[:, 3].min()
    assert found["top"] == array[:, 1].max()


def test_no_rows_at_all() -> None:
    run = ArrayAggregation(EVERYTHING, 1)
    for state in (run.empty(), run.partial([]), run.merge([]), run.partial([Batch(0, 0, np.empty((0, 1), np.int8))])):
        found = run.load(run.save(state))
        row = run.finish(found).to_pylist()[0]
        assert row["n"] == 0 and row["sum"] == [None] and row["ends"] is None
    full = run.partial([Batch(0, 1, np.array([1.0]))])
    assert run.merge([run.empty(), full, run.empty()]) == full


def test_merging_changes_no_state() -> None:
    run = ArrayAggregation(EVERYTHING, 1)
    states: list[ArrayState] = [run.partial([Batch(0, i, np.array([1.0 * i, 2.0]))]) for i in range(3)]
    before = [run.save(state) for state in states]
    run.merge(states)
    assert [run.save(state) for state in states] == before


def test_what_cannot_be_aggregated_is_refused() -> None:
    with pytest.raises(UsageError, match="top_k is not defined for arrays"):
        ArrayAggregation([("x", top_k("c0", 1))], 1)
    for name in ("c2", "price", "c-1", "c"):
        with pytest.raises(UsageError, match="no column"):
            ArrayAggregation([("x", mean(name))], 2)
    run = ArrayAggregation([("x", mean("*")), ("q", approx_quantile("c0", 0.5))], 2)
    with pytest.raises(InputError, match=r"batch 3 of fragment 7 has shape \(2, 3\), not \(rows, 2\)"):
        run.partial([Batch(7, 3, np.zeros((2, 3)))])
    for dtype in (np.complex128, "datetime64[s]", object, np.longdouble):
        with pytest.raises(UsageError, match="have no aggregates"):
            run.partial([Batch(0, 0, np.zeros((2, 2), dtype))])
    with pytest.raises(UsageError, match="booleans"):
        run.partial([Batch(0, 0, np.zeros((2, 2), bool))])
    with pytest.raises(InputError, match="some batches hold float64, others int64"):
        run.partial([Batch(0, 0, np.zeros((2, 2))), Batch(0, 1, np.zeros((2, 2), np.int64))])
