"""SIGKILL of the driver at seeded instants: the same command goes on to the same bytes, and runs nothing twice."""

from __future__ import annotations

import functools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.run.directory import RunDirectory

VICTIM = Path(__file__).with_name("victim.py")
SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
KINDS = ("aggregate", "map", "write")
INSTANTS = 7  # times three kinds
FILES, ROWS, BATCH = 4, 6000, 500


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(SEED)
    for number in range(FILES):
        table = pa.table(
            {"k": rng.integers(0, 5, ROWS), "x": rng.standard_normal(ROWS) * 10.0 ** rng.integers(-9, 9, ROWS)}
        )
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=BATCH)
    return directory


class Place:
    """Where one job writes, and how it is run."""

    def __init__(self, root: Path, kind: str, data: Path) -> None:
        self.kind, self.data, self.root = kind, data, root
        root.mkdir(parents=True, exist_ok=True)
        self.log = root / "log"

    def start(self, **options: str) -> subprocess.Popen[str]:
        pairs = [f"{k}={v}" for k, v in {"run_dir": str(self.root / "run"), "shard_size": "9kB", **options}.items()]
        command = [
            sys.executable,
            str(VICTIM),
            self.kind,
            str(self.data),
            str(self.root / "out"),
            str(self.log),
            *pairs,
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def finish(self, **options: str) -> tuple[str, int, int]:
        out, err = self.start(**options).communicate(timeout=120)
        assert out, err
        digest, tasks, resumed = out.split()
        return digest, int(tasks), int(resumed)

    def seen(self) -> Counter[str]:
        return Counter(self.log.read_text().split()) if self.log.exists() else Counter()

    def committed(self) -> set[str]:
        """Batches that the journal names, as the log writes them."""
        if not (self.root / "run" / "journal").exists():
            return set()
        stage = {"aggregate": "partial", "map": "collect", "write": "write"}[self.kind]
        per_file = ROWS // BATCH
        commits = RunDirectory.read(str(self.root / "run")).committed(stage)
        return {f"{o // per_file}:{o % per_file}" for c in commits for o in range(c.first, c.last)}


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
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive, f"workers outlived their driver (seed {SEED})"
    committed, before = place.committed(), place.seen()
    other = {"shard_size": chance.choice(["3kB", "40kB", "1MB"])} if number % 2 else {}
    assert place.finish(**other)[0] == digest, f"other bytes after a kill (seed {SEED})"
    again = place.seen() - before
    assert not committed & set(again), f"committed batches ran again (seed {SEED}): {sorted(committed & set(again))}"


def test_a_finished_run_answers_without_running_anything(tmp_path: Path, data: Path) -> None:
    place = Place(tmp_path / "write", "write", data)
    first = place.finish()
    before = place.seen()
    digest, tasks, resumed = place.finish(shard_size="1MB")
    assert digest == first[0]
    assert tasks == resumed
    assert place.seen() == before
