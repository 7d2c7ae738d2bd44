"""One run, three engines: begun on local processes, its driver SIGKILLed; continued on Dask with other shards, killed
again; finished on Spark. The bytes are those of an undisturbed run, and no committed batch ran twice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from clusters import Clusters, skip_where_missing
from faults.place import BATCH, KINDS, ROWS, Place, await_that, make_data
from processes import gone

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
FILES = 4
LEGS = (("local", "9kB"), ("dask", "3kB"))
"""Engines whose drivers are killed, and how they cut the data."""


def batch(number: int) -> str:
    """As the log names it."""
    per_file = ROWS // BATCH
    return f"{number // per_file}:{number % per_file}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_begun_on_local_goes_on_on_dask_and_ends_on_spark(kind: str, clusters: Clusters, tmp_path: Path) -> None:
    for name in ("dask", "spark"):
        skip_where_missing(name)
    chance = random.Random(f"{SEED} relay {kind}")
    (tmp_path / "data").mkdir()
    data = make_data(tmp_path / "data", SEED, FILES)
    expected = Place(tmp_path / "whole", kind, data, "inline").finish()[0]
    place = Place(tmp_path / "relay", kind, data)
    all_batches = FILES * ROWS // BATCH
    for leg, (name, shard_size) in enumerate(LEGS, 1):
        url = "local:2" if name == "local" else clusters.url(f"{name}-cluster")
        committed = die_at_work(place, url, shard_size, batch(leg * all_batches // 3), chance)
        assert committed, f"nothing was committed on {name} (seed {SEED})"
    done, before = place.committed(), place.seen()
    digest, _, resumed = place.finish(engine=clusters.url("spark-cluster"), workers="2", shard_size="40kB")
    assert digest == expected, f"other bytes (seed {SEED})"
    assert resumed
    assert not done & set(place.seen() - before), f"committed batches ran again (seed {SEED})"
    assert not place.committed_twice(), f"seed {SEED}"
    assert not place.garbage(), f"seed {SEED}"


def die_at_work(place: Place, url: str, shard_size: str, gate: str, chance: random.Random) -> set[str]:
    """Run up to a gate, kill the driver as soon as it has committed enough; the batches that it did commit.

    What an earlier driver committed must not run again, and no worker may be left that writes.
    """
    done, before = place.committed(), place.seen()
    with place.gate(gate):
        driver = place.start(engine=url, workers="2", shard_size=shard_size)
        try:
            enough = len(done) + chance.randint(1, 8)
            await_that(lambda: len(place.committed()) >= enough, driver)
        finally:
            driver.kill()
            driver.communicate()
        committed = place.committed()
        assert all(gone(pid) for pid in place.pids()), f"a worker of {url} outlived its driver (seed {SEED})"
        assert place.committed() == committed, f"a commit came after its driver was killed (seed {SEED})"
    again = done & set(place.seen() - before)
    assert not again, f"committed batches ran again on {url} (seed {SEED}): {sorted(again)}"
    return committed - done
