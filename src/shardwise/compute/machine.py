"""What this machine lets us use: cores and memory, as affinity, container limits and other processes leave them."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNLIMITED = 1 << 60  # cgroup v1 writes "no limit" as a number close to 2^63


def usable_cores() -> int:
    """How many cores this process may keep busy: the smaller of its CPU affinity and its container's CPU quota.

    Returns
    -------
    int
        At least 1. A quota of one and a half cores counts as two.

    Examples
    --------
    >>> usable_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _cpu_quotas()]
    return max(1, min([cores, *quotas]))


def usable_memory() -> int:
    """Bytes that can be used now without swapping or being killed: what the machine has free (page cache counts as
    free), or what the container's limit leaves where that is less.

    Examples
    --------
    >>> usable_memory() > 1 << 20
    True
    """
    return max(0, min([_free_memory(), *_memory_left()]))


def total_memory() -> int:
    """Bytes of physical memory that the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE


def memory_limit() -> int:
    """Bytes that this process may use at most, whatever is free now: the least of what the machine has, the limits of
    its containers, and those of its user (``ulimit -v``, ``ulimit -d``).

    Examples
    --------
    >>> 1 << 20 < memory_limit() <= total_memory()
    True
    """
    return min([total_memory(), *(limit for limit, _, _ in _memory_limits()), *_user_limits()])


def _user_limits() -> Iterator[int]:
    import resource

    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield soft


def resident_memory(pid: int | None = None) -> int:
    """Bytes of physical memory that this process, or another one, holds now; 0 where that one is gone."""
    try:
        return int(_of_kernel(f"/proc/{pid or 'self'}/statm").split()[1]) * _PAGE
    except (OSError, IndexError):
        if sys.platform == "linux":
            return 0
        import psutil

        return int(psutil.Process(pid).memory_info().rss)


def queued_seconds() -> float:
    """Seconds that this thread waited for a processor, since it began; 0 where nobody tells (not Linux)."""
    try:
        return int(_of_kernel("/proc/thread-self/schedstat").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def memory_of_children() -> int:
    """Bytes of physical memory that the processes below this one hold now; what several share counts once for each
    only in part (PSS), where the kernel can tell (Linux)."""
    import psutil

    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_full_info().pss if sys.platform == "linux" else child.memory_info().rss
        except psutil.Error:  # it has ended
            continue
    return total


def peak_memory() -> int:
    """Most bytes of physical memory that this process held since it began, or since `forget_peak_memory`.

    Notes
    -----
    On Linux ``getrusage`` would also count the parent's peak (a child that is started by ``vfork`` inherits it), so
    the high-water mark is read from ``/proc``.
    """
    try:
        status = _of_kernel("/proc/self/status")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    found = re.search(rb"VmHWM:\s*(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else resident_memory()


def forget_peak_memory() -> None:
    """Start to measure the peak anew, where the kernel can (Linux); elsewhere the peak stays that of the process."""
    try:
        Path("/proc/self/clear_refs").write_bytes(b"5")
    except OSError:
        pass


def _of_kernel(path: str) -> bytes:
    """A short file of ``/proc``, read at once: this happens several times a task."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 14)
    finally:
        os.close(descriptor)


def oom_kills() -> int | None:
    """How many processes of this container (or else of this machine) the kernel has killed for lack of memory."""
    for group in _groups_v2():
        if (count := _keyed_number(group / "memory.events", b"oom_kill")) is not None:
            return count
    for group in _groups_v1("memory"):
        if (count := _keyed_number(group / "memory.oom_control", b"oom_kill")) is not None:
            return count
    return _keyed_number(Path("/proc/vmstat"), b"oom_kill")


def _free_memory() -> int:
    if (free := _keyed_number(Path("/proc/meminfo"), b"MemAvailable:")) is not None:
        return free * 1024
    import psutil

    return int(psutil.virtual_memory().available)


def _cpu_quotas() -> Iterator[float]:
    for group in _groups_v2():
        fields = _read(group / "cpu.max").split()
        if len(fields) == 2 and fields[0] != b"max":
            yield int(fields[0]) / int(fields[1])
    for group in _groups_v1("cpu"):
        quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        if quota and period and quota > 0:
            yield quota / period


def _memory_left() -> Iterator[int]:
    for limit, group, (usage_file, cache) in _memory_limits():
        used = _number(group / usage_file)
        if used is not None:
            yield limit - used + (_keyed_number(group / "memory.stat", cache) or 0)


def _memory_limits() -> Iterator[tuple[int, Path, tuple[str, bytes]]]:
    """Limits of the control groups of this process, and where each says how much is used."""
    for group in _groups_v2():
        limit = _number(group / "memory.max")
        if limit is not None and limit < _UNLIMITED:
            yield limit, group, ("memory.current", b"inactive_file")
    for group in _groups_v1("memory"):
        limit = _number(group / "memory.limit_in_bytes")
        if limit is not None and limit < _UNLIMITED:
            yield limit, group, ("memory.usage_in_bytes", b"total_inactive_file")


def _groups_v2() -> Iterator[Path]:
    """The control groups of this process, innermost first (all their limits hold)."""
    for line in _read(Path("/proc/self/cgroup")).decode(errors="replace").splitlines():
        if line.startswith("0::"):
            yield from _upwards(CGROUPS, line[3:])


def _groups_v1(controller: str) -> Iterator[Path]:
    for line in _read(Path("/proc/self/cgroup")).decode(errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            yield from _upwards(CGROUPS / controller, path)


def _upwards(root: Path, path: str) -> Iterator[Path]:
    parts = path.strip("/").split("/")
    if ".." not in parts:  # seen from inside a container the path may lie outside its own view
        for depth in range(len(parts), 0, -1):
            yield root.joinpath(*parts[:depth])
    yield root


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.lstrip(b"-").isdigit() else None


def _keyed_number(path: Path, key: bytes) -> int | None:
    for line in _read(path).splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[0] == key:
            return int(fields[1])
    return None
