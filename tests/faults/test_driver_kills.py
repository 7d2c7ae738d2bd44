"""SIGKILL of the driver at seeded instants: the same command goes on to the same bytes, and runs nothing twice."""

from __future__ import annotations

import functools
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from faults.place import KINDS, SHARD_SIZES, Place, make_data

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
INSTANTS = 7  # times three kinds


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"), SEED)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Callable[[str], tuple[str, float]]:
    """Digest of an undisturbed run of a kind, and how long it took."""

    @functools.cache
    def whole(kind: str) -> tuple[str, float]:
        started = time.monotonic()
        digest, _, _ = Place(tmp_path_factory.mktemp("whole") / kind, kind, data).finish()
        return digest, time.monotonic() - started

    return whole


def die_with(victim: subprocess.Popen[str], after: float) -> list[psutil.Process]:
    """Kill a driver ``after`` seconds (if it is still there); returns the workers that it had."""
    try:
        victim.wait(after)
    except subprocess.TimeoutExpired:
        pass
    try:
        workers = psutil.Process(victim.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        workers = []
    victim.kill()
    victim.communicate()
    return workers


@pytest.mark.parametrize("number", range(INSTANTS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_driver_loses_nothing(
    kind: str, number: int, tmp_path: Path, data: Path, expected: Callable[[str], tuple[str, float]]
) -> None:
    digest, seconds = expected(kind)
    chance = random.Random(f"{SEED} {kind} {number}")
    place = Place(tmp_path / kind, kind, data)
    workers = die_with(place.start(), chance.uniform(0.15, 1.0) * seconds)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, f"workers outlived their driver (seed {SEED})"
    committed, before = place.committed(), place.seen()
    other = {"shard_size": chance.choice(SHARD_SIZES)} if number % 2 else {}
    assert place.finish(**other)[0] == digest, f"other bytes after a kill (seed {SEED})"
    again = place.seen() - before
    assert not committed & set(again), f"committed batches ran again (seed {SEED}): {sorted(committed & set(again))}"
    assert not place.committed_twice(), f"committed twice (seed {SEED})"
    assert not place.garbage(), f"left behind (seed {SEED})"


def test_a_finished_run_answers_without_running_anything(tmp_path: Path, data: Path) -> None:
    place = Place(tmp_path / "write", "write", data)
    first = place.finish()
    before = place.seen()
    digest, tasks, resumed = place.finish(shard_size="1MB")
    assert digest == first[0]
    assert tasks == resumed
    assert place.seen() == before
