"""Integers of any width as int64 columns, one row per group: limbs in base 2**40, limb j with unit 2**(40 j).

A state holds the canonical form only: digits in [-2**39, 2**39), no column that is zero in every row. It is unique, so
equal sums have equal bytes however they came about. Merging adds limb by limb (2**23 states fit before a carry) and
carries again. One grid serves integers and doubles alike: the least double, 2**-1074, lies in limb -27.

DuckDB leaves sums in two raw forms, which `settle` turns into limbs:

* ``<prefix>__h<unit>``: a HUGEINT in units of 2**unit, unit a multiple of 40;
* ``<prefix>__d<shift><quantum>``: a double, a multiple of 2**quantum below 2**(quantum + 53), times 2**shift.

Several raw sums of one prefix add up; ``x<number>`` behind the name keeps them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shardwise.data.buffers import from_numpy, is_valid, to_numpy

Ints = npt.NDArray[np.int64]
Limbs = dict[int, Ints]

LIMB = 40
_HALF = np.int64(1 << (LIMB - 1))
_MASK = np.int64((1 << LIMB) - 1)
_BIAS = 5000  # keeps signs out of names: exponents lie in [-5000, 5000)
_LIMB_BIAS = 500

_RAW = re.compile(r"^(?P<prefix>.*)__(?:h(?P<unit>\d{4})|d(?P<shift>\d{4})(?P<quantum>\d{4}))(?:x\d+)?$", re.DOTALL)
_LIMB = re.compile(r"^(?P<prefix>.*)_w(?P<j>\d{3})$", re.DOTALL)


def huge_name(prefix: str, unit: int) -> str:
    """Name of a raw HUGEINT sum in units of 2**unit."""
    assert unit % LIMB == 0, unit
    return f"{prefix}__h{unit + _BIAS:04d}"


def double_name(prefix: str, shift: int, quantum: int) -> str:
    """Name of a raw exact sum of doubles."""
    return f"{prefix}__d{shift + _BIAS:04d}{quantum + _BIAS:04d}"


def is_huge(name: str) -> bool:
    """Whether a raw sum is a HUGEINT."""
    match = _RAW.match(name)
    return match is not None and match["unit"] is not None


def limb_columns(columns: Iterable[str], prefix: str) -> dict[str, int]:
    """The limb columns of ``prefix`` among ``columns`` and the exponent of each one's unit."""
    found = {}
    for name in columns:
        match = _LIMB.match(name)
        if match and match["prefix"] == prefix:
            found[name] = LIMB * (int(match["j"]) - _LIMB_BIAS)
    return found


def settle(table: pa.Table) -> pa.Table:
    """Turn the raw sums of a state table into canonical limbs; other columns stay, limbs come last by name."""
    sums: dict[str, Limbs] = {}
    kept: dict[str, pa.ChunkedArray] = {}
    for name in table.column_names:
        match = _RAW.match(name)
        if match is None:
            kept[name] = table[name]
            continue
        limbs = sums.setdefault(match["prefix"], {})
        if match["unit"]:
            _add_huge(limbs, table[name], int(match["unit"]) - _BIAS)
        else:
            _add_double(limbs, table[name], int(match["shift"]) - _BIAS, int(match["quantum"]) - _BIAS)
    for prefix in sorted(sums):
        for j, digits in sorted(_carried(sums[prefix]).items()):
            kept[f"{prefix}_w{j + _LIMB_BIAS:03d}"] = pa.chunked_array([from_numpy(digits)])
    return pa.table(kept) if kept else table.select([])


def limbs_of(total: int, prefix: str, exponent: int) -> dict[str, int]:
    """The canonical limbs of ``total * 2**exponent``, by column; the exponent is a multiple of 40.

    Examples
    --------
    >>> limbs_of(-1, "s", 0), limbs_of(0, "s", 0)
    ({'s_w500': -1}, {})
    """
    found, j = {}, exponent // LIMB
    while total:
        digit = ((total + (1 << LIMB - 1)) & ((1 << LIMB) - 1)) - (1 << LIMB - 1)
        if digit:
            found[f"{prefix}_w{j + _LIMB_BIAS:03d}"] = digit
        total, j = total - digit >> LIMB, j + 1
    return found


def _add(limbs: Limbs, j: int, digits: Ints) -> None:
    limbs[j] = limbs[j] + digits if j in limbs else digits


def _add_huge(limbs: Limbs, column: pa.ChunkedArray, unit: int) -> None:
    """Cut 128 bits in two's complement into 40, 40, 40 and the signed rest."""
    words = _words(column)
    low, high = words[:, 0], words[:, 1]
    j = unit // LIMB
    # Shifts of int64 keep the sign, so the 24 bits left of the low word are masked.
    _add(limbs, j, low & _MASK)
    _add(limbs, j + 1, ((low >> 40) & np.int64(0xFFFFFF)) | ((high & np.int64(0xFFFF)) << 24))
    _add(limbs, j + 2, (high >> 16) & _MASK)
    _add(limbs, j + 3, high >> 56)


def _words(column: pa.ChunkedArray) -> Ints:
    """The two 64-bit words of each decimal128, least first; null is 0."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if not pa.types.is_decimal128(array.type):
        raise TypeError(f"a raw sum is {array.type}, not decimal128")
    if not len(array):
        return np.zeros((0, 2), np.int64)
    words = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, 2)[array.offset : array.offset + len(array)]
    if array.null_count:
        words = np.where(is_valid(array)[:, None], words, 0)
    return words


def _add_double(limbs: Limbs, column: pa.ChunkedArray, shift: int, quantum: int) -> None:
    """Cut a double of at most 54 bits into three limbs of one sign each; every step is exact."""
    values = to_numpy(column).astype(np.float64)
    j = (quantum + shift) // LIMB
    rest = np.ldexp(values, shift - LIMB * (j + 2))
    for limb in (j + 2, j + 1, j):
        whole = np.trunc(rest)
        _add(limbs, limb, whole.astype(np.int64))
        rest = np.ldexp(rest - whole, LIMB)
    if rest.any():
        raise ArithmeticError(f"a sum is no multiple of 2**{quantum}")


def _carried(limbs: Limbs) -> Limbs:
    """Digits in [-2**39, 2**39), without the columns that are zero everywhere."""
    digits: Limbs = {}
    carry: Ints | None = None
    j = min(limbs)
    top = max(limbs)
    while j <= top or (carry is not None and carry.any()):
        value = limbs.get(j)
        if carry is not None:
            value = carry if value is None else value + carry
        if value is None:
            carry = None
        else:
            carry = (value + _HALF) >> LIMB
            digit = value - (carry << LIMB)
            if digit.any():
                digits[j] = digit
        j += 1
    return digits


def totals(table: pa.Table, prefix: str) -> tuple[list[int], int]:
    """The sums of ``prefix``, one Python integer per row, and the exponent of their common unit.

    Returns
    -------
    sums : list of int
    exponent : int
        Row i's sum is ``sums[i] * 2**exponent``.
    """
    found = sorted(limb_columns(table.column_names, prefix).items(), key=lambda pair: -pair[1])
    if not found:
        return [0] * table.num_rows, 0
    exponent = found[-1][1]
    result: list[int] | None = None
    above = exponent
    for name, unit in found:
        digits = table[name].to_pylist()
        if result is None:
            result = digits
        else:
            step = above - unit
            result = [(total << step) + digit for total, digit in zip(result, digits)]
        above = unit
    assert result is not None
    return result, exponent
