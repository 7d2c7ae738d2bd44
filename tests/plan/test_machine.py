"""What a machine is: each measurement against a world that is known, and what is kept of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shardwise import records
from shardwise.compute import machine as limits
from shardwise.engines.protocol import EngineEvent
from shardwise.engines.simulated import SimulatedEngine
from shardwise.errors import UsageError
from shardwise.plan import machine, machine_memory, machine_storage, machine_workers
from shardwise.plan.machine import Machine, load, load_or_measure
from shardwise.plan.machine_storage import Storage, measure_storage, resident_share
from shardwise.plan.machine_workers import Link, Starts

MB = 1_000_000
KNOWN = Machine(
    "here", "a processor", 0.0, 4, 16 * 10**9, 8 * 10**9, 20e9, 35e9, 80e6, 2e9,
    Starts(0.5, 0.01, 0.1), Link(3e-4, 1e9), {"inline": 1e-4},
)  # fmt: skip


class VirtualTime:
    """A clock that goes on only when something takes time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def take(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class Ticks(VirtualTime):
    """A clock on which each look takes a millisecond, however slow the disk is meanwhile."""

    def __call__(self) -> float:
        self.take(0.001)
        return self.now


# --- rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [500e6, 7e9])
@pytest.mark.parametrize("length", [10, 10**6])
def test_a_reader_that_hands_out_bytes_at_a_known_rate(rate: float, length: int) -> None:
    clock = VirtualTime()
    left = iter([8 * MB] * length)

    def step() -> int:
        count = next(left, 0)
        clock.take(count / rate)
        return count

    size, seconds = machine_storage.timed(step, clock, 1.5)
    assert size / seconds == pytest.approx(rate)
    assert seconds <= 1.5 + 8 * MB / rate  # it ends, however much there is to read


def test_a_copy_counts_what_is_read_and_what_is_written() -> None:
    clock = VirtualTime()
    copied: list[int] = []

    def bus(target: np.ndarray, source: np.ndarray) -> None:
        assert np.shares_memory(target, source) is False
        copied.append(source.nbytes)
        clock.take(2 * source.nbytes / 50e9)  # all threads share it

    one, together = machine_memory.copy_rates(4, 64 * MB, clock, bus)
    assert one == pytest.approx(50e9) and together == pytest.approx(50e9)
    assert set(copied) == {64 * MB, 16 * MB}


def test_the_fastest_copy_counts() -> None:
    clock = VirtualTime()
    slowness = iter([9.0, 1.0, 7.0, 3.0, 2.0] * 2)

    def bus(target: np.ndarray, source: np.ndarray) -> None:
        clock.take(next(slowness) * 2 * source.nbytes / 10e9)

    assert machine_memory.copy_rates(1, 64 * MB, clock, bus)[0] == pytest.approx(10e9)


def test_arrays_are_larger_than_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, size in enumerate(("48K", "2048K", "96M")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(f"{size}\n")
    monkeypatch.setattr(machine_memory, "CACHES", tmp_path)
    monkeypatch.setattr(machine_memory, "usable_memory", lambda: 1 << 40)
    assert machine_memory.array_size() == 384 << 20
    monkeypatch.setattr(machine_memory, "usable_memory", lambda: 1 << 30)
    assert machine_memory.array_size() == 64 << 20  # memory is not filled for it


def test_bytes_there_and_back() -> None:
    clock = VirtualTime()

    def write() -> bytes:
        clock.take(0.01)
        return bytes(MB)

    def read(data: bytes) -> None:
        assert len(data) == MB
        clock.take(0.03)

    assert machine_memory.there_and_back(write, read, clock) == pytest.approx(MB / 0.04)
    assert machine_memory.pickle_rate() > 0 and machine_memory.arrow_rate() > 0


# --- storage ---------------------------------------------------------------------------------------------------------


def test_nothing_is_left_and_little_is_taken(tmp_path: Path) -> None:
    found = measure_storage(str(tmp_path), Ticks(), most=16 << 20)
    assert list(tmp_path.iterdir()) == []
    assert found.directory == str(tmp_path) and found.device == tmp_path.stat().st_dev
    if found.how in machine_storage_ways():
        assert found.size == 16 << 20
        assert found.read is not None and found.write is not None and found.read > 0 and found.write > 0


def machine_storage_ways() -> tuple[str, ...]:
    return "direct", "evicted", "cached"


def test_speeds_are_bytes_over_the_seconds_that_reading_and_writing_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualTime()
    readv, write = os.readv, os.write

    def slow_read(descriptor: int, buffers: Any) -> int:
        count = readv(descriptor, buffers)
        clock.take(count / 500e6)
        return count

    def slow_write(descriptor: int, data: Any) -> int:
        count = write(descriptor, data)
        clock.take(count / 200e6)
        return count

    monkeypatch.setattr(machine_storage.os, "readv", slow_read)
    monkeypatch.setattr(machine_storage.os, "write", slow_write)
    found = measure_storage(str(tmp_path), clock, most=32 << 20)
    assert found.read == pytest.approx(500e6) and found.write == pytest.approx(200e6)


def test_a_slow_disk_does_not_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualTime()
    write = os.write

    def slow_write(descriptor: int, data: Any) -> int:
        clock.take(len(data) / 10e6)
        return write(descriptor, data)

    monkeypatch.setattr(machine_storage.os, "write", slow_write)
    measured = measure_storage(str(tmp_path), clock)
    assert measured.size == 16 << 20 and measured.write == pytest.approx(10e6)


def test_little_room_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(machine_storage.shutil, "disk_usage", lambda place: usage._replace(free=100 * MB))
    found = measure_storage(str(tmp_path))
    assert found.read is None and "too little is free" in found.how
    monkeypatch.setattr(machine_storage.shutil, "disk_usage", lambda place: usage._replace(free=1000 * MB))
    assert measure_storage(str(tmp_path)).size <= 20 * MB


def test_where_nothing_can_be_written_a_file_that_is_there_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*about: Any, **more: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine_storage.tempfile, "mkstemp", refused)
    found = measure_storage(str(tmp_path))
    assert found.read is None and "no file can be written there: Permission denied" in found.how
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(os.urandom(17 << 20))
    with (tmp_path / "large").open("rb") as file:
        os.fsync(file.fileno())
    found = measure_storage(str(tmp_path), Ticks(), most=16 << 20)
    assert found.size == 16 << 20 and found.read is not None and found.write is None


def residents(descriptor: int) -> int:
    """Bytes of a file in the page cache, as util-linux sees it."""
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", f"/proc/{os.getpid()}/fd/{descriptor}"]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(not shutil.which("fincore"), reason="needs fincore of util-linux")
def test_no_page_is_in_the_cache_when_reading_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own word, at the first read; and it was full of them before."""
    seen: list[int] = []
    readv, forget = os.readv, machine_storage.forget

    def read(descriptor: int, buffers: Any) -> int:
        if len(seen) == 1:
            seen.append(residents(descriptor))
        return readv(descriptor, buffers)

    def watched(descriptor: int) -> None:
        seen.append(residents(descriptor))
        forget(descriptor)

    monkeypatch.setattr(machine_storage.os, "readv", read)
    monkeypatch.setattr(machine_storage, "forget", watched)
    found = measure_storage(str(tmp_path), Ticks(), most=16 << 20)
    if found.file_system.startswith("tmpfs"):
        pytest.skip("the file system of temporary files lies in memory")
    assert seen == [16 << 20, 0]


def test_pages_that_stay_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel is not asked to forget, or does not, memory is not given out as storage."""
    monkeypatch.setattr(machine_storage, "forget", lambda descriptor: None)
    assert measure_storage(str(tmp_path), most=8 << 20).how == "cached"


def test_without_direct_reading_pages_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_storage, "DIRECT", 0)
    assert measure_storage(str(tmp_path), most=8 << 20).how in ("evicted", "cached")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no file system in memory")
def test_a_file_system_in_memory_is_no_storage() -> None:
    assert measure_storage("/dev/shm", most=8 << 20).how in ("cached", "too little is free there to measure")


def test_the_share_of_pages_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    with path.open("rb") as file:
        assert resident_share(file.fileno(), 1 << 20) == 1.0


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no directory"):
        measure_storage(str(tmp_path / "nowhere"))


# --- workers and engines ---------------------------------------------------------------------------------------------


class Simulated(SimulatedEngine):
    """A simulated engine on which a wait takes a moment, so that no rounding keeps the clock from a deadline."""

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        return super().wait(None if timeout is None else timeout + 1e-9)


@pytest.mark.parametrize("seconds", [0.002, 0.05])
def test_a_task_costs_what_its_engine_takes(seconds: float) -> None:
    engine = Simulated(1, costs=lambda spec: seconds)
    assert machine_workers.task_seconds(engine, engine.clock) == pytest.approx(seconds, rel=1e-6)


class SlowLink(SimulatedEngine):
    """A simulated engine whose programs travel at 100 MB/s, with the first task that names them."""

    def __init__(self) -> None:
        super().__init__(1, costs=self._seconds)
        self.sizes: dict[str, int] = {}

    def put(self, blob: bytes) -> str:
        ref = super().put(blob)
        self.sizes[ref] = len(blob)
        return ref

    def _seconds(self, spec: Any) -> float:
        return 0.003 + self.sizes.pop(spec.program, 0) / 100e6


def test_the_link_to_a_worker() -> None:
    engine = SlowLink()
    link = machine_workers.measure_link(engine, engine.clock)
    assert link.round_trip == pytest.approx(0.003)
    assert link.rate == pytest.approx(100e6, rel=0.001)


def test_real_workers_start_and_answer() -> None:
    starts = machine_workers.measure_starts()
    assert starts.interpreter > 0
    assert starts.fork is None or (starts.server is not None and 0 < starts.fork < starts.server)
    link = machine_workers.measure_link()
    assert 0 < link.round_trip < 10 and link.rate > 0


def test_this_very_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "LARGEST", 16 << 20)
    found = load_or_measure(str(tmp_path))
    assert found.cores == limits.usable_cores() and found.memory_limit <= found.memory
    rates = found.copy_rate, found.copy_rate_all, found.pickle_rate, found.arrow_rate, found.link.rate
    assert min(rates) > 1e4  # so slow is no machine, however busy
    assert set(found.task_seconds) == {"inline", "local"} and min(found.task_seconds.values()) > 0
    assert found.storage(str(tmp_path)) is not None
    assert load() == found


# --- what is kept ----------------------------------------------------------------------------------------------------


class Measures:
    """Counts what is measured."""

    def __init__(self) -> None:
        self.machines = 0
        self.directories: list[str] = []

    def machine(self) -> Machine:
        self.machines += 1
        return replace(KNOWN, measured_at=machine.time.time())

    def storage(self, directory: str) -> Storage:
        self.directories.append(directory)
        return Storage(directory, "ext4", Path(directory).stat().st_dev, 1e9, 1e9, "direct", 1)

    def look(self, data: str | None = ".", fresh: bool = False) -> Machine:
        return load_or_measure(data, fresh, self.machine, self.storage)


@pytest.fixture
def measures() -> Measures:
    return Measures()


def test_a_machine_is_measured_once(measures: Measures, tmp_path: Path) -> None:
    assert load() is None
    first = measures.look(str(tmp_path))
    assert measures.look(str(tmp_path)) == first == load()
    assert (measures.machines, measures.directories) == (1, [str(tmp_path)])
    assert measures.look(str(tmp_path), fresh=True).cores == 4
    assert (measures.machines, len(measures.directories)) == (2, 2)


def test_other_storage_is_measured_beside_what_is_known(measures: Measures, monkeypatch: pytest.MonkeyPatch) -> None:
    measures.look(None)
    assert measures.directories == []
    measures.look(".")
    devices = iter([111, 222, 222, 222])
    monkeypatch.setattr(machine.Machine, "storage", lambda self, data=".": None)
    monkeypatch.setattr(measures, "storage", lambda data: Storage(data, "nfs", next(devices), 1e8, 1e8, "direct", 1))
    assert len(measures.look(".").storages) == 2
    assert len(measures.look(".").storages) == 3
    assert len(measures.look(".").storages) == 3  # one device has one line
    assert measures.machines == 1


def test_storage_that_could_not_be_measured_is_tried_again(measures: Measures, tmp_path: Path) -> None:
    def cannot(directory: str) -> Storage:
        measures.directories.append(directory)
        return Storage(directory, "nfs", Path(directory).stat().st_dev, None, None, "no file can be written there", 0)

    first = load_or_measure(str(tmp_path), False, measures.machine, cannot)
    assert first.storages[0].read is None
    assert [storage.read for storage in measures.look(str(tmp_path)).storages] == [1e9]


def test_what_a_task_costs_on_another_engine_is_kept(measures: Measures) -> None:
    known = measures.look(None)
    found = machine.with_task(known, "local:1")
    assert found.task_seconds["local:1"] > 0 and found.task_seconds["inline"] == 1e-4
    assert load() == found == machine.with_task(found, "local:1")


def test_after_a_week_it_is_measured_again(measures: Measures) -> None:
    found = measures.look(None)
    assert load(found.measured_at + 6 * 86400) == found
    assert load(found.measured_at + 8 * 86400) is None
    assert load(found.measured_at - 3600) is None  # a clock that was set back


@pytest.mark.parametrize(
    "change",
    [
        ("usable_cores", lambda: 63),
        ("memory_limit", lambda: 123 * MB),
        ("_boot", lambda: "another boot"),
        ("processor", lambda: "another processor"),
    ],
)
def test_another_machine_is_measured_again(
    measures: Measures, change: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    measures.look(None)
    monkeypatch.setattr(machine, *change)
    assert load() is None
    measures.look(None)
    assert measures.machines == 2


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'{"host": "x"}', b"\x00" * 50])
def test_what_is_kept_and_broken_is_measured_again(measures: Measures, garbage: bytes) -> None:
    measures.look(None)
    machine._place().write_bytes(garbage)
    assert load() is None
    assert measures.look(None).cores == 4


def test_what_nobody_reads_any_more_is_deleted(measures: Measures) -> None:
    measures.look(None)
    old = machine._place().with_name("0123456789abcdef.json")
    old.write_text("{}")
    os.utime(old, (0, 0))
    measures.look(None, fresh=True)
    assert not old.exists() and machine._place().exists()


def test_a_cache_that_cannot_be_written_hinders_nobody(
    measures: Measures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "file"))
    assert measures.look(None).cores == 4


def test_a_machine_survives_json() -> None:
    known = replace(KNOWN, storages=(Storage("/", "xfs on /dev/sda1", 7, None, None, "why", 0),))
    assert records.from_json(Machine, json.dumps(records.plain(known))) == known


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(limits, "CGROUPS", tmp_path)
    monkeypatch.setattr(limits, "_groups_v1", lambda controller: iter(()))
    monkeypatch.setattr(limits, "_groups_v2", lambda: iter([tmp_path / "inner", tmp_path]))
    (tmp_path / "inner").mkdir()
    yield tmp_path


def test_the_limit_of_a_container_is_the_memory_that_there_is(cgroup: Path) -> None:
    assert limits.memory_limit() <= limits.total_memory()
    (cgroup / "memory.max").write_text("700000000\n")
    assert limits.memory_limit() == 700 * MB
    (cgroup / "inner" / "memory.max").write_text("500000000\n")
    assert limits.memory_limit() == 500 * MB
    (cgroup / "inner" / "memory.max").write_text("max\n")
    assert limits.memory_limit() == 700 * MB


def test_the_cores_of_a_container_are_those_that_there_are(cgroup: Path) -> None:
    (cgroup / "cpu.max").write_text("100000 100000\n")
    assert limits.usable_cores() == 1


def test_a_users_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (300 * MB, 400 * MB))
    assert limits.memory_limit() == 300 * MB
