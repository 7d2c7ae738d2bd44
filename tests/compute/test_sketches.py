"""Sketches: approximate quantiles and counts of unique values, through the grouped aggregation that uses them."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import math
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.aggregates import approx_n_unique, approx_quantile, parse_aggregate
from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.grouped import GroupedAggregation
from shardwise.compute.buckets import (
    MOST_TICK_BUCKETS,
    SHIFT,
    key_value,
    lowest_level,
    nearest_rank,
    order_key,
    order_key_sql,
)
from shardwise.compute.hashing import hash_array
from shardwise.compute.hyperloglog import RANKS, REGISTERS, STANDARD_ERROR, estimate, register_and_rank
from shardwise.errors import UsageError

CON = duckdb.connect(config={"threads": 2})
ERROR = Fraction(1, 256) + Fraction(1, 2**40)
QS = [0.0, 0.001, 0.1, 0.5, 0.75, 0.999, 1.0]


def partial(run: GroupedAggregation, table: pa.Table) -> Any:
    CON.register("rows", table)
    try:
        return run.partial(CON, "rows", lambda name: None)
    finally:
        CON.unregister("rows")


def aggregated(asked: Builtin, table: pa.Table, keys: list[str] | None = None, cuts: list[int] | None = None) -> Any:
    """The result column, from shards that are cut at these rows and merged in no good order."""
    run = GroupedAggregation(keys or [], [("x", asked)], table.schema)
    ends = [0, *sorted(cuts or []), len(table)]
    states = [partial(run, table.slice(a, b - a)) for a, b in itertools.pairwise(ends)]
    while len(states) > 1:
        states = [run.merge(CON, [states.pop(), states.pop(0)]), *states]
    return run.finish(CON, run.load(run.save(states[0])))["x"].to_pylist()


def exact_quantile(values: list[Any], q: float) -> Any:
    return sorted(values)[nearest_rank(q, len(values)) - 1]


# ------------------------------------------------------------------------------------------------------- float buckets


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1))
def test_order_keys_sort_as_the_numbers_and_come_back(values: list[float]) -> None:
    keys = order_key(np.array(values)).tolist()
    for value, key in zip(values, keys):
        assert repr(key_value(key)) == repr(value) or math.isnan(value)
    for a, ka in zip(values, keys):
        for b, kb in zip(values, keys):
            if a < b or (math.isnan(b) and not math.isnan(a)):
                assert ka < kb


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1))
def test_sql_gives_the_same_keys(values: list[float]) -> None:
    CON.register("floats", pa.table({"x": values}))
    found = CON.sql(f"SELECT {order_key_sql('x')} FROM floats").fetchall()
    assert [key for (key,) in found] == order_key(np.array(values)).tolist()


@settings(deadline=None)
@given(st.floats(allow_nan=False), st.floats(0, 1))
def test_half_way_between_two_numbers_of_a_bucket_is_near_everything_between(value: float, part: float) -> None:
    key = int(order_key(np.array([value]))[0])
    other = (key >> SHIFT << SHIFT) + int(part * (1 << SHIFT) * (1 - 2**-20))
    if math.isinf(value):
        return
    middle, ends = Fraction(key_value((key + other) // 2)), [Fraction(value), Fraction(key_value(other))]
    for end in ends:
        assert abs(middle - end) <= max(abs(end) / 256 + Fraction(1, 2**1074), Fraction(1e-309))


def test_every_nan_is_in_one_bucket_above_infinity() -> None:
    odd = np.array([0x7FF8 << 48, 0xFFF8 << 48, (0x7FF0 << 48) + 1, (1 << 64) - 1], np.uint64).view(np.float64)
    assert len(set(order_key(odd).tolist())) == 1
    assert order_key(odd)[0] > order_key(np.array([np.inf]))[0]
    CON.register("floats", pa.table({"x": odd}))
    assert len(CON.sql(f"SELECT DISTINCT {order_key_sql('x')} FROM floats").fetchall()) == 1


# ---------------------------------------------------------------------------------------------------------- quantiles

NUMBERS = {
    "double": (pa.float64(), st.floats(allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-300)),
    "float": (pa.float32(), st.floats(allow_nan=False, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "small": (pa.int16(), st.integers(-256, 256)),
    "decimal": (pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3)),
    "decimal38": (pa.decimal128(38, 0), st.integers(-(10**37), 10**37).map(decimal.Decimal)),
    "duration": (
        pa.duration("us"),
        st.integers(-(10**17), 10**17).map(lambda n: dt.timedelta(microseconds=n // 10**4)),
    ),
    "date": (pa.date32(), st.dates()),
}


@pytest.mark.parametrize("name", NUMBERS)
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_quantiles_are_within_the_stated_error_for_any_cut(name: str, data: st.DataObject) -> None:
    kind, strategy = NUMBERS[name]
    values: list[Any] = data.draw(st.lists(st.none() | strategy, max_size=40))
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=3))
    table = pa.table({"x": pa.array(values, kind)})
    (found,) = aggregated(approx_quantile("x", QS), table, cuts=cuts)
    assert repr([found]) == repr(aggregated(approx_quantile("x", QS), table))
    present = [value for value in table["x"].to_pylist() if value is not None]
    if not present:
        assert found is None
        return
    assert repr(found[0]) == repr(min(present, key=total_order)) and repr(found[-1]) == repr(
        max(present, key=total_order)
    )
    for q, estimate_of_q in zip(QS, found):
        assert_close(estimate_of_q, exact_quantile(present, q), name)


def total_order(value: Any) -> Any:
    return (value, math.copysign(1, value)) if isinstance(value, float) else value


def assert_close(found: Any, exact: Any, name: str) -> None:
    if name in ("date", "small") or (isinstance(exact, float) and math.isinf(exact)):
        assert found == exact
        return
    as_number = {"duration": lambda d: Fraction(d // dt.timedelta(microseconds=1))}.get(name, Fraction)
    rounding = {"double": 0, "float": abs(as_number(exact)) / 2**23, "decimal": Fraction(1, 2000)}.get(name, 0)
    assert abs(as_number(found) - as_number(exact)) <= abs(as_number(exact)) * ERROR + rounding


def test_nan_is_the_greatest_value() -> None:
    table = pa.table({"x": [math.nan, 1.0, math.inf, -math.inf, -math.nan, None]})
    (found,) = aggregated(approx_quantile("x", [0, 0.4, 0.6, 0.8, 1]), table)
    assert repr(found) == repr([-math.inf, 1.0, math.inf, math.nan, math.nan])
    assert aggregated(approx_quantile("x", 0.5), pa.table({"x": [math.nan, 2.0]})) == [2.0]


def test_zeros_keep_their_signs() -> None:
    both = pa.table({"x": [0.0, -0.0, 0.0, -0.0]})
    assert repr(aggregated(approx_quantile("x", [0, 0.5, 0.75, 1]), both)) == "[[-0.0, -0.0, 0.0, 0.0]]"
    assert repr(aggregated(approx_quantile("x", [0, 1]), pa.table({"x": [-0.0, -0.0]}))) == "[[-0.0, -0.0]]"
    assert repr(aggregated(approx_quantile("x", [0, 1]), pa.table({"x": [0.0, 0.0]}))) == "[[0.0, 0.0]]"


@pytest.mark.parametrize(
    "kind", [pa.timestamp("s"), pa.timestamp("ms", "Asia/Tokyo"), pa.timestamp("us"), pa.timestamp("ns")]
)
def test_timestamps_are_within_half_a_bucket(kind: pa.DataType) -> None:
    rng = np.random.default_rng(1)
    ticks = np.sort(np.r_[rng.integers(10**15, 10**15 + 10**9, 20_000), [0, 10**16]])  # two that lie far out
    ticks = ticks // {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}[kind.unit]
    table = pa.table({"x": pa.array(ticks).cast(kind)})
    width = 1 << lowest_level(ticks)
    assert width <= max(1, 4 * 10**9 // MOST_TICK_BUCKETS)
    wanted = table["x"].cast(pa.int64()).to_pylist()
    run = GroupedAggregation([], [("x", approx_quantile("x", QS))], table.schema)
    whole = run.finish(CON, partial(run, table))
    found = whole["x"].combine_chunks().flatten().cast(pa.int64()).to_pylist()
    for q, estimate_of_q in zip(QS, found):
        assert abs(estimate_of_q - exact_quantile(wanted, q)) <= width / 2
    for cuts in ([5000], [1, 2, 20_001], list(range(0, 20_000, 1500))):
        shuffled = table.take(rng.permutation(len(table))) if cuts != [5000] else table
        pieces = aggregated(approx_quantile("x", QS), shuffled, cuts=cuts)
        assert pieces == whole["x"].to_pylist()


def test_few_times_are_exact() -> None:
    times = [dt.time(h, m, s) for h in range(24) for m in (0, 30) for s in range(0, 60, 7)]
    for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        table = pa.table({"x": pa.array(times, kind)})
        assert aggregated(approx_quantile("x", QS), table, cuts=[3]) == [[exact_quantile(times, q) for q in QS]]
    days = pa.table({"x": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None], pa.date64())})
    assert aggregated(approx_quantile("x", [0, 0.5, 1]), days) == [[dt.date(1, 1, 1)] * 2 + [dt.date(9999, 12, 31)]]


def test_the_level_of_a_part_is_not_above_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    whole = np.sort(rng.integers(0, 10**9, 20_000))
    for size in (1, 100, 5_000, 19_999):
        assert lowest_level(np.sort(rng.choice(whole, size, replace=False))) <= lowest_level(whole)
    assert lowest_level(np.array([-(2**63), -1, 0, 2**63 - 1]), 2) == 63


def test_groups_are_apart_and_missing_ones_null() -> None:
    table = pa.table({"k": ["a", "b", None, "a", "c"], "x": pa.array([1, 5, 7, 3, None], pa.int32())})
    assert aggregated(approx_quantile("x", 0.5), table, ["k"], [2]) == [7, 1, 5, None]
    assert aggregated(approx_quantile("x", [0, 1]), table, ["k"], [2]) == [[7, 7], [1, 3], [5, 5], None]
    assert aggregated(approx_n_unique("x"), table, ["k"], [2]) == [1, 2, 1, 0]


def test_ranks_are_those_of_duckdb() -> None:
    values = list(range(1, 101))
    CON.register("hundred", pa.table({"x": values}))
    for q in [0.0, 0.005, 0.01, 0.05, 0.1, 0.29, 0.3, 0.7, 0.995, 1.0]:
        wanted = CON.sql(f"SELECT quantile_disc(x, {q}) FROM hundred").fetchall()[0][0]
        assert exact_quantile(values, q) == wanted
        assert aggregated(approx_quantile("x", q), pa.table({"x": values})) == [wanted]


@pytest.mark.parametrize("q", [-0.1, 1.5, math.nan, "half", True, [], [0.5, 2]])
def test_what_is_no_quantile_is_refused(q: Any) -> None:
    with pytest.raises(UsageError):
        approx_quantile("x", q)


@pytest.mark.parametrize("kind", [pa.string(), pa.bool_(), pa.binary(), pa.list_(pa.int8())])
def test_types_without_distances_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(UsageError, match=f"approx_quantile of column 'x' of type {kind}".replace("[", r"\[")[:50]):
        GroupedAggregation([], [("q", approx_quantile("x", 0.5))], pa.schema([("x", kind)]))


def test_both_can_be_written_as_text() -> None:
    assert parse_aggregate('p95=approx_quantile("a b", 0.95)')[1].identity() == {
        "function": "approx_quantile",
        "columns": ["a b"],
        "options": {"q": 0.95},
    }
    assert parse_aggregate("approx_quantile(x, [0.25, 0.75])")[1].option("q") == (0.25, 0.75)
    assert parse_aggregate("approx_n_unique(x)") == ("approx_n_unique_x", approx_n_unique("x"))


# ------------------------------------------------------------------------------------------------------ unique values


def test_rank_is_one_more_than_the_leading_zeros() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 2000, np.uint64) >> np.arange(2000, dtype=np.uint64) % 60
    registers, ranks = register_and_rank(hashes)
    for value, register, rank in zip(hashes.tolist(), registers.tolist(), ranks.tolist()):
        bits = f"{value:064b}"
        assert register == int(bits[:14], 2)
        assert rank == (bits[14:] + "1").index("1") + 1


def test_the_estimate_has_the_stated_error_and_no_bias_at_any_size() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 10, 1000, 20_000, 50_000, 300_000):
        ratios = []
        for _ in range(20):
            hashes = rng.integers(0, 2**64, size, np.uint64)
            seen = np.zeros(REGISTERS, np.int64)
            np.maximum.at(seen, *register_and_rank(hashes))
            ratios.append(float(estimate(np.bincount(seen, minlength=RANKS).reshape(1, -1))[0]) / size - 1)
        assert max(map(abs, ratios)) < 4 * STANDARD_ERROR
        assert abs(sum(ratios)) / 20 < STANDARD_ERROR


def test_the_estimate_at_its_ends() -> None:
    nothing, full = np.zeros((1, RANKS), np.int64), np.zeros((1, RANKS), np.int64)
    nothing[0, 0] = full[0, RANKS - 2] = REGISTERS
    assert estimate(nothing).tolist() == [0.0]
    assert estimate(full)[0] > 1e18
    assert estimate(np.r_[nothing, full, nothing]).tolist() == [0.0, estimate(full)[0], 0.0]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.none() | st.text(max_size=5), max_size=60), st.lists(st.integers(0, 60), max_size=3))
def test_few_values_are_counted_exactly_for_any_cut(values: list[str | None], cuts: list[int]) -> None:
    table = pa.table({"x": pa.array(values, pa.string())})
    registers = set(register_and_rank(hash_array(table["x"].drop_null()))[0].tolist())
    present = set(values) - {None}
    if len(registers) == len(present):  # no two share a register
        assert aggregated(approx_n_unique("x"), table, cuts=[min(cut, len(values)) for cut in cuts]) == [len(present)]


UNIQUE = [
    (pa.array([1.0, math.nan, -math.nan, 0.0, -0.0, None]), 3),
    (pa.array([1, 1, 2], pa.uint8()), 2),
    (pa.array([True, False, None]), 2),
    (pa.array([b"a", b"b", b"a"]), 2),
    (pa.array([dt.date(2020, 1, 1), dt.date(2020, 1, 2), None]), 2),
    (pa.array([1, 2, 2], pa.timestamp("ns", "UTC")), 2),
    (pa.array([1, 2, 2], pa.duration("s")), 2),
    (pa.array([decimal.Decimal("1.5"), decimal.Decimal("1.50")], pa.decimal128(9, 2)), 1),
    (pa.array(["a", "b", "a"]).dictionary_encode(), 2),
    (pa.array([[1], [1, 2], [1], None, []]), 3),
    (pa.array([{"a": 1}, {"a": 2}, {"a": 1}]), 2),
    (pa.nulls(3, pa.string()), 0),
]


@pytest.mark.parametrize(("values", "count"), UNIQUE)
def test_values_of_every_type_are_counted(values: pa.Array, count: int) -> None:
    assert aggregated(approx_n_unique("x"), pa.table({"x": values}), cuts=[1]) == [count]
    assert aggregated(approx_n_unique("x"), pa.table({"x": values[:0]})) == [0]


def test_more_rows_than_are_hashed_at_once() -> None:
    size = 2_500_000
    table = pa.table({"k": np.arange(size) % 3, "x": np.arange(size) // 2})
    (found,) = aggregated(approx_n_unique("x"), table, cuts=[7])
    assert abs(found / (size / 2) - 1) < 3 * STANDARD_ERROR
    assert [found] == aggregated(approx_n_unique("x"), table.take(np.arange(size)[::-1]))
    assert (
        max(abs(part / (size / 3) - 1) for part in aggregated(approx_n_unique("x"), table, ["k"])) < 4 * STANDARD_ERROR
    )


def test_the_same_rows_give_the_same_state() -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {"t": pa.array(rng.integers(0, 10**15, 200_000)).cast(pa.timestamp("us")), "k": np.arange(200_000) % 7}
    )
    asked = [("q", approx_quantile("t", 0.5)), ("n", approx_n_unique("t"))]
    run = GroupedAggregation(["k"], asked, table.schema)
    assert run.save(partial(run, table)) == run.save(partial(run, table))
