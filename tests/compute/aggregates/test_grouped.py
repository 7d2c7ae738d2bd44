"""Grouping: keys of every type, odd names, the laws of states."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import pickle
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.aggregates import (
    approx_n_unique,
    approx_quantile,
    argmax,
    argmin,
    corr,
    count,
    count_null,
    histogram,
    maximum,
    mean,
    minimum,
    std,
    top_k,
    total,
    var,
)
from shardwise.compute.aggregates.grouped import GroupedAggregation
from shardwise.errors import InternalError, UsageError

nan = math.nan
SORTED_KEYS = [
    (pa.bool_(), [None, False, True]),
    (pa.int8(), [None, -3, 0, 5]),
    (pa.uint64(), [None, 0, 2**64 - 1]),
    (pa.int64(), [None, -(2**63), 0, 2**63 - 1]),
    (pa.float32(), [None, -math.inf, -1.5, 0.0, 2.5, math.inf, nan]),
    (pa.float64(), [None, -math.inf, -1.5, 0.0, 2.5, math.inf, nan]),
    (pa.decimal128(20, 3), [None, Decimal("-1.500"), Decimal("0.000"), Decimal("2.125")]),
    (pa.string(), [None, "", "A", "a", "é", "売上", "😀"]),
    (pa.large_string(), [None, "", "b"]),
    (pa.string_view(), [None, "", "b", "quite a long one, beyond twelve bytes"]),
    (pa.binary(), [None, b"", b"\x00", b"\x00\xff", b"\xff"]),
    (pa.binary(2), [None, b"\x00\x01", b"ab"]),
    (pa.date32(), [None, dt.date(1900, 1, 1), dt.date(2024, 2, 29)]),
    (pa.date64(), [None, dt.date(1900, 1, 1), dt.date(2024, 2, 29)]),
    (pa.time32("s"), [None, dt.time(0), dt.time(23, 59, 59)]),
    (pa.time64("us"), [None, dt.time(0), dt.time(23, 59, 59, 999_999)]),
    (pa.duration("s"), [None, dt.timedelta(-1), dt.timedelta(0), dt.timedelta(seconds=3)]),
    (pa.duration("us"), [None, dt.timedelta(-1), dt.timedelta(0), dt.timedelta(microseconds=3)]),
    (pa.timestamp("s"), [None, dt.datetime(1900, 1, 1), dt.datetime(2024, 2, 29, 1, 2, 3)]),
    (pa.timestamp("us"), [None, dt.datetime(1900, 1, 1), dt.datetime(2024, 2, 29, 1, 2, 3, 4)]),
    (pa.dictionary(pa.int8(), pa.string()), [None, "a", "b"]),
    (pa.null(), [None]),
]


def every(x: str = "x", by: str = "y") -> dict:
    return {
        "n": count(), "nx": count(x), "nulls": count_null(x), "s": total(x), "m": mean(x), "v": var(x), "d": std(x, 0),
        "lo": minimum(x), "hi": maximum(x), "am": argmin(by, x), "ax": argmax(x, by), "h": histogram(x, 3, (-1, 1)),
        "t": top_k(x, 3), "tb": top_k(x, 2, by), "r": corr(x, by),
        "q": approx_quantile(x, 0.5), "u": approx_n_unique(x),
    }  # fmt: skip


@pytest.mark.parametrize("kind, values", SORTED_KEYS, ids=[str(kind) for kind, _ in SORTED_KEYS])
def test_keys_of_every_type(harness, kind, values) -> None:
    rows = [v for i, v in enumerate(values) for _ in range(i + 1)][::-1]
    table = pa.table({"k": pa.array(rows, kind), "x": [1.5] * len(rows)})
    result = harness.run(table, ["k"], [1, len(rows) // 2], shuffle=3, n=count(), s=total("x"))
    expected = kind.value_type if pa.types.is_dictionary(kind) else kind
    assert result.schema.field("k").type == expected
    assert repr(result["k"].to_pylist()) == repr(values)
    assert result["n"].to_pylist() == [i + 1 for i in range(len(values))]


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_keep_every_tick(harness, unit, zone) -> None:
    kind = pa.timestamp(unit, zone)
    ticks = [1_700_000_000_000_000_000 // 10**9 + 1, -5, 0, 1]
    table = pa.table({"k": pa.array(ticks, pa.int64()).cast(kind)})
    result = harness.run(table, ["k"], [2], lo=minimum("k"), top=top_k("k", 1), at=argmax("k", "k"))
    assert result["k"].cast(pa.int64()).to_pylist() == sorted(ticks)
    assert result["lo"].equals(result["k"]) and result["at"].equals(result["k"])
    assert pa.types.is_list(result.schema.field("top").type) and result.schema.field("top").type.value_type == kind


def test_one_nan_and_one_zero(harness) -> None:
    other_nan = np.frombuffer(np.uint64(0xFFF8000000000123).tobytes(), np.float64)[0]
    table = pa.table({"k": pa.array([nan, other_nan, -nan, 0.0, -0.0, None]), "x": [1, 2, 3, 4, 5, 6]})
    result = harness.run(table, ["k"], [1, 2, 4], s=total("x"))
    assert repr(result.to_pylist()) == repr([{"k": None, "s": 6}, {"k": 0.0, "s": 9}, {"k": nan, "s": 6}])


def test_many_keys(harness) -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "a": rng.integers(0, 3, 500),
            "b": rng.choice(["x", "y"], 500),
            "c": rng.random(500) < 0.5,
            "x": rng.random(500),
        }
    )
    result = harness.run(table, ["b", "c", "a"], [100, 101], n=count(), s=total("x"))
    assert result.num_rows == 12 and sum(result["n"].to_pylist()) == 500
    found = [tuple(row[k] for k in "bca") for row in result.to_pylist()]
    assert found == sorted(found)


@pytest.mark.parametrize("name", sorted(every()))
def test_each_alone(harness, name) -> None:
    """What is kept beside the others must not be missed where there are none."""
    table = pa.table({"k": [1, None, 1, 2], "x": [0.5, -0.25, None, 0.0], "y": [3, 2, 1, 0]})
    for keys in ([], ["k"]):
        whole = harness.run(table, keys, **{name: every()[name]})
        cut = harness.run(table, keys, [0, 1, 3], shuffle=5, **{name: every()[name]})
        assert repr(whole.to_pylist()) == repr(cut.to_pylist())
        assert whole.schema.metadata == cut.schema.metadata


def test_only_keys(harness) -> None:
    result = harness.run(pa.table({"k": [2, 1, 2, None]}), ["k"], [1])
    assert result.to_pylist() == [{"k": None}, {"k": 1}, {"k": 2}]


NAMES = [
    "groups", "__group", "__k0", "k0", "a0_n", "__a0_0_0", "__a", "x_a", 'say "hi"', "two words", "売上", "select",
    "rows", "it's", "a;b", "__guard0", "a0_s__h5000", "a0_w500", "%s", "x\\y", "line\nbreak", "__states", "__rows",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_name(harness, name) -> None:
    table = pa.table({name: [1.5, 2.5, 0.1], "key": ["b", "a", "b"], "other": [1, 2, 3]})
    plain = table.rename_columns(["plain", "key", "other"])

    def asked(x: str) -> dict:
        return {
            "m": mean(x), "v": var(x), "n": count(x), "nulls": count_null(x), "lo": minimum(x),
            "at": argmin("other", x), "top": top_k(x, 2, "other"), "h": histogram(x, [0, 2, 3]),
            "q": approx_quantile(x, 0.5), "u": approx_n_unique(x), "r": corr(x, "other"),
        }  # fmt: skip

    for keys in (["key"], []):
        found = harness.run(table, keys, [1], **asked(name))
        assert repr(found.to_pylist()) == repr(harness.run(plain, keys, [1], **asked("plain")).to_pylist())
    by_name = harness.run(table, [name], [1], n=count()).rename_columns(["plain", "n"])
    assert by_name.to_pylist() == harness.run(plain, ["plain"], [1], n=count()).to_pylist()


def test_any_name_for_results(harness) -> None:
    table = pa.table({"k": [1, 1], "x": [1.0, 2.0]})
    named = {name: total("x") for name in NAMES}
    result = harness.run(table, ["k"], [1], **named)
    assert result.column_names == ["k", *named]


rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 2),
        st.none() | st.floats() | st.sampled_from([0.0, -0.0, 1.0, nan]),
        st.none() | st.integers(-2, 2).map(float),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=12)
@given(st.data(), rows, st.sampled_from([[], ["k"]]))
def test_laws_of_states(harness, data, drawn, keys) -> None:
    """Any cut, any order and grouping of merges, any number of threads: the same bytes of state and result."""
    columns = list(zip(*drawn)) if drawn else [(), (), ()]
    kinds = [pa.int64(), pa.float64(), pa.float64()]
    table = pa.table({name: pa.array(column, kind) for name, column, kind in zip("kxy", columns, kinds)})
    exact = {name: a for name, a in every().items() if name not in "qu"}
    harness.threads(1)
    whole = harness.run(table, keys, **exact)
    harness.threads(data.draw(st.sampled_from([2, 4])))
    cuts = data.draw(st.lists(st.integers(0, len(drawn)), max_size=4))
    cut = harness.run(table, keys, cuts, shuffle=data.draw(st.integers(0, 1000)), **exact)
    assert whole.schema.metadata == cut.schema.metadata
    assert repr(whole.to_pylist()) == repr(cut.to_pylist())
    assert whole.num_rows == (len({row[0] for row in drawn}) if keys else 1)


def test_state_is_the_same_bytes_over_all_cuts(harness) -> None:
    rng = np.random.default_rng(7)
    table = pa.table(
        {
            "k": rng.integers(0, 9, 5000),
            "x": pa.array(rng.standard_normal(5000), mask=rng.random(5000) < 0.1),
            "y": rng.random(5000),
        }
    )
    found = set()
    for threads, cuts in itertools.product((1, 2, 4), ([], [1], [2500, 2500], [13, 1000, 4000])):
        harness.threads(threads)
        found.add(harness.run(table, ["k"], cuts, shuffle=threads, **every()).schema.metadata[b"state"])
    assert len(found) == 1


@pytest.mark.parametrize("keys", [[], ["k"], ["k", "x"]])
def test_no_rows(harness, keys) -> None:
    schema = pa.schema({"k": pa.string(), "x": pa.float64(), "y": pa.int32()})
    grouped = GroupedAggregation(keys, list(every().items()), schema)
    for state in (grouped.empty(), grouped.merge(harness.con, []), grouped.merge(harness.con, [grouped.empty()] * 3)):
        result = grouped.finish(harness.con, grouped.load(grouped.save(state)))
        assert result.schema.equals(grouped.result_schema)
        assert result.num_rows == (0 if keys else 1)
    cut = harness.run(schema.empty_table(), keys, [0], **every())
    assert cut.to_pylist() == result.to_pylist()
    if not keys:
        row = result.to_pylist()[0]
        assert (row["n"], row["nx"], row["nulls"], row["t"], row["u"]) == (0, 0, 0, [], 0)
        assert all(row[name] is None for name in ("s", "m", "v", "d", "lo", "hi", "am", "ax", "r", "q"))


def test_pairs_with_nulls_beside_what_is_not_finite(harness) -> None:
    """A pair with a null does not count, so neither does its infinity."""
    table = pa.table({"x": [math.inf, 1.0, 2.0], "y": pa.array([None, 2.0, 4.0], pa.float64())})
    for rows, expected in ((1, None), (3, 1.0)):
        whole = harness.run(table.slice(0, rows), [], r=corr("x", "y"))
        assert whole["r"].to_pylist() == [expected]
        cut = harness.run(table.slice(0, rows), [], [0, 1], shuffle=1, r=corr("x", "y"))
        assert whole.schema.metadata == cut.schema.metadata


def test_empty_is_the_identity(harness) -> None:
    table = pa.table({"k": [1, 2], "x": [1.0, None], "y": [3, 4]})
    grouped = GroupedAggregation(["k"], list(every().items()), table.schema)
    state = harness.states(grouped, table, [], lambda c: None)[0]
    for states in ([grouped.empty(), state], [state, grouped.empty()], [state]):
        assert grouped.save(grouped.merge(harness.con, states)) == grouped.save(state)


def test_many_groups_agree_with_duckdb(harness) -> None:
    rng = np.random.default_rng(2)
    table = pa.table({"k": rng.integers(0, 30_000, 100_000), "x": rng.standard_normal(100_000)})
    ours = harness.run(table, ["k"], [50_000], m=mean("x"), n=count(), lo=minimum("x"))
    harness.con.register("rows_of_test", table)
    theirs = harness.con.sql(
        "SELECT k, avg(x) m, count(*) n, min(x) lo FROM rows_of_test GROUP BY k ORDER BY k"
    ).to_arrow_table()
    assert ours.drop(["m"]).equals(theirs.drop(["m"]))
    assert np.allclose(ours["m"].to_numpy(), theirs["m"].to_numpy(), rtol=1e-12, atol=1e-15)


def test_what_is_wrong_is_found_before_work() -> None:
    schema = pa.schema({"k": pa.int64(), "x": pa.float64(), "l": pa.list_(pa.int64())})
    wrong = [
        (["z"], [("n", count())], "no column 'z'"),
        (["k"], [("k", count())], "two result columns"),
        (["k", "k"], [("n", count())], "two result columns"),
        ([], [], "nothing to aggregate"),
        ([], [("n", count(""))], "name is empty"),
        (["l"], [("n", count())], "cannot be grouped by"),
        ([], [("m", mean("z"))], "'z', which does not exist"),
        ([], [("m", maximum("l"))], "of type list"),
    ]
    for keys, aggregates, message in wrong:
        with pytest.raises(UsageError, match=message):
            GroupedAggregation(keys, aggregates, schema)


def test_what_others_ask_of_it() -> None:
    schema = pa.schema({"z": pa.int64(), "k": pa.dictionary(pa.int8(), pa.string()), "x": pa.float64(), "u": pa.int8()})
    grouped = GroupedAggregation(["k"], [("m", mean("x")), ("n", count())], schema)
    assert grouped.columns == ("k", "x") and not grouped.needs_position
    assert grouped.result_schema == pa.schema({"k": pa.string(), "m": pa.float64(), "n": pa.int64()})
    assert GroupedAggregation([], [("a", argmin("x", "z"))], schema).needs_position
    assert pickle.loads(pickle.dumps(grouped)) == grouped
    with pytest.raises(InternalError):
        grouped.load(b"something else")
