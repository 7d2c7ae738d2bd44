"""Where two results first differ, to the last bit: the row, the column, both values, and how far apart they are."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shardwise.data.kinds import is_array, is_numpy_scalar, is_table

SHOWN = 200
"""Characters of a value that are shown."""

STEP = 8192
"""Rows that are made Python values at a time."""

ROUNDING = 1e-9
"""Floats that are closer than this, relative to the greater, differ as rounding does."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two results differ.

    Parameters
    ----------
    what : str
        ``value``, ``rows`` (one has more), ``columns``, ``type`` or ``kind``.
    row : int or None
        The row of the result, from 0; None where all rows differ.
    column : str
        Its column; empty where there is none.
    first, second : str
        Both values as text.
    size : str
        How far apart two floats are, in words.
    rounding : bool
        They are so close that rounding may be all.
    """

    what: str
    row: int | None
    column: str
    first: str
    second: str
    size: str = ""
    rounding: bool = False

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row is not None else []
        where += [f"column {self.column!r}"] if self.column else []
        size = f", {self.size}" if self.size else ""
        name = {"value": "", "kind": "", "rows": "number of rows", "columns": "columns", "type": "type"}[self.what]
        return f"{', '.join([*where, *([name] if name else [])])}: {self.first}, then {self.second}{size}".removeprefix(
            ": "
        )


def difference(first: Any, second: Any) -> Difference | None:
    """The first place where two results differ; None: they are the same to the last bit.

    Parameters
    ----------
    first, second : pyarrow.Table, numpy.ndarray or list
        Results of one function, read back.

    Examples
    --------
    >>> print(difference([{"x": 0.1 + 0.2}], [{"x": 0.3}]))
    row 0, column 'x': 0.30000000000000004, then 0.3, 1 unit in the last place (relative 1.9e-16)
    >>> difference([float("nan")], [float("nan")]) is None
    True
    """
    if is_table(first) and is_table(second):
        return _of_tables(first, second)
    if is_array(first) and is_array(second):
        return _of_arrays(first, second)
    if isinstance(first, list) and isinstance(second, list):
        return _of_lists(first, second)
    return Difference("kind", None, "", f"a {type(first).__name__}", f"a {type(second).__name__}")


# --- tables --------------------------------------------------------------------------------------------------------


def _of_tables(first: Any, second: Any) -> Difference | None:
    if first.column_names != second.column_names:
        return Difference("columns", None, "", _shown(first.column_names), _shown(second.column_names))
    for field, other in zip(first.schema, second.schema):
        if field.type != other.type:
            return Difference("type", None, field.name, str(field.type), str(other.type))
    common = min(len(first), len(second))
    found: Difference | None = None
    for name, one, two in zip(first.column_names, first.columns, second.columns):
        limit = common if found is None or found.row is None else found.row
        row = _first_row(one, two, limit)
        if row is not None:
            found = _of_values(row, name, one[row].as_py(), two[row].as_py(), one.type)
    return found or _of_lengths(len(first), len(second))


def _first_row(one: Any, two: Any, limit: int) -> int | None:
    """The first row before ``limit`` in which two columns of one type differ."""
    if not _has_floats(one.type) and one.slice(0, limit).equals(two.slice(0, limit)):
        return None
    for start in range(0, limit, STEP):
        size = min(STEP, limit - start)
        if (row := _first_in_piece(one.slice(start, size), two.slice(start, size))) is not None:
            return start + row
    return None


def _first_in_piece(one: Any, two: Any) -> int | None:
    import numpy as np

    if _is_float(one.type) and not one.null_count and not two.null_count:
        unequal = _bits(one.to_numpy()) != _bits(two.to_numpy())
        return int(np.argmax(unequal)) if unequal.any() else None
    pairs = zip(one.to_pylist(), two.to_pylist())
    return next((row for row, (a, b) in enumerate(pairs) if not same(a, b)), None)


def _is_float(kind: Any) -> bool:
    from pyarrow.types import is_floating

    return bool(is_floating(kind))


def _has_floats(kind: Any) -> bool:
    return _is_float(kind) or any(_has_floats(kind.field(place).type) for place in range(kind.num_fields))


# --- arrays and items ----------------------------------------------------------------------------------------------


def _of_arrays(first: Any, second: Any) -> Difference | None:
    import numpy as np

    if first.dtype != second.dtype or first.shape[1:] != second.shape[1:]:
        one, two = (f"{a.dtype} with rows of shape {a.shape[1:]}" for a in (first, second))
        return Difference("type", None, "", one, two)
    common = min(len(first), len(second))
    one, two = (_rows(a[:common]) for a in (first, second))
    unequal = (_bits(one) != _bits(two)).reshape(len(one), -1).any(axis=1) if one.size else np.zeros(0, dtype=bool)
    if not unequal.any():
        return _of_lengths(len(first), len(second))
    row = int(np.argmax(unequal))
    width = one.shape[1] or 1
    cells = (_bits(one[row]) != _bits(two[row])).reshape(width, -1).any(axis=1)
    column = int(np.argmax(cells))
    return _of_values(row, f"c{column}", one[row, column].item(), two[row, column].item(), first.dtype)


def _rows(array: Any) -> Any:
    return array.reshape(len(array), -1)


def _bits(array: Any) -> Any:
    """The bytes of an array's values, but one NaN only: which of them a processor gives says nothing."""
    import numpy as np

    array = np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(math.nan, array.dtype), array)
    return array.view(f"u{array.dtype.itemsize}" if array.dtype.itemsize in (1, 2, 4, 8) else np.uint8)


def _of_lists(first: Sequence[Any], second: Sequence[Any]) -> Difference | None:
    for row, (one, two) in enumerate(zip(first, second)):
        if not same(one, two):
            column, one, two = _part(one, two)
            return _of_values(row, column, one, two, None)
    return _of_lengths(len(first), len(second))


def _part(one: Any, two: Any) -> tuple[str, Any, Any]:
    """The part of two items that differs, where they are dicts with the same keys or tuples of one length."""
    if type(one) is type(two) is dict and list(one) == list(two):
        key = next((key for key in one if not same(one[key], two[key])), None)
        return ("", one, two) if key is None else (str(key), one[key], two[key])
    if type(one) is type(two) is tuple and len(one) == len(two):
        place = next((place for place, (a, b) in enumerate(zip(one, two)) if not same(a, b)), None)
        return ("", one, two) if place is None else (str(place), one[place], two[place])
    return "", one, two


def _of_lengths(first: int, second: int) -> Difference | None:
    if first == second:
        return None
    return Difference("rows", min(first, second), "", f"{first} rows", f"{second} rows")


# --- values --------------------------------------------------------------------------------------------------------


def same(one: Any, two: Any) -> bool:
    """Whether two values are the same to the last bit. Zeros have signs; there is one NaN.

    Examples
    --------
    >>> same(0.0, -0.0), same(float("nan"), float("nan")), same({"a": [1]}, {"a": [1]}), same(1, True)
    (False, True, True, False)
    """
    if type(one) is not type(two):
        return False
    if type(one) is float:
        return (one != one and two != two) or struct.pack("d", one) == struct.pack("d", two)
    if type(one) in (list, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if type(one) is dict:
        return list(one) == list(two) and all(map(same, one.values(), two.values()))
    if is_table(one) or is_array(one):
        return difference(one, two) is None
    if is_numpy_scalar(type(one)):
        return bool((_bits(one) == _bits(two)).all())
    return _equal(one, two)


def _equal(one: Any, two: Any) -> bool:
    """Objects of other classes: as they say themselves, else by what is in them."""
    try:
        if bool(one == two):
            return True
    except Exception:  # what compares by element, or not at all
        pass
    import cloudpickle

    try:
        return bool(cloudpickle.dumps(one) == cloudpickle.dumps(two))
    except Exception:
        return False


def _of_values(row: int, column: str, one: Any, two: Any, kind: Any) -> Difference:
    size, rounding = _apart(one, two, kind)
    return Difference("value", row, column, _shown(one), _shown(two), size, rounding)


def _apart(one: Any, two: Any, kind: Any) -> tuple[str, bool]:
    """How far apart two floats are: units in the last place, and relative to the greater one."""
    if not (_is_finite(one) and _is_finite(two)):
        return "", False
    one, two = float(one), float(two)
    if one == two:
        return "the sign of zero", True
    relative = abs(one - two) / max(abs(one), abs(two))
    units = abs(_place(one, _bytes_of(kind)) - _place(two, _bytes_of(kind)))
    said = f"{units} unit{'' if units == 1 else 's'} in the last place" if units < 10_000 else ""
    return f"{said} (relative {relative:.1e})" if said else f"relative {relative:.1e}", relative < ROUNDING


def _is_finite(value: Any) -> bool:
    is_float = isinstance(value, float) or (is_numpy_scalar(type(value)) and value.dtype.kind == "f")
    return is_float and math.isfinite(value)


def _bytes_of(kind: Any) -> int:
    """Bytes of a float of this type of Arrow's or NumPy's."""
    return {"float": 4, "float32": 4, "halffloat": 2, "float16": 2}.get(str(kind), 8)


def _place(value: float, size: int) -> int:
    """The number of a float among all of its size, in order."""
    bits = int.from_bytes(struct.pack({2: ">e", 4: ">f", 8: ">d"}[size], value), "big")
    top = 1 << (8 * size - 1)
    return bits if bits < top else top - bits


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # a hostile __repr__
        text = f"<a {type(value).__qualname__}, whose repr() raised {type(error).__name__}>"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
