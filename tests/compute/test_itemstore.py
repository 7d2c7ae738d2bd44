"""Items come back as they were: values and types."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwise.compute.itemstore import COLUMNS, PICKLE, decode, encode

SCALARS = (
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=5),
    st.binary(max_size=5),
    st.integers(-(2**7), 2**7 - 1).map(np.int8),
    st.floats(width=32).map(np.float32),
    st.booleans().map(np.bool_),
)
COLUMN = st.sampled_from(SCALARS).flatmap(lambda kind: st.lists(st.none() | kind, min_size=4, max_size=4))


def exactly(value: Any) -> Any:
    """Something that is equal only for equal values of equal types; NaN is equal to itself, -0.0 is not 0.0."""
    if isinstance(value, (list, tuple)):
        return type(value), [exactly(one) for one in value]
    if isinstance(value, dict):
        return dict, [(exactly(key), exactly(one)) for key, one in value.items()]
    if isinstance(value, np.generic):
        return type(value), value.tobytes()
    return (float, struct.pack("d", value)) if type(value) is float else (type(value), value)


@given(st.lists(COLUMN, min_size=1, max_size=3), st.sampled_from(["scalar", "tuple", "dict"]))
def test_what_is_stored_comes_back(columns: list[list[Any]], layout: str) -> None:
    items: list[Any] = columns[0]
    if layout == "tuple":
        items = list(zip(*columns))
    if layout == "dict":
        items = [{f"k{i}": value for i, value in enumerate(row)} for row in zip(*columns)]
    assert exactly(decode(*encode(items))) == exactly(items)


@pytest.mark.parametrize(
    ("items", "name"),
    [
        ([1, None, -3], COLUMNS),
        (["a\nb", "\ud800"], COLUMNS),
        ([b"\n", b"", None], COLUMNS),
        ([{"a": 1, "b": "x"}, {"a": 2, "b": None}], COLUMNS),
        ([np.float32(1.5)], COLUMNS),
        ([], PICKLE),
        ([None], PICKLE),
        ([1, 2.0], PICKLE),
        ([True, 1], PICKLE),
        ([2**63], PICKLE),
        ([{"a": 1}, {"b": 1}], PICKLE),
        ([{1: 2}], PICKLE),
        ([(1,), (1, 2)], PICKLE),
        ([[1]], PICKLE),
    ],
)
def test_what_is_columns(items: list[Any], name: str) -> None:
    stored, data = encode(items)
    assert stored == name
    assert exactly(decode(stored, memoryview(data))) == exactly(items)
