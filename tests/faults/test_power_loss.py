"""Power cuts at every instant of a run, on a disk that keeps its word and no more."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.power_runs import PLANTED, Cut, problems

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
CUTS = {"write": 110, "overwrite": 110, "collect": 80, "group": 15}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In memory where there is a place: thousands of flushes take minutes on a disk that others use."""
    monkeypatch.setattr("shardwise.compute.attempt.CARRIED", 64)  # outputs are files, small as they are
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="shardwise-power-", dir="/dev/shm") as place:
        yield Path(place)


@pytest.mark.parametrize("kind", CUTS)
def test_a_power_cut_at_any_instant_loses_nothing_that_was_promised(kind: str, disk: Path) -> None:
    assert not list(filter(None, problems(Cut(kind, disk), CUTS[kind], SEED)))


@pytest.mark.parametrize("bug", PLANTED)
def test_bugs_that_only_a_power_cut_shows_are_found(bug: str, disk: Path) -> None:
    kind, planted = PLANTED[bug]
    found = next(filter(None, problems(Cut(kind, disk), 400, SEED, planted)), None)
    assert found, f"seed {SEED}: {bug} went unnoticed"
