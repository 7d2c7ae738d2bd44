"""The first difference of two results: found where it is, to the last bit, and nowhere else."""

from __future__ import annotations

import datetime
import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.first_difference import STEP, difference, same

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.decimals(allow_nan=False),
)
ITEMS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(st.lists(ITEMS, max_size=6))
@settings(deadline=None)
def test_what_is_the_same_has_no_difference(items: list[Any]) -> None:
    import copy

    assert difference(items, copy.deepcopy(items)) is None


@given(st.lists(st.floats(), min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_the_first_float_that_differs_in_any_bit_is_found_in_all_kinds_of_results(
    floats: list[float], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(floats) - 1))
    bits = struct.unpack("<Q", struct.pack("<d", floats[place]))[0] ^ (1 << data.draw(st.integers(0, 63)))
    (changed,) = struct.unpack("<d", struct.pack("<Q", bits))
    if math.isnan(changed) and math.isnan(floats[place]):
        return  # there is one NaN
    other = [*floats[:place], changed, *floats[place + 1 :]]
    for make in (list, lambda v: pa.table({"x": v}), lambda v: np.array(v), lambda v: np.array([v, v]).T):
        found = difference(make(floats), make(other))
        assert found is not None
        assert (found.what, found.row) == ("value", place)
        assert found.first == repr(floats[place])
        assert found.second == repr(changed)


@pytest.mark.parametrize(
    ("kind", "one", "two", "said"),
    [
        (pa.float64(), 1.0, math.nextafter(1.0, 2), "1 unit in the last place (relative 2.2e-16)"),
        (pa.float64(), 0.0, -0.0, "the sign of zero"),
        (pa.float32(), 1.0, 1.0 + 2**-22, "2 units in the last place (relative 2.4e-07)"),
        (pa.float64(), -1.0, 1.0, "relative 2.0e+00"),
        (pa.float64(), 5e-324, -5e-324, "2 units in the last place (relative 2.0e+00)"),
    ],
)
def test_how_far_apart_floats_are_is_said(kind: Any, one: float, two: float, said: str) -> None:
    found = difference(pa.table({"x": pa.array([one], kind)}), pa.table({"x": pa.array([two], kind)}))
    assert found is not None
    assert found.size == said


def test_only_what_rounding_may_do_is_called_rounding() -> None:
    near = difference([1.0], [1.0 + 1e-12])
    far = difference([1.0], [1.0 + 1e-6])
    assert near is not None and near.rounding
    assert far is not None and not far.rounding


def test_rows_are_compared_across_chunks_and_beyond_the_first_piece() -> None:
    count = STEP + 17
    values = np.arange(count, dtype=float)
    one = pa.table({"a": list(range(count)), "x": pa.chunked_array([values[:5], values[5:]])})
    changed = values.copy()
    changed[STEP + 3] += 0.5
    two = pa.table({"a": list(range(count)), "x": pa.chunked_array([changed[: STEP + 1], changed[STEP + 1 :]])})
    found = difference(one, two)
    assert found is not None
    assert (found.row, found.column, found.first, found.second) == (STEP + 3, "x", "8195.0", "8195.5")


def test_of_two_columns_the_one_whose_row_comes_first_is_told() -> None:
    one = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    two = pa.table({"a": [1, 2, 4], "b": ["x", "Y", "z"]})
    assert str(difference(one, two)) == "row 1, column 'b': 'y', then 'Y'"


@pytest.mark.parametrize(
    ("one", "two", "what"),
    [
        (pa.table({"a": [1]}), pa.table({"b": [1]}), "columns"),
        (pa.table({"a": [1]}), pa.table({"a": [1.0]}), "type"),
        (pa.table({"a": [1]}), pa.table({"a": [1, 2]}), "rows"),
        (pa.table({"a": [1]}), np.array([1]), "kind"),
        (np.array([1]), np.array([1.0]), "type"),
        (np.zeros((2, 3)), np.zeros((2, 2)), "type"),
        (np.zeros((2, 3)), np.zeros((1, 3)), "rows"),
        ([1], [True], "value"),
        ([1], [1, 2], "rows"),
        ([{"a": 1}], [{"b": 1}], "value"),
        (pa.table({"a": [[1.0, 2.0]]}), pa.table({"a": [[1.0, -2.0]]}), "value"),
        (pa.table({"a": [{"b": 0.0}]}), pa.table({"a": [{"b": -0.0}]}), "value"),
        (pa.table({"a": [None, 1.0]}), pa.table({"a": [0.0, 1.0]}), "value"),
        (np.array(["a", "b"]), np.array(["a", "c"]), "value"),
        (np.array([[1, 2]], np.int8), np.array([[1, 3]], np.int8), "value"),
        (np.array([1 + 2j]), np.array([1 - 2j]), "value"),
        (np.array(["2020-01-01"], "M8[D]"), np.array(["2020-01-02"], "M8[D]"), "value"),
    ],
)
def test_every_kind_of_difference_is_told(one: Any, two: Any, what: str) -> None:
    found = difference(one, two)
    assert found is not None
    assert found.what == what
    assert str(found)
    assert difference(one, one) is None
    assert difference(two, two) is None


def test_what_lies_under_a_null_does_not_count() -> None:
    def hiding(value: float) -> pa.Table:
        return pa.table({"x": pa.array(np.array([value, 1.0]), mask=np.array([True, False]))})

    assert difference(hiding(3.0), hiding(4.0)) is None


def test_objects_are_compared_by_what_is_in_them() -> None:
    class Thing:
        def __init__(self, inside: int) -> None:
            self.inside = inside

    assert same(Thing(1), Thing(1))
    assert not same(Thing(1), Thing(2))
    assert same({1, 2}, {2, 1})
    assert same(datetime.date(2020, 1, 1), datetime.date(2020, 1, 1))
    assert same(np.float32("nan"), np.float32("nan"))
    assert not same(np.float32(0), np.float32(-0.0))
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1}), "a loop over a dict sees its order"
