"""``shardwise probe``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shardwise.cli import main as cli
from shardwise.engines.room import Room
from shardwise.plan import probe
from shardwise.plan.probe import ClusterState, EngineState, HostState

ENGINES = [
    EngineState("inline", "", (), ()),
    EngineState("mars", "1.2", ("there is no Java",), ("apt install it",), "mars-engine"),
]
FIT = HostState("a", 2, {"Python": "3.11", "duckdb": "2.0.0"})
UNFIT = HostState("b", 1, {"Python": "3.11", "duckdb": "1.0"}, ("b has other versions",), ("pip install duckdb",))


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe_engines", lambda: ENGINES)


def cluster(monkeypatch: pytest.MonkeyPatch, *hosts: HostState) -> list[Any]:
    asked: list[Any] = []

    def found(*about: Any) -> ClusterState:
        asked.append(about)
        return ClusterState("mars://x", Room(4, 2, 8.0, 32 << 30), hosts, 1.25)

    monkeypatch.setattr(probe, "probe_cluster", found)
    return asked


def test_each_engine_has_a_line_and_what_is_missing_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[:3] for line in out.splitlines()[2:]] == [["inline", "ready", "-"], ["mars", "not", "ready"]]
    assert "mars: there is no Java\n  fix: apt install it\n" in err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--json"]) == 0
    _, mars = json.loads(capsys.readouterr().out)["engines"]
    assert mars == {
        "name": "mars",
        "ready": False,
        "version": "1.2",
        "provider": "mars-engine",
        "lacks": [{"what": "there is no Java", "fix": "apt install it"}],
    }


def test_a_cluster_that_is_fit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = cluster(monkeypatch, FIT)
    assert cli.main(["probe", "--engine", "mars://x", "--workers", "3", "--run-dir", "/there"]) == 0
    assert asked == [("mars://x", 3, "/there")]
    out, err = capsys.readouterr()
    assert "as here" in out and "2.0.0" in out
    assert "2 slots on 1 host came up; it has 2 nodes with 8 CPUs, 34.4 GB: room for 4 slots" in err


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
