"""Limits of containers, read from control groups made up for the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from shardwise.compute import machine


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group file system in which this process is in /a/b; ``lines`` of /proc/self/cgroup may be replaced."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    real_read = machine._read
    fake = {"/proc/self/cgroup": b"0::/a/b\n"}
    monkeypatch.setattr(machine, "_read", lambda path: fake.get(str(path)) or real_read(path))
    monkeypatch.setattr(machine, "_free_memory", lambda: 10_000)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "cgroup").write_text("unused")
    monkeypatch.setattr(machine, "fake", fake, raising=False)
    return tmp_path


def test_the_tightest_quota_of_all_groups_counts(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert machine.usable_cores() == 16
    (groups / "a" / "cpu.max").write_text("350000 100000\n")
    (groups / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert machine.usable_cores() == 4
    (groups / "cpu.max").write_text("20000 100000\n")
    assert machine.usable_cores() == 1


def test_memory_is_what_the_limit_leaves(groups: Path) -> None:
    assert machine.usable_memory() == 10_000
    inner = groups / "a" / "b"
    (inner / "memory.max").write_text("5000\n")
    (inner / "memory.current").write_text("4000\n")
    (inner / "memory.stat").write_text("anon 10\ninactive_file 1500\n")
    assert machine.usable_memory() == 2500
    (inner / "memory.max").write_text("max\n")
    assert machine.usable_memory() == 10_000


def test_older_control_groups(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    machine.fake["/proc/self/cgroup"] = b"5:cpu,cpuacct:/x\n4:memory:/y\n"  # type: ignore[attr-defined]
    for path, text in {
        "cpu/x/cpu.cfs_quota_us": "200000",
        "cpu/x/cpu.cfs_period_us": "100000",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/y/memory.limit_in_bytes": "7000",
        "memory/y/memory.usage_in_bytes": "1000",
        "memory/memory.limit_in_bytes": str(2**63 - 4096),
        "memory/memory.usage_in_bytes": "1000",
        "memory/y/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    }.items():
        (groups / path).parent.mkdir(parents=True, exist_ok=True)
        (groups / path).write_text(text + "\n")
    assert machine.usable_cores() == 2
    assert machine.usable_memory() == 6000
    assert machine.oom_kills() == 3


def test_kills_for_lack_of_memory_are_counted(groups: Path) -> None:
    (groups / "a" / "b" / "memory.events").write_text("oom 9\noom_kill 2\n")
    assert machine.oom_kills() == 2


def test_a_group_seen_from_inside_a_container(groups: Path) -> None:
    machine.fake["/proc/self/cgroup"] = b"0::/../../elsewhere\n"  # type: ignore[attr-defined]
    (groups / "memory.max").write_text("3000\n")
    (groups / "memory.current").write_text("1000\n")
    assert machine.usable_memory() == 2000


def test_peak_memory_follows_what_is_held() -> None:
    machine.forget_peak_memory()
    before = machine.peak_memory()
    held = bytearray(64 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    assert machine.resident_memory() >= before + (32 << 20)
    del held
    assert machine.peak_memory() >= before + (32 << 20)
