"""What this machine is, as measured: for people to read beside textbooks, and for the planner.

Measured once and kept in the user's cache for a week, one file for each machine as it is now: after a reboot, with
other cores or another limit of memory, it is another machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from shardwise import records
from shardwise._version import __version__
from shardwise.compute.machine import memory_limit, total_memory, usable_cores
from shardwise.errors import StorageError
from shardwise.plan.machine_storage import Storage, measure_storage
from shardwise.plan.machine_workers import Link, Starts
from shardwise.storage.local import LocalStore
from shardwise.storage.places import cache_directory

STALE_SECONDS = 7 * 86400
"""Disks fill, clouds move virtual machines: after a week it is measured again."""

ENGINES = ("inline", "local")
"""What a task costs is measured of these; others take long to start."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as measured. Bytes, seconds, bytes per second.

    Parameters
    ----------
    host, processor : str
        Its name, and what its processor calls itself.
    measured_at : float
        Seconds since 1970.
    cores : int
        That this process may keep busy: affinity and container limits are counted in.
    memory : int
        Bytes that the machine has.
    memory_limit : int
        Bytes that this process may use of them: the least of what the machine has and the limits of its containers and
        of its user.
    copy_rate, copy_rate_all : float
        Bytes per second that one thread, and as many as there are cores, read and write while they copy arrays larger
        than the caches.
    pickle_rate, arrow_rate : float
        Bytes per second of Python objects through cloudpickle, of tables through Arrow streams, there and back.
    starts : Starts
        Seconds until a worker was ready.
    link : Link
        Between the driver and a worker of this host.
    task_seconds : dict of str to float
        By engine: what a task costs beside its work, one after another on one slot.
    storages : tuple of Storage
        Those measured so far.
    """

    host: str
    processor: str
    measured_at: float
    cores: int
    memory: int
    memory_limit: int
    copy_rate: float
    copy_rate_all: float
    pickle_rate: float
    arrow_rate: float
    starts: Starts
    link: Link
    task_seconds: dict[str, float] = field(default_factory=dict)
    storages: tuple[Storage, ...] = ()

    def storage(self, directory: str = ".") -> Storage | None:
        """The storage that holds a directory, where it was measured."""
        try:
            device = Path(directory).stat().st_dev
        except OSError:
            return None
        return next((storage for storage in self.storages if storage.device == device), None)


def load(now: float | None = None) -> Machine | None:
    """What is known of this machine; None where it was not measured, or too long ago. Measures nothing."""
    try:
        kept = records.from_json(Machine, _place().read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not whole
        return None
    age = (time.time() if now is None else now) - kept.measured_at
    return kept if 0 <= age < STALE_SECONDS else None


def load_or_measure(
    data: str | None = ".",
    fresh: bool = False,
    measure: Callable[[], Machine] | None = None,
    measure_storage: Callable[[str], Storage] = measure_storage,
) -> Machine:
    """What this machine is, from the cache, or measured now: about 5 s, and 2 s for storage that is not known yet.

    Parameters
    ----------
    data : str, optional
        A directory, whose storage is wanted. None: none.
    fresh : bool
        Measure again whatever is known.
    measure, measure_storage : callable
        What measures.

    Raises
    ------
    UsageError
        There is no such directory.
    """
    machine = None if fresh else load()
    known = machine
    if machine is None:
        machine = (measure or measure_machine)()
    there = None if data is None or fresh else machine.storage(data)
    if data is not None and (there is None or there.read is None):  # another directory of it may be writable
        found = measure_storage(data)
        others = tuple(storage for storage in machine.storages if storage.device != found.device)
        machine = replace(machine, storages=(*others, found))
    if machine is not known:
        _keep(machine)
    return machine


def measure_machine() -> Machine:
    """Measure all but storage, one after another."""
    from shardwise.engines.registry import make_engine
    from shardwise.plan.machine_memory import arrow_rate, copy_rates, pickle_rate
    from shardwise.plan.machine_workers import measure_link, measure_starts, task_seconds

    cores = usable_cores()
    one, together = copy_rates(cores)
    return Machine(
        socket.gethostname(),
        processor(),
        time.time(),
        cores,
        total_memory(),
        memory_limit(),
        one,
        together,
        pickle_rate(),
        arrow_rate(),
        measure_starts(),
        measure_link(),
        {name: task_seconds(make_engine(name)) for name in ENGINES},
    )


def with_task(machine: Machine, engine: str, fresh: bool = False) -> Machine:
    """The machine, with what a task costs on an engine as well; kept.

    Raises
    ------
    ShardwiseError
        The engine lends nothing; the message says why.
    """
    if engine in machine.task_seconds and not fresh:
        return machine
    from shardwise.engines.registry import make_engine
    from shardwise.plan.machine_workers import task_seconds

    seconds = task_seconds(make_engine(engine))
    machine = replace(machine, task_seconds={**machine.task_seconds, engine: seconds})
    _keep(machine)
    return machine


def processor() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _place() -> Path:
    """Where this machine, as it is now, is kept."""
    is_now = [
        __version__,
        socket.gethostname(),
        _boot(),
        processor(),
        sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        usable_cores(),
        memory_limit(),
        sys.version_info[:2],
    ]
    name = hashlib.blake2b(json.dumps(is_now).encode(), digest_size=8).hexdigest()
    return cache_directory() / "machines" / f"{name}.json"


def _boot() -> str:
    """What is another one after each boot of the kernel; empty where it does not tell."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _keep(machine: Machine) -> None:
    """Write it down, and delete what nobody reads any more. Whoever cannot write measures again next time."""
    place = _place()
    with contextlib.suppress(StorageError, OSError):
        LocalStore(str(place.parent)).put(place.name, records.to_json(machine).encode())
        for other in place.parent.glob("*.json"):
            if time.time() - other.stat().st_mtime > STALE_SECONDS:
                other.unlink()
