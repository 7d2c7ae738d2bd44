"""Values of an Arrow column as short text for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shardwise.report.json_rows import float_value, json_values

if TYPE_CHECKING:
    import pyarrow as pa

HUGE = 1e15
"""Floats from here on are written with an exponent."""


def leans_right(kind: pa.DataType) -> bool:
    """Whether cells of a type stand to the right: numbers and durations do."""
    import pyarrow.types as t

    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_duration(kind))


def column_cells(column: pa.ChunkedArray) -> list[str | None]:
    """Text of each value of a column; None stays None.

    Floats of a column share their decimals, so that points stand under each other; decimals and integers are written
    in full; a date and time has no ``T``; bytes are written as in Python; lists and structs as JSON.
    """
    import pyarrow.types as t

    kind = column.type
    values = json_values(column)
    if t.is_floating(kind):
        return float_cells(values)
    if t.is_duration(kind):
        return _duration_cells(column)
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        return [None if v is None else repr(v)[2:-1] for v in column.to_pylist()]
    if t.is_timestamp(kind):
        return [None if v is None else v.replace("T", " ") for v in values]
    return [None if v is None else _text(v) for v in values]


def mixed_leans_right(values: Sequence[Any]) -> bool:
    """Whether any of these Python values is a number."""
    return any(isinstance(v, (int, float, Decimal, timedelta)) and not isinstance(v, bool) for v in values)


def mixed_cells(values: Sequence[Any]) -> list[str | None]:
    """Text of Python values of several types, each as a column of its type would show it.

    Examples
    --------
    >>> from datetime import datetime
    >>> mixed_cells([1, 2.54321, "a", None, datetime(2013, 1, 1, 5)])
    ['1', '2.5432', 'a', None, '2013-01-01 05:00:00']
    """
    floats = float_cells([v if isinstance(v, float) else None for v in values])
    return [_mixed_cell(value) if cell is None else cell for value, cell in zip(values, floats, strict=True)]


def _mixed_cell(value: Any) -> str | None:
    import pyarrow as pa

    if value is None or isinstance(value, (bool, int, str, Decimal)):
        return None if value is None else _text(value)
    try:
        return column_cells(pa.chunked_array([[value]]))[0]
    except (pa.ArrowException, TypeError, ValueError):
        return str(value)


def float_cells(values: Sequence[float | str | None]) -> list[str | None]:
    """Floats as text: five digits of the largest, at least two decimals, and never a value hidden by rounding.

    Examples
    --------
    >>> float_cells([21.921298, 7.37967, None, "NaN"])
    ['21.921', '7.380', None, 'NaN']
    >>> float_cells([2013.0, 0.000123456, 1e300])
    ['2013.0', '0.0001235', '1e+300']
    """
    finite = [v for v in values if isinstance(v, float) and abs(v) < HUGE]  # NaN is not below anything
    decimals = _decimals(finite)
    return [None if v is None else _float_cell(v, decimals) for v in values]


def _decimals(values: Sequence[float]) -> int:
    top = max((abs(v) for v in values), default=0.0)
    if top == 0:
        return 1
    digits_before_point = math.floor(math.log10(top)) + 1
    most = max(2, 5 - digits_before_point)
    texts = [f"{v:.{most}f}" for v in values if not _hides(v, most)]
    shortest = max((len(text.rstrip("0").partition(".")[2]) for text in texts), default=1)
    # Zeros that all values share say nothing; but 3.000 beside 21.543 keeps the points under each other.
    return max(1, shortest)


def _hides(value: float, decimals: int) -> bool:
    """Whether this many decimals would show a value more than half a percent off."""
    return abs(float(f"{value:.{decimals}f}") - value) > 0.005 * abs(value)


def _float_cell(value: float | str, decimals: int) -> str:
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return str(float_value(value))
    if abs(value) >= HUGE:
        return f"{value:.6g}"
    if _hides(value, decimals):
        return f"{value:.4g}"
    return f"{value:.{decimals}f}"


def _duration_cells(column: pa.ChunkedArray) -> list[str | None]:
    import pyarrow as pa

    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return [None if v is None else _clock(v, scale) for v in column.cast(pa.int64()).to_pylist()]


def _clock(ticks: int, scale: int) -> str:
    """A duration as days, hours, minutes and seconds, exactly."""
    seconds, part = divmod(abs(ticks), scale)
    fraction = f".{part:0{len(str(scale)) - 1}d}".rstrip("0") if part else ""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}{fraction}"
    return ("-" if ticks < 0 else "") + (f"{days}d " if days else "") + clock


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
