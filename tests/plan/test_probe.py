"""Looking at an engine: slots are counted, hosts compared, and all of it is given back."""

from __future__ import annotations

from typing import Any

import pytest

from shardwise.engines.handshake import about_this_host
from shardwise.engines.lending import LendingEngine
from shardwise.engines.protocol import EngineEvent, SlotUp, Want
from shardwise.engines.room import Room
from shardwise.plan import probe


class Cluster:
    """An engine of three slots on two hosts, which say of themselves what a test wants."""

    name = "fake"
    reach = "network"

    def __init__(self, *hellos: dict[str, Any], slots: int = 3) -> None:
        self.hellos = hellos
        self.slots = slots
        self.wanted: Want | None = None
        self.closed = False
        self.on_hello = self.refuse_if_unfit = LendingEngine.refuse_if_unfit.__get__(self)
        self._proof = None

    def room(self) -> Room | None:
        return Room(self.slots, 2, 8, 1 << 30) if self.wanted else None

    def open(self, want: Want) -> None:
        self.wanted = want
        self._left: list[EngineEvent] = [SlotUp(n, self.hellos[n % len(self.hellos)]["host"], n) for n in range(3)]
        for hello in self.hellos:
            self.on_hello(hello)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        return [self._left.pop(0)] if self._left else []

    def close(self) -> None:
        self.closed = True


def look(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, workers: int | None = None) -> probe.ClusterState:
    monkeypatch.setattr(probe, "make_engine", lambda url: cluster)
    found = probe.probe_cluster("fake://there", workers)
    assert cluster.closed
    return found


def test_all_slots_of_a_cluster_are_counted_by_host(monkeypatch: pytest.MonkeyPatch) -> None:
    here = about_this_host()
    cluster = Cluster({**here, "host": "a"}, {**here, "host": "b"})
    found = look(cluster, monkeypatch)
    assert cluster.wanted == Want(0)
    assert {host.host: host.slots for host in found.hosts} == {"a": 2, "b": 1}
    assert found.ready and found.room == Room(3, 2, 8, 1 << 30)
    assert found.hosts[0].versions == here["versions"]


def test_every_host_that_differs_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    here = about_this_host()
    old = {**here, "host": "old", "versions": {**here["versions"], "duckdb": "1.0"}}
    odd = {**here, "host": "odd", "canary": {**here["canary"], "exp": "0"}}
    found = look(Cluster(old, odd, {**here, "host": "fit"}), monkeypatch)
    assert not found.ready
    lacks = {host.host: " ".join(host.lacks) for host in found.hosts}
    assert "duckdb 1.0" in lacks["old"] and "computes exp" in lacks["odd"] and lacks["fit"] == ""
    assert "pip install" in found.hosts[0].fixes[0]


def test_fewer_slots_than_there_is_room_for_are_all_that_come(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(Cluster(about_this_host(), slots=10), monkeypatch)
    assert sum(host.slots for host in found.hosts) == 3
    assert found.ready


def test_as_many_as_a_person_wants_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(about_this_host())
    found = look(cluster, monkeypatch, workers=2)
    assert cluster.wanted == Want(2)
    assert sum(host.slots for host in found.hosts) == 2


def test_the_engines_of_this_host() -> None:
    assert sum(host.slots for host in probe.probe_cluster("local:2").hosts) >= 1
    assert [host.slots for host in probe.probe_cluster("inline").hosts] == [1]
    states = {state.name: state for state in probe.probe_engines()}
    assert states["inline"].ready and states["local"].ready
    assert all(len(state.lacks) == len(state.fixes) for state in states.values())
