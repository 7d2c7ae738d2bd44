"""How many slots a cluster is asked for."""

from __future__ import annotations

import pytest

import shardwise as sw
from shardwise.plan.choose import Choice, choose


def choice(items: int, workers: int | None, room: int | None, memory: int | None = None) -> Choice:
    work = sw.from_items(list(range(items))).map_items(str).collect().work(sw.Options())
    return choose(work, "mars://there", workers, memory, None, items, far=True, room=room)


@pytest.mark.parametrize(
    ("workers", "room", "asked", "why"),
    [
        (None, 8, 8, "the cluster has room for 8"),
        (None, 1000, 100, "the cluster has room for 1000"),
        (3, None, 3, "--workers"),
    ],
)
def test_as_many_slots_as_there_is_room_and_work_for(
    workers: int | None, room: int | None, asked: int, why: str
) -> None:
    made = choice(100, workers, room)
    assert (made.workers, made.threads) == (asked, 1)
    assert any(why in reason for reason in made.reasons)


def test_a_cluster_that_cannot_be_asked_is_asked_for_as_many_as_cores_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardwise.plan.choose.usable_cores", lambda: 5)
    made = choice(100, None, None)
    assert made.workers == 5
    assert any("as many cores are here" in reason for reason in made.reasons)
