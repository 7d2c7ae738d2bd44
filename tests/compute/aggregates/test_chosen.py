"""Least and greatest values, values of chosen rows, histograms, counts."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.aggregates import (
    argmax,
    argmin,
    count,
    count_null,
    histogram,
    maximum,
    minimum,
    top_k,
)
from shardwise.errors import UsageError

nan = math.nan
odd_floats = st.sampled_from([0.0, -0.0, nan, -nan, math.inf, -math.inf, 1.0, -1.0]) | st.floats()


def rank(value: float) -> tuple:
    """Order of floats: -0.0 below 0.0, NaN above all."""
    return (math.isnan(value), 0.0 if math.isnan(value) else value, math.copysign(1, value) if value == 0 else 0)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.lists(st.none() | odd_floats, max_size=12), st.sampled_from([pa.float32(), pa.float64()]))
def test_extremes_of_floats(harness, data, values, kind) -> None:
    column = pa.array(
        np.array([nan if v is None else v for v in values], "f8"), mask=np.array([v is None for v in values], bool)
    )
    with np.errstate(over="ignore"):
        column = column.cast(kind, safe=False)
    own = [v for v in column.to_pylist() if v is not None]
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=3))
    result = harness.run(pa.table({"x": column}), [], cuts, shuffle=1, lo=minimum("x"), hi=maximum("x"))
    expected = {"lo": min(own, key=rank), "hi": max(own, key=rank)} if own else {"lo": None, "hi": None}
    assert repr(result.to_pylist()[0]) == repr(expected)


def test_statistics_spare_the_look_for_zeros(harness) -> None:
    table = pa.table({"x": [2.0, 1.0, nan]})
    found = harness.run(table, [], [1], lambda c: (1.0, 2.0), lo=minimum("x"), hi=maximum("x")).to_pylist()[0]
    assert found["lo"] == 1.0 and math.isnan(found["hi"])
    zeros = pa.table({"x": [0.0, -0.0]})
    for bounds in (lambda c: (0.0, 0.0), lambda c: (-0.0, 0.0), lambda c: None):
        assert repr(harness.run(zeros, [], [1], bounds, lo=minimum("x"), hi=maximum("x")).to_pylist()) == (
            "[{'lo': -0.0, 'hi': 0.0}]"
        )


ORDERED = [
    (pa.bool_(), [False, True]),
    (pa.int64(), [-(2**63), 2**63 - 1]),
    (pa.uint64(), [1, 2**64 - 1]),
    (pa.decimal128(38, 38), [Decimal("-0." + "9" * 38), Decimal("0." + "9" * 38)]),
    (pa.string(), ["", "Z", "a", "z", "ß", "日本"]),
    (pa.large_string(), ["a", "b"]),
    (pa.string_view(), ["a", "twelve bytes and more"]),
    (pa.dictionary(pa.int32(), pa.string()), ["b", "c"]),
    (pa.binary(), [b"", b"\x00", b"\x7f", b"\x80\x00", b"\xff"]),
    (pa.binary(3), [b"\x00ab", b"\xffab"]),
    (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    (pa.time32("ms"), [dt.time(0), dt.time(23)]),
    (pa.time64("ns"), [dt.time(0), dt.time(23)]),
    (
        pa.timestamp("us", "Europe/Berlin"),
        [dt.datetime(1970, 1, 2, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)],
    ),
    (pa.duration("ms"), [dt.timedelta(-5), dt.timedelta(0), dt.timedelta(9)]),
]


@pytest.mark.parametrize("kind, values", ORDERED, ids=[str(kind) for kind, _ in ORDERED])
def test_every_type_comes_back_as_it_was(harness, kind, values) -> None:
    rows = [*values, None, *values[::-1]]
    table = pa.table({"x": pa.array(rows, kind), "n": range(len(rows))})
    result = harness.run(
        table, [], [1, len(values)], shuffle=2,
        lo=minimum("x"), hi=maximum("x"), at_lo=argmin("n", "x"), at_hi=argmax("n", "x"),
        first=argmin("x", "n"), top=top_k("x", 2), top_by=top_k("x", 3, "n"), n=count("x"), nulls=count_null("x"),
    )  # fmt: skip
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    for name in ("lo", "hi", "first"):
        assert result.schema.field(name).type == plain
    assert result.schema.field("top").type.value_type == plain
    row = result.to_pylist()[0]
    last = len(values) - 1
    assert (row["lo"], row["hi"], row["first"]) == (values[0], values[-1], values[0])
    assert (row["at_lo"], row["at_hi"]) == (0, last)
    assert row["top"] == [values[-1]] * 2
    assert row["top_by"] == rows[::-1][:3]
    assert (row["n"], row["nulls"]) == (2 * len(values), 1)


rows_strategy = st.lists(
    st.tuples(
        st.integers(0, 1), st.none() | st.integers(0, 50), st.none() | st.sampled_from([-1.0, -0.0, 0.0, 1.0, nan])
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=40)
@given(st.data(), rows_strategy, st.integers(1, 6))
def test_ties_go_to_the_lowest_position(harness, data, drawn, k) -> None:
    columns = list(zip(*drawn)) if drawn else [(), (), ()]
    kinds = [pa.int64(), pa.int64(), pa.float64()]
    table = pa.table({n: pa.array(c, kind) for n, c, kind in zip(["k", "v", "by"], columns, kinds)})
    cuts = data.draw(st.lists(st.integers(0, len(drawn)), max_size=4))
    asked = {"a": argmin("v", "by"), "b": argmax("v", "by"), "t": top_k("v", k, "by"), "own": top_k("by", k)}
    result = harness.run(table, ["k"], cuts, shuffle=data.draw(st.integers(0, 99)), **asked)
    for row in result.to_pylist():
        own = [(v, by + 0.0) for group, v, by in drawn if group == row["k"] and by is not None]
        up = sorted(own, key=lambda pair: rank(pair[1]))
        down = sorted(own, key=lambda pair: rank(-pair[1] if not math.isnan(pair[1]) else -math.inf))
        down.sort(key=lambda pair: not math.isnan(pair[1]))
        assert row["a"] == (up[0][0] if own else None)
        assert row["b"] == (down[0][0] if own else None)
        assert row["t"] == [v for v, _ in down[:k]]
        assert [0.0 if v == 0 else v for v in map(_shown, row["own"])] == [_shown(by) for _, by in down[:k]]


def _shown(value: float) -> object:
    return "nan" if math.isnan(value) else value


edges_strategy = st.lists(st.floats(-10, 10), min_size=2, max_size=8, unique_by=lambda v: v + 0.0).map(sorted)


@settings(deadline=None, max_examples=40)
@given(st.data(), edges_strategy, st.lists(st.none() | odd_floats | st.floats(-12, 12), max_size=30))
def test_histogram(harness, data, edges, values) -> None:
    values = values + edges
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=3))
    found = harness.one(pa.table({"x": pa.array(values, pa.float64())}), histogram("x", edges), cuts=cuts)
    own = [v for v in values if v is not None and not math.isnan(v)]
    inside = [v for v in own if edges[0] <= v <= edges[-1]]
    assert [row["count"] for row in found["bins"]] == np.histogram(inside, edges)[0].tolist()
    assert [row["lo"] for row in found["bins"]] + [found["bins"][-1]["hi"]] == edges
    assert found["below"] == sum(v < edges[0] for v in own)
    assert found["above"] == sum(v > edges[-1] for v in own)
    assert found["nan"] == sum(v is not None and math.isnan(v) for v in values)


def test_histogram_by_group_and_of_other_types(harness) -> None:
    table = pa.table(
        {"k": ["a", "b", "a", None], "x": pa.array([1, 5, 9, 2], pa.int32()), "d": pa.array([Decimal(1)] * 4)}
    )
    result = harness.run(table, ["k"], [1, 2], h=histogram("x", 2, range=(0, 10)), d=histogram("d", [0, 2]))
    counts = {row["k"]: [b["count"] for b in row["h"]["bins"]] for row in result.to_pylist()}
    assert counts == {None: [1, 0], "a": [1, 1], "b": [0, 1]}
    assert [row["d"]["bins"][0]["count"] for row in result.to_pylist()] == [1, 2, 1]
    many = harness.one(pa.table({"x": np.arange(1000.0)}), histogram("x", 1000, (0, 999)))
    assert [row["count"] for row in many["bins"]] == [1] * 999 + [1] or sum(r["count"] for r in many["bins"]) == 1000


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: histogram("x", 3), "needs a range"),
        (lambda: histogram("x", 0, (0, 1)), "no bins"),
        (lambda: histogram("x", 20_000, (0, 1)), "no bins"),
        (lambda: histogram("x", [1, 1]), "no bins"),
        (lambda: histogram("x", [1]), "no bins"),
        (lambda: histogram("x", [0, math.inf]), "a bound is inf"),
        (lambda: histogram("x", "ab"), "no bins"),
        (lambda: histogram("x", [0, 1], (0, 1)), "exclude each other"),
        (lambda: histogram("x", 2, (1, 0)), "no bins"),
        (lambda: top_k("x", 0), "k is 0"),
        (lambda: top_k("x", 2.0), "k is 2.0"),
        (lambda: count(3), "not a column's name"),
        (lambda: argmin("x", None), "by is None"),
    ],
)
def test_wrong_arguments(make, message) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    "aggregate, kind",
    [
        (minimum("x"), pa.struct({"a": pa.int8()})),
        (maximum("x"), pa.duration("ns")),
        (argmin("x", "x"), pa.list_(pa.int8())),
        (top_k("x", 1), pa.map_(pa.string(), pa.string())),
        (histogram("x", [0, 1]), pa.string()),
        (histogram("x", [0, 1]), pa.bool_()),
    ],
)
def test_types_without_order(harness, aggregate, kind) -> None:
    with pytest.raises(UsageError, match="of column 'x' of type"):
        harness.one(pa.table({"x": pa.nulls(1, kind)}), aggregate)


def test_counts_take_every_type(harness) -> None:
    for kind in (pa.list_(pa.int8()), pa.struct({"a": pa.int8()}), pa.null(), pa.duration("ns"), pa.string()):
        table = pa.table({"x": pa.nulls(3, kind)})
        assert harness.run(table, [], [1], a=count("x"), b=count_null("x"), c=count()).to_pylist() == [
            {"a": 0, "b": 3, "c": 3}
        ]
