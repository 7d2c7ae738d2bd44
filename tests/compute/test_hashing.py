"""Hashes: MurmurHash3 to the letter, over canonical bytes."""

from __future__ import annotations

import datetime as dt
import decimal
import struct

import mmh3
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.hashing import hash_array, hash_columns, position_fraction
from shardwise.compute.murmur import hash_spans, hash_words, murmur3
from shardwise.errors import UsageError

seeds = st.integers(0, 2**32 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)


def reference(data: bytes, seed: int = 0) -> int:
    return mmh3.hash64(data, seed, signed=False)[0]


@settings(deadline=None)
@given(st.binary(max_size=100), seeds)
def test_python_form_is_the_reference(data: bytes, seed: int) -> None:
    assert murmur3(data, seed) == mmh3.hash64(data, seed, signed=False)


@settings(deadline=None)
@given(st.lists(st.tuples(int64s, int64s, int64s, int64s, int64s), min_size=1, max_size=5), seeds, st.integers(1, 5))
def test_words_are_the_reference(rows: list[tuple[int, ...]], seed: int, width: int) -> None:
    words = np.array(rows, np.int64).view(np.uint64)[:, :width]
    wanted = [reference(np.ascontiguousarray(row).tobytes(), seed) for row in words]
    assert hash_words(list(words.T), seed).tolist() == wanted


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=40), seeds)
def test_spans_are_the_reference(values: list[bytes], seed: int) -> None:
    offsets = np.cumsum([0, *map(len, values)])
    data = np.frombuffer(b"".join(values), np.uint8)
    assert hash_spans(data, offsets, seed).tolist() == [reference(value, seed) for value in values]


def test_many_values_and_a_few_very_long_ones() -> None:
    values = [b"v" * (k % 50) for k in range(40_000)]
    values[17], values[30_000] = b"long" * 5_001, b"x" * 1_023
    assert hash_array(pa.array(values)).tolist() == [reference(value) for value in values]
    numbers = np.arange(40_000) * 7919
    assert hash_array(pa.array(numbers)).tolist() == [reference(struct.pack("<q", n)) for n in numbers.tolist()]


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=30), max_size=20), seeds, st.integers(0, 5))
def test_strings_are_their_utf8_whatever_holds_them(values: list[str | None], seed: int, skip: int) -> None:
    wanted = [reference(b"\xff\xfenull" if value is None else value.encode(), seed) for value in values][skip:]
    plain = pa.array(values, pa.string())
    kinds = [pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
    for array in [plain, plain.dictionary_encode(), *[plain.cast(kind) for kind in kinds]]:
        assert hash_array(array.slice(skip), seed).tolist() == wanted
    assert hash_array(pa.chunked_array([plain[:3], plain[3:]], pa.string()), seed)[skip:].tolist() == wanted


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(0, 127), max_size=20), st.integers(0, 5))
def test_integers_of_every_width_are_alike(values: list[int | None], skip: int) -> None:
    wanted = [reference(b"\xff\xfenull" if value is None else struct.pack("<q", value)) for value in values][skip:]
    for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()):
        assert hash_array(pa.array(values, kind).slice(skip)).tolist() == wanted
    assert hash_array(pa.array([True, False])).tolist() == hash_array(pa.array([1, 0])).tolist()


def test_integers_at_the_ends_of_their_range() -> None:
    assert hash_array(pa.array([-(2**63)])).tolist() == [reference(struct.pack("<q", -(2**63)))]
    assert hash_array(pa.array([2**64 - 1], pa.uint64())).tolist() == [reference(struct.pack("<Q", 2**64 - 1))]


@settings(deadline=None)
@given(st.lists(st.floats(width=32), max_size=20))
def test_floats_are_float64_with_one_nan_and_one_zero(values: list[float]) -> None:
    wanted = [reference(struct.pack("<d", np.nan if value != value else value + 0.0)) for value in values]
    assert hash_array(pa.array(values, pa.float32())).tolist() == wanted
    assert hash_array(pa.array(values, pa.float64())).tolist() == wanted


def test_every_nan_and_both_zeros_are_one() -> None:
    odd = np.array([0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF], np.uint64)
    assert len(set(hash_array(pa.array(odd.view(np.float64))).tolist())) == 1
    assert len(set(hash_array(pa.array([0.0, -0.0])).tolist())) == 1
    assert (
        len(set(hash_array(pa.array([np.float16(1.5)], pa.float16())).tolist() + hash_array(pa.array([1.5])).tolist()))
        == 1
    )


@pytest.mark.parametrize("make", [pa.timestamp, pa.duration])
def test_the_unit_of_time_does_not_matter(make: type) -> None:
    for seconds in (-5, 0, 7):
        hashes = {
            hash_array(pa.array([seconds * ticks], make(unit)))[0]
            for unit, ticks in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9))
        }
        assert len(hashes) == 1
    assert hash_array(pa.array([-1], make("ns")))[0] != hash_array(pa.array([-1], make("s")))[0]
    far = pa.array([2**62, 2**62 - 1], make("s"))  # does not fit in nanoseconds
    assert len(set(hash_array(far).tolist())) == 2


def test_dates_and_times_do_not_care_about_the_unit_either() -> None:
    days = [dt.date(1969, 12, 30), None, dt.date(2024, 2, 29)]
    assert (hash_array(pa.array(days, pa.date32())) == hash_array(pa.array(days, pa.date64()))).all()
    times = pa.array([dt.time(23, 59, 59), dt.time(0)], pa.time32("s"))
    for kind in (pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        assert (hash_array(times) == hash_array(times.cast(kind))).all()


def test_decimals_are_their_unscaled_value() -> None:
    values = [decimal.Decimal("-1.50"), None, decimal.Decimal("2.25")]
    wanted = [reference((-150).to_bytes(16, "little", signed=True)), reference(b"\xff\xfenull")]
    for kind in (pa.decimal32(5, 2), pa.decimal64(9, 2), pa.decimal128(20, 2)):
        assert hash_array(pa.array(values, kind)).tolist()[:2] == wanted
    wide = hash_array(pa.array(values, pa.decimal256(50, 2))).tolist()
    assert wide[0] == reference((-150).to_bytes(32, "little", signed=True))


def test_nested_values_depend_on_their_items_and_their_cut() -> None:
    lists = pa.array([[1, 2], [3], [], None, [1], [2, 3], [1, 2]])
    hashes = hash_array(lists).tolist()
    assert hashes[0] == hashes[6] and len(set(hashes)) == 6
    assert hash_array(lists.slice(1)).tolist() == hashes[1:]
    assert hash_array(lists.cast(pa.large_list(pa.int8()))).tolist() == hashes
    fixed = pa.array([[1, 2], None, [2, 1]], pa.list_(pa.int64(), 2))
    assert hash_array(fixed).tolist()[:2] == [hashes[0], hashes[3]]
    structs = pa.array([{"x": 1, "y": "a"}, {"x": None, "y": "a"}, None, {"x": 1, "y": "a"}])
    hashes = hash_array(structs).tolist()
    assert hashes[0] == hashes[3] and len(set(hashes)) == 3
    assert hash_array(structs.slice(1)).tolist() == hashes[1:]
    maps = pa.array([[("a", 1)], [("a", 2)], None, [("a", 1)]], pa.map_(pa.string(), pa.int64()))
    assert hash_array(maps)[0] == hash_array(maps)[3] != hash_array(maps)[1]


def test_other_kinds_of_arrays() -> None:
    assert len(set(hash_array(pa.nulls(3)).tolist())) == 1
    ends = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    assert hash_array(ends).tolist() == hash_array(pa.array(["a", "a", "b"])).tolist()
    assert hash_array(pa.array([b"ab"], pa.binary(2))).tolist() == [reference(b"ab")]
    months = pa.array([pa.MonthDayNano([1, 2, 3])])
    assert hash_array(months).tolist() == [reference(struct.pack("<iiq", 1, 2, 3))]
    none = pa.DictionaryArray.from_arrays(pa.array([None], pa.int8()), pa.array([], pa.string()))
    assert hash_array(none).tolist() == hash_array(pa.nulls(1)).tolist()
    with pytest.raises(UsageError, match="cannot be hashed"):
        hash_array(pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.float64(), pa.bool_(), pa.list_(pa.int8()), pa.date32()])
def test_an_empty_array_has_no_hashes(kind: pa.DataType) -> None:
    assert hash_array(pa.array([], kind)).tolist() == []
    assert hash_array(pa.chunked_array([], kind)).tolist() == []


def test_rows_of_several_columns() -> None:
    a, b = pa.array([1, None, 1, 2]), pa.array(["x", "y", "x", None])
    hashes = hash_columns([a, b], 5)
    assert hashes[0] == hashes[2] and len(set(hashes.tolist())) == 3
    assert hashes[0] == reference(struct.pack("<QQ", hash_array(a, 5)[0], hash_array(b, 5)[0]), 5)
    assert (hash_columns([b, a], 5) != hashes).all()
    assert (hash_columns([a]) == hash_array(a)).all()


def test_positions_draw_uniform_numbers_by_themselves() -> None:
    positions = np.arange(200_000) << 3
    drawn = position_fraction(11, positions)
    assert (position_fraction(11, positions[::-7]) == drawn[::-7]).all()
    assert ((drawn >= 0) & (drawn < 1)).all()
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert abs(counts - 10_000).max() < 500  # five standard deviations
    assert abs(np.corrcoef(drawn, position_fraction(12, positions))[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02
    assert drawn[3] == (reference(struct.pack("<q", 24), 11) >> 11) / 2**53
