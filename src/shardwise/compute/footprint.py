"""How much memory a process and all that it started hold: measured from outside, so nothing in them can hinder it.

Memory that is shared among them (pages of a forked child that it has not written to, shared segments) counts once.
Pages of mapped files count up to ``MAPPED``: a worker's libraries do, a mapped file of data does not, as the kernel
takes its pages back whenever it needs them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from shardwise.compute.machine import resident_memory

MAPPED = 64 << 20
"""Bytes of mapped files that count."""

_PROC = sys.platform == "linux"


class Footprint:
    """Memory of a process and of those that it started.

    Parameters
    ----------
    pid : int
        The process; the leader of its session, if it started others that live longer than those between.

    Examples
    --------
    >>> Footprint(os.getpid()).held() > 1 << 20
    True
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.others: tuple[int, ...] = ()  # what it started; `relatives` finds them

    def held(self, limit: int = 0) -> int:
        """Bytes held now. What is surely below ``limit`` is measured quickly and may count shared pages twice."""
        pids = (self.pid, *self.others)
        if not _PROC:
            return sum(map(_by_psutil, pids))
        quick = sum(map(resident_memory, pids))
        if quick <= limit:
            return quick
        return _own(self.pid) if not self.others else _together(pids)


class Relatives:
    """Finds what processes have started. A process is looked at once, and again only if it is a relative."""

    def __init__(self) -> None:
        self._strangers: set[str] = set()

    def find(self, footprints: Iterable[Footprint], meanwhile: Callable[[], object] = lambda: None) -> None:
        """Bring ``others`` of each footprint up to date; ``meanwhile`` is called before each process looked at: where
        another thread keeps the interpreter's lock, opening, reading, closing wait for it, and there are hundreds."""
        prints = {footprint.pid: footprint for footprint in footprints}
        found: dict[int, list[int]] = {pid: [] for pid in prints}
        for pid, leader in self._leaders(set(prints), meanwhile).items():
            found[leader].append(pid)
        for pid, footprint in prints.items():
            footprint.others = tuple(found[pid])

    def _leaders(self, roots: set[int], meanwhile: Callable[[], object]) -> dict[int, int]:
        """For each relative, the root that it descends from: by its session, or by its parents."""
        parents = self._parents(meanwhile) if _PROC else _parents_by_psutil()
        leaders: dict[int, int] = {}
        for pid in parents:
            line, at = [], pid
            while at in parents and at not in leaders and at not in roots and at not in line:
                line.append(at)
                parent, session = parents[at]
                at = session if session in roots else parent
            leader = at if at in roots else leaders.get(at)
            if leader is not None:
                leaders.update(dict.fromkeys(line, leader))
        self._strangers |= {str(pid) for pid in parents if pid not in leaders and pid not in roots}
        return leaders

    def _parents(self, meanwhile: Callable[[], object]) -> dict[int, tuple[int, int]]:
        """Parent and session of every process that is not known to be a stranger."""
        names = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208  (ten times a second)
        self._strangers &= names
        found = {}
        for name in names - self._strangers:
            meanwhile()
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
                found[int(name)] = int(fields[1]), int(fields[3])
            except (OSError, IndexError):
                continue
        return found


def _own(pid: int) -> int:
    sizes = _sizes(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:", b"VmSwap:", b"RssFile:"))
    return sum(sizes[:3]) + min(sizes[3], MAPPED)


def _together(pids: Iterable[int]) -> int:
    names = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:", b"Pss_File:")
    parts = [_sizes(f"/proc/{pid}/smaps_rollup", names) for pid in pids]
    return sum(sum(sizes[:3]) + min(sizes[3], MAPPED) for sizes in parts)


def _sizes(path: str, names: tuple[bytes, ...]) -> list[int]:
    """Numbers of a file of ``name: n kB`` lines, in bytes; zeros where the process is gone."""
    found = dict.fromkeys(names, 0)
    try:
        with open(path, "rb") as file:
            for line in file:
                name, _, rest = line.partition(b":")
                if name + b":" in found:
                    found[name + b":"] = int(rest.split()[0]) * 1024
    except OSError:
        pass
    return list(found.values())


def _by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _parents_by_psutil() -> dict[int, tuple[int, int]]:
    import psutil

    return {process.pid: (process.info["ppid"], 0) for process in psutil.process_iter(["ppid"])}


def trim() -> None:
    """Give memory that was freed, and is kept for later, back to the system."""
    import ctypes
    import gc

    gc.collect()
    if pyarrow := sys.modules.get("pyarrow"):
        pyarrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):  # glibc
            libc.malloc_trim(0)
