"""Integers, booleans, decimals and durations: exact, never wrapped."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.aggregates import corr, cov, mean, std, total, var
from shardwise.compute.exact.rounding import root
from shardwise.errors import InputError, UsageError

RANGES = {
    pa.int8(): (-(2**7), 2**7 - 1),
    pa.uint8(): (0, 2**8 - 1),
    pa.int16(): (-(2**15), 2**15 - 1),
    pa.uint16(): (0, 2**16 - 1),
    pa.int32(): (-(2**31), 2**31 - 1),
    pa.uint32(): (0, 2**32 - 1),
    pa.int64(): (-(2**63), 2**63 - 1),
    pa.uint64(): (0, 2**64 - 1),
}
kinds = st.sampled_from(list(RANGES))


def values_of(data: st.DataObject, kind: pa.DataType) -> list[int | None]:
    low, high = RANGES[kind]
    return data.draw(st.lists(st.none() | st.integers(low, high) | st.sampled_from([low, high]), max_size=20))


def variance(values: list, ddof: int = 1) -> Fraction:
    n, s = len(values), sum(values)
    return Fraction(n * sum(v * v for v in values) - s * s) / (n * (n - ddof))


@settings(deadline=None, max_examples=60)
@given(st.data(), kinds)
def test_integers(harness, data, kind) -> None:
    drawn = values_of(data, kind)
    values = [v for v in drawn if v is not None]
    table = pa.table({"x": pa.array(drawn, kind)})
    cuts = data.draw(st.lists(st.integers(0, len(drawn)), max_size=3))
    result = harness.run(table, [], cuts, shuffle=1, m=mean("x"), v=var("x"), s=std("x"), v0=var("x", 0)).to_pylist()[0]
    assert result["m"] == (sum(values) / len(values) if values else None)
    assert result["v0"] == (_float(variance(values, 0)) if values else None)
    if len(values) > 1:
        truth = variance(values)
        assert result["v"] == _float(truth)
        assert result["s"] == root(truth.numerator, truth.denominator)
    else:
        assert result["v"] is result["s"] is None
    if -(2**63) <= sum(values) < 2**63:
        assert harness.one(table, total("x"), cuts=cuts) == (sum(values) if values else None)
    else:
        with pytest.raises(InputError, match=f"'x' is {sum(values)}, which does not fit int64"):
            harness.one(table, total("x"), cuts=cuts)


def _float(value: Fraction) -> float:
    return value.numerator / value.denominator


@settings(deadline=None, max_examples=25)
@given(st.data(), kinds, kinds)
def test_covariance_of_integers(harness, data, a, b) -> None:
    xs, ys = values_of(data, a), values_of(data, b)
    rows = min(len(xs), len(ys))
    table = pa.table({"x": pa.array(xs[:rows], a), "y": pa.array(ys[:rows], b)})
    both = [(x, y) for x, y in zip(xs, ys) if x is not None and y is not None]
    found = harness.run(table, [], [rows // 2], c=cov("x", "y"), r=corr("x", "y")).to_pylist()[0]
    n = len(both)
    if n < 2:
        assert found["c"] is None
        return
    spread = n * sum(x * y for x, y in both) - sum(x for x, _ in both) * sum(y for _, y in both)
    assert found["c"] == spread / (n * (n - 1))


@pytest.mark.parametrize("kind, extreme", [(k, v) for k, ends in RANGES.items() for v in ends])
def test_extremes_of_every_width(harness, kind, extreme) -> None:
    table = pa.table({"x": pa.array([extreme] * 1000 + [0], kind), "y": pa.array([extreme] * 1000 + [1], kind)})
    values = [extreme] * 1000 + [0]
    found = harness.run(table, [], [400], m=mean("x"), v=var("x"), c=cov("x", "x")).to_pylist()[0]
    assert found["m"] == sum(values) / 1001
    assert found["v"] == found["c"] == _float(variance(values))


def test_sums_that_fit_only_in_between(harness) -> None:
    table = pa.table({"x": pa.array([2**63 - 1] * 3 + [-(2**63)] * 3 + [10], pa.int64())})
    assert harness.one(table, total("x"), cuts=[2, 4]) == 7
    table = pa.table({"k": [1, 2, 2], "x": pa.array([1, 2**63 - 1, 1], pa.int64())})
    with pytest.raises(InputError, match="9223372036854775808") as caught:
        harness.run(table, ["k"], s=total("x"))
    assert "mean" in caught.value.fix


def test_booleans(harness) -> None:
    table = pa.table({"x": [True, None, False, True]})
    assert harness.run(table, [], [1, 2], s=total("x"), m=mean("x"), v=var("x")).to_pylist() == [
        {"s": 2, "m": 2 / 3, "v": 1 / 3}
    ]


@st.composite
def decimals(draw: st.DrawFn) -> tuple[pa.DataType, list[Decimal | None]]:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    unscaled = draw(st.lists(st.none() | st.integers(-(10**precision) + 1, 10**precision - 1), max_size=12))
    kind = pa.decimal128(precision, scale)
    return kind, [None if v is None else Decimal(v).scaleb(-scale, _wide()) for v in unscaled]


def _wide():
    import decimal

    return decimal.Context(prec=100)


@settings(deadline=None, max_examples=60)
@given(decimals())
def test_decimals(harness, drawn) -> None:
    kind, values = drawn
    table = pa.table({"x": pa.array(values, kind)})
    own = [Fraction(v) for v in values if v is not None]
    cuts = [len(values) // 2]
    found = harness.run(table, [], cuts, m=mean("x"), v=var("x")).to_pylist()[0]
    assert found["m"] == (_float(sum(own) / len(own)) if own else None)
    assert found["v"] == (_float(variance(own)) if len(own) > 1 else None)
    unscaled = sum(own) * 10**kind.scale
    if abs(unscaled) < 10**38:
        result = harness.run(table, [], cuts, s=total("x"))
        assert result.schema.field("s").type == pa.decimal128(38, kind.scale)
        summed = result["s"][0].as_py()
        assert (summed is None) == (not own) and (not own or Fraction(summed) == sum(own))
    else:
        with pytest.raises(InputError, match="does not fit decimal128"):
            harness.one(table, total("x"), cuts=cuts)


@pytest.mark.parametrize("kind", [getattr(pa, "decimal32", None), getattr(pa, "decimal64", None)])
def test_small_decimals(harness, kind) -> None:
    if kind is None:
        pytest.skip("this PyArrow has no small decimals")
    table = pa.table({"x": pa.array([Decimal("1.50"), Decimal("-0.25")], kind(5, 2))})
    assert harness.one(table, total("x")) == Decimal("1.25")


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_durations(harness, unit) -> None:
    kind = pa.duration(unit)
    table = pa.table({"x": pa.array([3, None, 4, -2], pa.int64()).cast(kind)})
    result = harness.run(table, [], [1, 3], s=total("x"), m=mean("x"))
    assert result.schema.types == [kind, kind]
    assert [result[name].cast(pa.int64())[0].as_py() for name in "sm"] == [5, 2]  # 5 / 3, to the nearest
    half = pa.table({"x": pa.array([1, 2], pa.int64()).cast(kind)})
    assert harness.run(half, [], m=mean("x"))["m"].cast(pa.int64())[0].as_py() == 2  # 1.5, to even


def test_durations_that_do_not_fit(harness) -> None:
    table = pa.table({"x": pa.array([2**62, 2**62], pa.int64()).cast(pa.duration("us"))})
    with pytest.raises(InputError, match=str(2**63)):
        harness.one(table, total("x"))


@pytest.mark.parametrize(
    "kind, values, expected, result",
    [
        (pa.date32(), [dt.date(2020, 1, 1), dt.date(2020, 1, 2)], dt.datetime(2020, 1, 1, 12), pa.timestamp("us")),
        (pa.date64(), [dt.date(1960, 1, 1), dt.date(1960, 1, 2)], dt.datetime(1960, 1, 1, 12), pa.timestamp("us")),
        (pa.time32("s"), [dt.time(1), dt.time(2)], dt.time(1, 30), pa.time32("s")),
        (pa.time32("ms"), [dt.time(1), dt.time(2)], dt.time(1, 30), pa.time32("ms")),
        (pa.time64("us"), [dt.time(1), dt.time(2)], dt.time(1, 30), pa.time64("us")),
        (pa.time64("ns"), [dt.time(1), dt.time(2)], dt.time(1, 30), pa.time64("ns")),
    ],
)
def test_mean_of_dates_and_times(harness, kind, values, expected, result) -> None:
    found = harness.run(pa.table({"x": pa.array([*values, None], kind)}), [], [1], m=mean("x"))
    assert found.schema.field("m").type == result
    assert found["m"].cast(pa.int32() if result.bit_width == 32 else pa.int64()) == pa.chunked_array(
        [pa.array([expected], result).cast(pa.int32() if result.bit_width == 32 else pa.int64())]
    )


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_mean_of_timestamps(harness, unit, zone) -> None:
    kind = pa.timestamp(unit, zone)
    table = pa.table({"x": pa.array([-7, 2, 3], pa.int64()).cast(kind)})
    found = harness.run(table, [], [1], m=mean("x"))
    assert found.schema.field("m").type == kind
    assert found["m"].cast(pa.int64())[0].as_py() == -1


@pytest.mark.parametrize(
    "aggregate, kind",
    [
        (total, pa.string()),
        (total, pa.date32()),
        (total, pa.timestamp("us")),
        (total, pa.duration("ns")),
        (mean, pa.binary()),
        (mean, pa.duration("ns")),
        (mean, pa.list_(pa.int64())),
        (total, pa.null()),
        (total, pa.float16()),
        (total, pa.decimal256(50, 2)),
        (var, pa.duration("us")),
        (std, pa.string()),
    ],
)
def test_types_that_cannot_be_added(harness, aggregate, kind) -> None:
    table = pa.table({"odd one": pa.nulls(1, kind)})
    with pytest.raises(UsageError, match="'odd one' of type") as caught:
        harness.one(table, aggregate("odd one"))
    assert "takes" in caught.value.fix
