"""Hashes of values that are the same on every machine: MurmurHash3 over canonical bytes, vectorised over Arrow arrays.

Never Python's hash (salted), nor a kernel's (its own business). Canonical bytes, all little-endian:

- integers of every width and booleans: int64 (uint64 past its range: the same 8 bytes)
- floats of every width: float64, with one NaN, and -0.0 as 0.0
- strings and binary: their bytes (UTF-8)
- dates, times, timestamps, durations: seconds and nanoseconds, both int64, so the unit does not matter
- decimals: the unscaled value in 16 (256-bit: 32) bytes, so equal values of one scale are equal
- lists: the hashes of their items; structs: the hashes of their fields
- null: a value of its own

References
----------
A. Appleby, MurmurHash3 (2011), variant x64 128, of which the first 64 bits are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shardwise.compute.murmur import hash_spans, hash_words, murmur3
from shardwise.data.buffers import to_numpy
from shardwise.errors import UsageError

Hashes = npt.NDArray[np.uint64]

_NULL = b"\xff\xfenull"  # not UTF-8, so no string has this hash
_NANOS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def hash_array(array: pa.Array | pa.ChunkedArray, seed: int = 0) -> Hashes:
    """Hash every value of an Arrow array.

    Parameters
    ----------
    array : pyarrow.Array or pyarrow.ChunkedArray
        Any type but unions.
    seed : int, optional
        Another seed, another hash. Reduced modulo 2**64.

    Returns
    -------
    numpy.ndarray of uint64
        One hash per value, nulls included.

    Raises
    ------
    UsageError
        The type has no canonical bytes.

    Examples
    --------
    >>> hash_array(pa.array(["a", "b", None, "a"])).tolist()[::3]
    [9607679276477937801, 9607679276477937801]
    """
    seed %= 1 << 64
    if isinstance(array, pa.ChunkedArray):
        parts = [hash_array(chunk, seed) for chunk in array.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    hashes = _hash_values(array, seed)
    if array.null_count:
        hashes = np.where(array.is_null().to_numpy(zero_copy_only=False), np.uint64(murmur3(_NULL, seed)[0]), hashes)
    return hashes


def hash_columns(arrays: Sequence[pa.Array | pa.ChunkedArray], seed: int = 0) -> Hashes:
    """Hash rows of several columns; the order of the columns matters.

    Parameters
    ----------
    arrays : sequence of pyarrow.Array or pyarrow.ChunkedArray
        At least one; all of one length.
    seed : int, optional
        Another seed, another hash.

    Returns
    -------
    numpy.ndarray of uint64
        One hash per row: of a single column ``hash_array`` of it, of several the hash of their hashes.

    Examples
    --------
    >>> a, b = pa.array([1, 1]), pa.array(["x", "y"])
    >>> len(set(hash_columns([a, b]).tolist()))
    2
    """
    hashes = [hash_array(array, seed) for array in arrays]
    return hashes[0] if len(hashes) == 1 else hash_words(hashes, seed % (1 << 64))


def position_fraction(seed: int, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Draw one uniform number per position: the same wherever and whenever it is drawn.

    Parameters
    ----------
    seed : int
        Of the job.
    positions : numpy.ndarray of int64
        Positions of rows.

    Returns
    -------
    numpy.ndarray of float64
        In [0, 1), multiples of 2**-53.

    Examples
    --------
    >>> float(position_fraction(7, np.array([5]))[0]) == float(position_fraction(7, np.array([4, 5]))[1])
    True
    """
    words = np.ascontiguousarray(positions, np.int64).view(np.uint64)
    top = (hash_words([words], seed % (1 << 64)) >> np.uint64(11)).astype(np.float64)
    return np.asarray(top * 2.0**-53)


def _hash_values(array: pa.Array, seed: int) -> Hashes:
    """Hashes of values; what stands at nulls does not matter."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _hash_values(array.storage, seed)
    if pa.types.is_dictionary(kind):
        return _hash_dictionary(array, seed)
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return _hash_values(pc.run_end_decode(array), seed)
    if _is_bytes(kind):
        return _hash_bytes(array.cast(pa.large_binary()), seed)
    if pa.types.is_struct(kind):
        return hash_columns(array.flatten(), seed) if kind.num_fields else np.zeros(len(array), np.uint64)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _hash_lists(array, seed)
    if pa.types.is_map(kind):
        return _hash_lists(array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field]))), seed)
    return hash_words(_words(array), seed)


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        test(kind)
        for test in (types.is_string, types.is_large_string, types.is_string_view)
        + (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    )


def _hash_dictionary(array: pa.DictionaryArray, seed: int) -> Hashes:
    if not len(array.dictionary):
        return np.zeros(len(array), np.uint64)
    codes: npt.NDArray[np.integer] = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
    hashes = hash_array(array.dictionary, seed)
    return np.take(hashes, codes)


def _hash_bytes(array: pa.LargeBinaryArray, seed: int) -> Hashes:
    _, offsets, data = array.buffers()
    if not len(array):
        return np.empty(0, np.uint64)
    ends = np.frombuffer(offsets, np.int64, count=len(array) + 1, offset=8 * array.offset)
    return hash_spans(np.frombuffer(data or b"", np.uint8), ends, seed)


def _hash_lists(array: pa.Array, seed: int) -> Hashes:
    """A list is the bytes of its items' hashes."""
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    items = hash_array(array.flatten(), seed)  # without what lies under nulls
    return hash_spans(items.view(np.uint8), offsets * 8, seed)


def _words(array: pa.Array) -> list[Hashes]:
    """The canonical bytes of values of a fixed width, as columns of 8-byte words."""
    kind, types = array.type, pa.types
    if types.is_boolean(kind) or types.is_integer(kind):
        wide = array if kind in (pa.int64(), pa.uint64()) else array.cast(pa.int64())
        return [_fixed(wide, 1)[:, 0]]
    if types.is_floating(kind):
        with np.errstate(invalid="ignore"):  # a signalling NaN complains
            values = to_numpy(array).astype(np.float64, copy=False) + 0.0  # -0.0 + 0.0 is 0.0
        is_nan = np.isnan(values)
        if is_nan.any():
            values[is_nan] = np.nan
        return [values.view(np.uint64)]
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or types.is_duration(kind):
        return _seconds(array)
    if types.is_decimal(kind):
        wide = array.cast(pa.decimal256(76, kind.scale)) if kind.bit_width > 128 else _as_decimal128(array)
        return list(_fixed(wide, wide.type.bit_width // 64).T)
    if types.is_interval(kind):
        return list(_fixed(array, 2).T)
    raise UsageError(f"values of type {kind} cannot be hashed", "cast the column to another type, such as a string")


def _as_decimal128(array: pa.Array) -> pa.Array:
    return array if array.type.bit_width == 128 else array.cast(pa.decimal128(array.type.precision, array.type.scale))


def _fixed(array: pa.Array, words: int) -> npt.NDArray[np.uint64]:
    data = array.buffers()[1]
    if not data:
        return np.empty((len(array), words), np.uint64)
    flat = np.frombuffer(data, np.uint64, count=words * len(array), offset=8 * words * array.offset)
    return flat.reshape(len(array), words)


def _seconds(array: pa.Array) -> list[Hashes]:
    kind = array.type
    if pa.types.is_date32(kind):
        ticks, per_second = array.cast(pa.int32()).cast(pa.int64()), 0
    else:
        unit = "ms" if pa.types.is_date64(kind) else kind.unit
        ticks, per_second = (
            array.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(pa.int64()),
            _NANOS[unit],
        )
    counts = _fixed(ticks, 1)[:, 0].view(np.int64)
    if not per_second:
        seconds, rest = counts * 86_400, np.zeros_like(counts)
    else:
        seconds, rest = np.divmod(counts, per_second)
        rest = rest * (10**9 // per_second)
    return [np.ascontiguousarray(part).view(np.uint64) for part in (seconds, rest)]
