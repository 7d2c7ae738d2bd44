"""``shardwise probe``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shardwise.cli import main as cli
from shardwise.engines.room import Room
from shardwise.errors import EngineError
from shardwise.plan import machine, probe
from shardwise.plan.machine import Machine
from shardwise.plan.machine_storage import Storage
from shardwise.plan.machine_workers import Link, Starts
from shardwise.plan.probe import ClusterState, EngineState, HostState

ENGINES = [
    EngineState("inline", "", (), ()),
    EngineState("mars", "1.2", ("there is no Java",), ("apt install it",), "mars-engine"),
]
FIT = HostState("a", 2, {"Python": "3.11", "duckdb": "2.0.0"})
UNFIT = HostState("b", 1, {"Python": "3.11", "duckdb": "1.0"}, ("b has other versions",), ("pip install duckdb",))


DISK = Storage("/data", "xfs on /dev/sda1", Path().stat().st_dev, 0.52e9, 0.31e9, "direct", 256 << 20)
MACHINE = Machine(
    "here", "a processor", 0.0, 4, 16 * 10**9, 8 * 10**9, 20e9, 35e9, 80e6, 2e9,
    Starts(0.5, 0.0123, 0.1), Link(3e-4, 1e9), {"inline": 1e-4}, (DISK,),
)  # fmt: skip


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked for, of a machine that is known."""
    asked: list[Any] = []
    monkeypatch.setattr(probe, "probe_engines", lambda: ENGINES)
    monkeypatch.setattr(machine, "load_or_measure", lambda *about: asked.append(about) or MACHINE)
    return asked


def cluster(monkeypatch: pytest.MonkeyPatch, *hosts: HostState) -> list[Any]:
    asked: list[Any] = []

    def found(*about: Any, measure: bool) -> ClusterState:
        asked.append((*about, measure))
        return ClusterState("mars://x", Room(4, 2, 8.0, 32 << 30), hosts, 1.25, task_seconds=0.00042)

    monkeypatch.setattr(probe, "probe_cluster", found)
    return asked


@pytest.fixture(autouse=True)
def _as_wide_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_each_engine_has_a_line_and_what_is_missing_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe"]) == 0
    out, err = capsys.readouterr()
    engines = out.partition("\n\n")[2].splitlines()
    assert [line.split()[:3] for line in engines[2:]] == [["inline", "ready", "-"], ["mars", "not", "ready"]]
    assert "mars: there is no Java\n  fix: apt install it\n" in err


def test_what_this_machine_is_stands_beside_the_textbook(
    capsys: pytest.CaptureFixture[str], measured: list[Any]
) -> None:
    assert cli.main(["probe", "--fresh"]) == 0
    out, err = capsys.readouterr()
    lines = out.partition("\n\n")[0].splitlines()
    assert lines[0].split() == ["what", "here", "to", "compare"]
    about = {re.split(r" {2,}", line.strip())[0]: re.split(r" {2,}", line.strip())[1:] for line in lines[2:]}
    assert about["memory limit"][0] == "8.00 GB"
    assert about["memory copied, 1 thread"] == ["20.0 GB/s", "memory: about 50 GB/s"]
    assert about["memory copied, 4 threads"] == ["35.0 GB/s", "1.8 x one thread: workers share it"]
    assert about["read, xfs on /dev/sda1"] == ["520 MB/s", "SATA SSD 0.5 GB/s, hard disk 0.1 GB/s"]
    assert about["how it was read"] == ["direct", "past the page cache (O_DIRECT)"]
    assert about["driver to worker"] == ["1.00 GB/s", "1 Gb/s network: 0.125 GB/s"]
    assert about["worker, forked"][0] == "12.3 ms" and about["a task on inline"][0] == "100 us"
    assert measured == [(".", True)]
    assert "Measuring this machine" in err


def test_tasks_on_all_engines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def measured(known: Machine, engine: str) -> Machine:
        if engine == "broken":
            raise EngineError("nobody answers")
        return replace(known, task_seconds={**known.task_seconds, engine: 0.002})

    monkeypatch.setattr(machine, "with_task", measured)
    monkeypatch.setattr(probe, "probe_engines", lambda: [*ENGINES, EngineState("broken", "1", (), ())])
    assert cli.main(["probe", "--all"]) == 0
    out, err = capsys.readouterr()
    assert "a task on inline" in out and "2.00 ms" in out and "a task on mars" not in out
    assert "broken: nobody answers" in err


def test_another_directory_can_be_measured(measured: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--data", "/proc"]) == 0
    assert measured == [("/proc", False)]
    assert "xfs" not in capsys.readouterr().out  # nothing is said of storage that was not measured


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert found["machine"]["copy_rate"] == 20e9 and found["machine"]["cores"] == 4
    assert found["machine"]["storage"]["read"] == 0.52e9 and found["machine"]["storage"]["how"] == "direct"
    assert found["machine"]["task_seconds"] == {"inline": 1e-4}
    assert found["engines"][1] == {
        "name": "mars",
        "ready": False,
        "version": "1.2",
        "provider": "mars-engine",
        "lacks": [{"what": "there is no Java", "fix": "apt install it"}],
    }


def test_a_file_system_in_memory_is_called_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cached = replace(MACHINE, storages=(replace(DISK, how="cached"),))
    monkeypatch.setattr(machine, "load_or_measure", lambda *about: cached)
    assert cli.main(["probe"]) == 0
    assert "this is no storage's speed" in capsys.readouterr().out


def test_a_cluster_that_is_fit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = cluster(monkeypatch, FIT)
    assert cli.main(["probe", "--engine", "mars://x", "--workers", "3", "--run-dir", "/there"]) == 0
    assert asked == [("mars://x", 3, "/there", True)]
    out, err = capsys.readouterr()
    assert "as here" in out and "2.0.0" in out
    assert "2 slots on 1 host came up; it has 2 nodes with 8 CPUs, 34.4 GB: room for 4 slots" in err
    assert "a task costs 420 us beside its work" in err


def test_a_cluster_that_is_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster(monkeypatch, FIT, UNFIT)
    assert cli.main(["probe", "--engine", "mars://x", "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["ready"], found["slots"], found["room"]["cpus"]) == (False, 3, 8.0)
    assert found["hosts"][1]["lacks"] == [{"what": "b has other versions", "fix": "pip install duckdb"}]
    assert "error[E600]: b has other versions\n  fix: pip install duckdb" in err


def test_options_of_a_look_need_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--workers", "3"]) == 2
    assert "--engine URL" in capsys.readouterr().err
