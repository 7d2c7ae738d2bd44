"""How fast this machine copies memory, and turns objects into bytes and back."""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from shardwise.compute.machine import usable_memory

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

CACHE_BYTES = 32 << 20
"""Of the largest cache, where the kernel does not tell."""

TIMES_CACHE = 4
"""An array is so many times as large as all caches together: what is measured is memory (J. D. McCalpin, "STREAM")."""

LARGEST = 512 << 20
MEMORY_SHARE = 16
"""An array has at most this part of the memory that is free."""

ROUNDS = 5
"""The fastest counts: what else runs can only slow a copy down."""

SERIAL_SECONDS = 0.25

Clock = Callable[[], float]
Copy = Callable[[np.ndarray, np.ndarray], None]


def copy_rates(
    cores: int, size: int | None = None, clock: Clock = time.perf_counter, copy: Copy = np.copyto
) -> tuple[float, float]:
    """Bytes per second that one thread, and ``cores`` threads together, read and write as they copy.

    Parameters
    ----------
    cores : int
        Threads of the second measurement.
    size : int, optional
        Bytes of an array; by default much larger than the caches.

    Returns
    -------
    float, float
        A copy of n bytes counts as 2 n, as in STREAM: n are read and n are written.
    """
    size = size or array_size()
    source, target = np.ones(size // 8), np.zeros(size // 8)
    with ThreadPoolExecutor(cores) as threads:
        return tuple(_copy_rate(threads, n, source, target, clock, copy) for n in (1, cores))  # type: ignore[return-value]


def _copy_rate(
    threads: ThreadPoolExecutor, count: int, source: np.ndarray, target: np.ndarray, clock: Clock, copy: Copy
) -> float:
    """The same for so many threads, each with a part of the array."""
    targets, sources = np.array_split(target, count), np.array_split(source, count)
    fastest = float("inf")
    for _ in range(ROUNDS):
        began = clock()
        list(threads.map(copy, targets, sources))
        fastest = min(fastest, clock() - began)
    return 2 * source.nbytes / fastest


def array_size() -> int:
    """Bytes of an array that no cache holds, as far as memory allows."""
    return min(max(TIMES_CACHE * cache_bytes(), 64 << 20), LARGEST, max(8 << 20, usable_memory() // MEMORY_SHARE))


def cache_bytes() -> int:
    """Bytes of the largest cache that a core uses."""
    found = [_size(path.read_text()) for path in CACHES.glob("index*/size")]
    return max(found, default=CACHE_BYTES)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)", text.strip())
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]] if match else 0


# --- serialisation ---------------------------------------------------------------------------------------------------


def pickle_rate(clock: Clock = time.perf_counter) -> float:
    """Bytes per second that cloudpickle writes and pickle reads again, of Python objects as people have them."""
    import cloudpickle

    items = [{"id": i, "name": f"name {i}", "values": [i / 7, None, True]} for i in range(5_000)]
    return there_and_back(lambda: cloudpickle.dumps(items, pickle.HIGHEST_PROTOCOL), pickle.loads, clock)


def arrow_rate(clock: Clock = time.perf_counter) -> float:
    """Bytes per second of a table that is written as an Arrow stream and read again."""
    import pyarrow as pa

    numbers = np.arange(1_000_000)
    table = pa.table(
        {"id": numbers, "value": numbers / 7, "kind": pa.array(["north", "south", None, "east"] * 250_000)}
    )

    def write() -> Any:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue()

    return there_and_back(write, lambda data: pa.ipc.open_stream(data).read_all(), clock)


def there_and_back(
    write: Callable[[], Any], read: Callable[[Any], Any], clock: Clock, seconds: float = SERIAL_SECONDS
) -> float:
    """Bytes per second, all that is written and read again for so long; the first time does not count."""
    read(write())
    began, size = clock(), 0
    while (took := clock() - began) < seconds or not size:
        data = write()
        read(data)
        size += len(data)
    return size / took
