"""MurmurHash3 x64 128 (A. Appleby, 2011): of bytes in plain Python, of many values at once in NumPy.

All arithmetic is modulo 2**64. The NumPy forms return the first 64 of the 128 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
_F1, _F2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_CHUNK = 1 << 14  # values worked on at once, so that intermediate results stay in the cache
_FEW = 16  # values too few to be worth NumPy's overhead per block
_TAIL_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)


def murmur3(data: bytes, seed: int = 0) -> tuple[int, int]:
    """Hash bytes.

    Parameters
    ----------
    data : bytes
        Any.
    seed : int, optional
        In [0, 2**64); the reference takes 32 bits.

    Returns
    -------
    tuple of int
        The two 64-bit halves, in order.

    Examples
    --------
    >>> murmur3(b"foo")
    (16316970633193145697, 9128664383759220103)
    """
    blocks = len(data) // 16 * 16
    h1, h2 = _python_blocks(data[:blocks], seed, seed)
    tail = data[blocks:]
    h1 ^= _stir_1(int.from_bytes(tail[:8], "little"))
    h2 ^= _stir_2(int.from_bytes(tail[8:], "little"))
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & _MASK
    h2 = (h1 + h2) & _MASK
    h1, h2 = _finish(h1), _finish(h2)
    h1 = (h1 + h2) & _MASK
    return h1, (h1 + h2) & _MASK


def hash_words(words: Sequence[Words], seed: int = 0) -> Words:
    """Hash values of a fixed width.

    Parameters
    ----------
    words : sequence of numpy.ndarray of uint64
        The values' bytes as columns of 8-byte little-endian words.
    seed : int, optional
        In [0, 2**64).

    Returns
    -------
    numpy.ndarray of uint64
        ``murmur3(the words of the value)[0]`` for every value.

    Examples
    --------
    >>> int(hash_words([np.array([1], np.uint64)])[0]) == murmur3((1).to_bytes(8, "little"))[0]
    True
    """
    size = len(words[0])
    out = np.empty(size, np.uint64)
    for start in range(0, size, _CHUNK):
        chunk = [column[start : start + _CHUNK] for column in words]
        h1 = np.full(len(chunk[0]), seed, np.uint64)
        h2 = h1.copy()
        for k in range(0, len(chunk) - 1, 2):
            _mix_block(h1, h2, chunk[k], chunk[k + 1])
        if len(chunk) % 2:
            h1 ^= _mixed(chunk[-1].copy(), _C1, 31, _C2)
        out[start : start + _CHUNK] = _finished(h1, h2, np.uint64(8 * len(chunk)))
    return out


def hash_spans(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], seed: int = 0) -> Words:
    """Hash values of many widths that lie one after the other.

    Parameters
    ----------
    data : numpy.ndarray of uint8
        The bytes of all values.
    offsets : numpy.ndarray of int64
        Value k is ``data[offsets[k]:offsets[k + 1]]``.
    seed : int, optional
        In [0, 2**64).

    Returns
    -------
    numpy.ndarray of uint64
        ``murmur3(value)[0]`` for every value.

    Examples
    --------
    >>> int(hash_spans(np.frombuffer(b"barfoo", np.uint8), np.array([0, 3, 6]))[1]) == murmur3(b"foo")[0]
    True
    """
    size = len(offsets) - 1
    out = np.empty(size, np.uint64)
    for start in range(0, size, _CHUNK):
        ends = offsets[start : start + _CHUNK + 1]
        padded = np.zeros(int(ends[-1] - ends[0]) + 16, np.uint8)  # a word may be read past the last value
        padded[:-16] = data[ends[0] : ends[-1]]
        begins = ends[:-1] - ends[0]
        out[start : start + _CHUNK] = _hash_chunk(padded, begins, np.diff(ends), seed)
    return out


def _hash_chunk(
    data: npt.NDArray[np.uint8], begins: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], seed: int
) -> Words:
    words: Words = np.ndarray((len(data) - 7,), np.dtype("<u8"), data, strides=(1,))  # the word at every byte
    h1 = np.full(len(begins), seed, np.uint64)
    h2 = h1.copy()
    blocks = sizes >> 4
    _mix_blocks(data, words, begins, blocks, h1, h2)
    tails, rest = begins + (blocks << 4), sizes & 15
    h1 ^= _mixed(words[tails] & _TAIL_MASKS[np.minimum(rest, 8)], _C1, 31, _C2)
    if (rest > 8).any():
        h2 ^= _mixed(words[tails + 8] & _TAIL_MASKS[np.maximum(rest - 8, 0)], _C2, 33, _C1)
    return _finished(h1, h2, sizes.astype(np.uint64))


def _mix_blocks(
    data: npt.NDArray[np.uint8],
    words: Words,
    begins: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int64],
    h1: Words,
    h2: Words,
) -> None:
    """Mix in the full blocks, the k-th of all values that have one at once; the few longest values in Python."""
    k, active = 0, np.flatnonzero(blocks)
    while len(active) > _FEW:
        at = begins[active] + 16 * k
        part_1, part_2 = h1[active], h2[active]
        _mix_block(part_1, part_2, words[at], words[at + 8])
        h1[active], h2[active] = part_1, part_2
        k += 1
        active = active[blocks[active] > k]
    for row in active:
        begin = int(begins[row])
        rest = data[begin + 16 * k : begin + 16 * int(blocks[row])].tobytes()
        h1[row], h2[row] = _python_blocks(rest, int(h1[row]), int(h2[row]))


def _mix_block(h1: Words, h2: Words, k1: Words, k2: Words) -> None:
    h1 ^= _mixed(k1.copy(), _C1, 31, _C2)
    _rotate(h1, 27)
    h1 += h2
    h1 *= np.uint64(5)
    h1 += np.uint64(0x52DCE729)
    h2 ^= _mixed(k2.copy(), _C2, 33, _C1)
    _rotate(h2, 31)
    h2 += h1
    h2 *= np.uint64(5)
    h2 += np.uint64(0x38495AB5)


def _mixed(words: Words, first: int, turn: int, second: int) -> Words:
    """Scramble in place, and return, words of the input."""
    words *= np.uint64(first)
    _rotate(words, turn)
    words *= np.uint64(second)
    return words


def _rotate(words: Words, turn: int) -> None:
    low = words >> np.uint64(64 - turn)
    words <<= np.uint64(turn)
    words |= low


def _finished(h1: Words, h2: Words, size: Words | np.uint64) -> Words:
    h1 ^= size
    h2 ^= size
    h1 += h2
    h2 += h1
    for h in (h1, h2):
        h ^= h >> np.uint64(33)
        h *= np.uint64(_F1)
        h ^= h >> np.uint64(33)
        h *= np.uint64(_F2)
        h ^= h >> np.uint64(33)
    h1 += h2
    return h1


def _python_blocks(data: bytes, h1: int, h2: int) -> tuple[int, int]:
    for at in range(0, len(data), 16):
        h1 ^= _stir_1(int.from_bytes(data[at : at + 8], "little"))
        h1 = (_turned(h1, 27) + h2) * 5 + 0x52DCE729 & _MASK
        h2 ^= _stir_2(int.from_bytes(data[at + 8 : at + 16], "little"))
        h2 = (_turned(h2, 31) + h1) * 5 + 0x38495AB5 & _MASK
    return h1, h2


def _stir_1(word: int) -> int:
    return _turned(word * _C1 & _MASK, 31) * _C2 & _MASK


def _stir_2(word: int) -> int:
    return _turned(word * _C2 & _MASK, 33) * _C1 & _MASK


def _turned(word: int, turn: int) -> int:
    return (word << turn | word >> 64 - turn) & _MASK


def _finish(word: int) -> int:
    word = (word ^ word >> 33) * _F1 & _MASK
    word = (word ^ word >> 33) * _F2 & _MASK
    return word ^ word >> 33
