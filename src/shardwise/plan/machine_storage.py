"""How fast the storage below a directory reads and writes, without the kernel's page cache in between."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shardwise.errors import UsageError

MOST = 256 << 20
"""Bytes that are written, and read, at most."""

FREE_SHARE = 0.02
"""Of what is free there, at most."""

LEAST = 8 << 20
"""Fewer bytes say nothing."""

BLOCK = 8 << 20

SECONDS = 1.5
"""Writing, and reading, end after so long even if that is not all."""

RESIDENT = 0.01
"""Share of a file's pages that may be in memory before it is read; with more, memory would be measured."""

DIRECT = getattr(os, "O_DIRECT", 0)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Storage:
    """What holds a directory, as measured by one reader and one writer of long runs of bytes.

    Parameters
    ----------
    directory : str
    file_system : str
        Its kind, and what it lies on: ``ext4 on /dev/sda1``; empty: unknown.
    device : int
        Its number, by which directories of the same storage are known.
    read, write : float or None
        Bytes per second; written means flushed. None: not measured.
    how : str
        ``direct``: read past the page cache (O_DIRECT; F_NOCACHE on macOS). ``evicted``: the file's pages were dropped
        from the page cache before, and were seen to be gone. ``cached``: they stayed in memory whatever was asked, so
        that memory was measured. Else why nothing was.
    size : int
        Bytes that were read.
    """

    directory: str
    file_system: str
    device: int
    read: float | None
    write: float | None
    how: str
    size: int


def measure_storage(directory: str, clock: Clock = time.perf_counter, most: int = MOST) -> Storage:
    """Write a file without a name into a directory, have it flushed and forgotten, and read it again.

    What lies behind the kernel (the memory of a disk, of a host of this virtual machine) cannot be excluded. Where
    nothing can be written, the largest file that lies in the directory is read instead.

    Parameters
    ----------
    directory : str
        Nothing is left in it.
    most : int
        Bytes of the file at most; never more than a fiftieth of what is free.

    Raises
    ------
    UsageError
        There is no such directory.
    """
    place = Path(directory).resolve()
    if not place.is_dir():
        raise UsageError(f"there is no directory {directory}", "name the one that holds the data")
    device = place.stat().st_dev
    known = str(place), _file_system(device), device
    size = min(most, int(shutil.disk_usage(place).free * FREE_SHARE)) // BLOCK * BLOCK
    if size < LEAST:
        return _of_existing(place, known, most, "too little is free there to measure", clock)
    try:
        with _unnamed(place) as (writing, reading, is_direct):
            written, write_seconds = _write(writing, size, clock)
            forget(writing)
            how = _how(reading, written, is_direct)
            read, read_seconds = _read(reading, written, clock)
    except OSError as error:
        return _of_existing(place, known, most, f"no file can be written there: {error.strerror}", clock)
    return Storage(*known, _rate(read, read_seconds), _rate(written, write_seconds), how, read)


def _of_existing(place: Path, known: tuple[str, str, int], most: int, why: str, clock: Clock) -> Storage:
    """Where nothing can be written: how fast its largest file is read. ``why`` is what is told where there is none."""
    try:
        files = [path for path in place.iterdir() if path.is_file()]
        largest = max(files, key=lambda path: path.stat().st_size, default=None)
        if largest is None or largest.stat().st_size < LEAST:
            return Storage(*known, None, None, why, 0)
        reading, is_direct = open_past_cache(str(largest))
    except OSError:
        return Storage(*known, None, None, why, 0)
    try:
        forget(reading)
        size = min(most, largest.stat().st_size)
        how = _how(reading, size, is_direct)
        read, seconds = _read(reading, size, clock)
    finally:
        os.close(reading)
    return Storage(*known, _rate(read, seconds), None, how, read)


def _rate(size: int, seconds: float) -> float | None:
    return size / seconds if size and seconds > 0 else None


@contextlib.contextmanager
def _unnamed(place: Path) -> Iterator[tuple[int, int, bool]]:
    """A file that has lost its name already: a descriptor to write, one to read, and whether that one passes the page
    cache by."""
    writing, name = tempfile.mkstemp(prefix=".shardwise-probe-", dir=place)
    opened = [writing]
    try:
        try:
            reading, is_direct = open_past_cache(name)
        finally:
            os.unlink(name)  # noqa: PTH108
        opened.append(reading)
        if hasattr(fcntl, "F_NOCACHE"):
            fcntl.fcntl(writing, fcntl.F_NOCACHE, 1)
        yield writing, reading, is_direct
    finally:
        for descriptor in opened:
            os.close(descriptor)


def open_past_cache(name: str) -> tuple[int, bool]:
    """Open a file to be read past the page cache; with False where that cannot be had."""
    if DIRECT:
        with contextlib.suppress(OSError):
            return os.open(name, os.O_RDONLY | DIRECT), True
    reading = os.open(name, os.O_RDONLY)
    if hasattr(fcntl, "F_NOCACHE"):
        fcntl.fcntl(reading, fcntl.F_NOCACHE, 1)
        return reading, True
    return reading, False


def _write(descriptor: int, size: int, clock: Clock) -> tuple[int, float]:
    """Write random bytes, which nothing on the way makes smaller, and flush them; bytes and seconds."""
    chance = np.random.default_rng()
    written, seconds = 0, 0.0
    while written < size and seconds < SECONDS:
        block = memoryview(chance.bytes(BLOCK))
        began = clock()
        while block:
            count = os.write(descriptor, block)
            written, block = written + count, block[count:]
        getattr(os, "fdatasync", os.fsync)(descriptor)
        seconds += clock() - began
    began = clock()
    os.fsync(descriptor)
    return written, seconds + clock() - began


def forget(descriptor: int) -> None:
    """Ask the kernel to drop a file, which was flushed, from its page cache."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _how(descriptor: int, size: int, is_direct: bool) -> str:
    share = resident_share(descriptor, size)
    if share is not None and share > RESIDENT:  # also of a file system in memory, where O_DIRECT passes nothing by
        return "cached"
    return "direct" if is_direct else "evicted" if share is not None else "cached"


def _read(descriptor: int, size: int, clock: Clock) -> tuple[int, float]:
    """Read so many bytes from the start, or for as long as is allowed; bytes and seconds."""
    blocks = -(-size // BLOCK)
    with mmap.mmap(-1, BLOCK) as block:  # begins at a page, as O_DIRECT wants
        steps = iter(range(blocks))
        return timed(lambda: 0 if next(steps, None) is None else os.readv(descriptor, [block]), clock, SECONDS)


def timed(step: Callable[[], int], clock: Clock, most: float) -> tuple[int, float]:
    """Bytes that steps say, until one says 0 or so many seconds are over; and the seconds."""
    done, began = 0, clock()
    while True:
        count = step()
        done += count
        seconds = clock() - began
        if not count or seconds >= most:
            return done, seconds


def resident_share(descriptor: int, size: int) -> float | None:
    """Share of a file's pages that are in the page cache, by mincore(2); None where the kernel does not tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mincore") or not size:
        return None
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    if at in (None, ctypes.c_void_p(-1).value):
        return None
    pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    try:
        if libc.mincore(at, size, pages) != 0:
            return None
    finally:
        libc.munmap(at, size)
    return float((np.frombuffer(pages.raw, np.uint8) & 1).mean())


def _file_system(device: int) -> str:
    """Kind of the file system of a device, and what it lies on, as the kernel says."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            here, _, there = line.partition(" - ")
            if here.split()[2] == number:
                kind, source = there.split()[:2]
                return f"{kind} on {source}" if source.startswith("/") else kind
    return ""
