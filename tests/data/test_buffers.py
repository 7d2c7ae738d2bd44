"""Arrow arrays made from buffers are those that PyArrow makes, and do without pandas."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwise.data.buffers import from_array, from_values

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    *(
        st.lists(st.one_of(st.none(), kind), max_size=20)
        for kind in (st.booleans(), INT64, st.floats(), st.text(), st.binary())
    )
)


@pytest.fixture
def _without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pandas", raising=False)


@pytest.mark.usefixtures("_without_pandas")
@given(VALUES)
def test_values_become_what_pyarrow_makes_of_them(values: list[Any]) -> None:
    try:
        expected = pa.array(values)
    except UnicodeEncodeError:  # a lone surrogate
        with pytest.raises(UnicodeEncodeError):
            from_values(values)
        return
    made = from_values(values)
    made.validate(full=True)
    assert (made.type, repr(made.to_pylist())) == (expected.type, repr(expected.to_pylist()))


@pytest.mark.usefixtures("_without_pandas")
@pytest.mark.parametrize("values", [[2**63], [1, 2.5], [1, "a"], [[1], [2]], [{"a": 1}], [1, True]], ids=str)
def test_whatever_is_odd_is_left_to_pyarrow(values: list[Any]) -> None:
    try:
        expected = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        with pytest.raises(type(error)):
            from_values(values)
        return
    assert from_values(values).equals(expected)


@pytest.mark.usefixtures("_without_pandas")
def test_a_type_that_is_asked_for_is_kept() -> None:
    assert from_values([1, None], pa.int8()).equals(pa.array([1, None], pa.int8()))
    assert from_values([], pa.string()).equals(pa.array([], pa.string()))
    assert from_values([None, None]).equals(pa.array([None, None]))


@pytest.mark.parametrize("kind", ["?", "i1", "u8", "f2", "f8", ">i4", "M8[s]", "U3"])
def test_arrays_become_what_pyarrow_makes_of_them(kind: str) -> None:
    values = np.array([0, 1, 0, 1], "i8").astype(kind)
    if kind == ">i4":
        with pytest.raises(pa.ArrowNotImplementedError):
            from_array(values)
        return
    for array in (values, values[::2], values[:0]):
        assert from_array(array).equals(pa.array(array))


def test_pandas_is_not_imported() -> None:
    code = """
import sys, numpy as np
from shardwise.data.buffers import from_array, from_values
for values in ([1, None], [1.5], ["a", None], [b"a"], [True, None], []):
    from_values(values)
for kind in ("?", "i8", "f4"):
    from_array(np.ones(3, kind))
print("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
