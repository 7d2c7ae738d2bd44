"""One run handed from engine to engine: its driver is SIGKILLed at seeded instants on local processes and on Dask, each
time the next one goes on with other shards, and Spark finishes it: same bytes, no committed batch ran twice.

A small job is over before most instants: so its workers wait at a seeded batch, which is still to be done, until their
driver is dead. Up to there it works at full speed. It is killed soon after so many commits as the seed says, from none.

``python proof/relay.py [--seed N] [--count N]``. Dask and Spark are clusters of separate processes on this machine,
started once; without ``SHARDWISE_CLUSTERS``, or where they cannot be had, the proof says that it was skipped.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import time
from itertools import product
from typing import Any

import pytest

from _proof import Proof, must
from clusters import Clusters
from faults.place import BATCH, KINDS, ROWS, SHARD_SIZES, Place, make_data
from processes import gone

ASKED = (
    "a run begun on local, its driver SIGKILLed, continued on Dask with other shards, killed again, finished on Spark: "
    "output bytes are those of an undisturbed run, nothing that was committed runs again, no worker outlives its driver"
)

FILES = 4
MOST_COMMITS = 12
LONGEST_SECONDS = 5.0
"""A driver that commits less than it may live for is killed after this time: all of its workers wait."""
SOON_SECONDS = 0.1


class Relay:
    """All cases of a seed."""

    def __init__(self, proof: Proof, urls: dict[str, str]) -> None:
        self.proof, self.urls = proof, urls
        (proof.directory / "data").mkdir()
        self.data = make_data(proof.directory / "data", proof.seed, FILES)
        self.expected = {
            kind: Place(proof.directory / f"whole-{kind}", kind, self.data, "inline").finish()[0] for kind in KINDS
        }
        batches = product(range(FILES), range(ROWS // BATCH))
        self.batches = [f"{file}:{batch}" for file, batch in batches]
        self.kills, self.before_a_commit = 0, 0
        self.committed = dict.fromkeys(urls, 0)

    def case(self, number: int) -> None:
        """Hand one run on, twice."""
        chance = random.Random(f"{self.proof.seed} relay {number}")
        kind = KINDS[number % len(KINDS)]
        place = Place(self.proof.directory / str(number), kind, self.data)
        for name in ("local", "dask"):
            self._leg(place, name, chance)
        committed, before = place.committed(), place.seen()
        digest, _, _ = place.finish(engine=self.urls["spark"], workers="2", shard_size=chance.choice(SHARD_SIZES))
        must(digest == self.expected[kind], f"other bytes ({kind})")
        self._nothing_again(place, committed, before)
        self.committed["spark"] += len(place.committed()) - len(committed)
        must(not place.committed_twice(), f"committed twice: {place.committed_twice()}")
        must(not place.garbage(), f"left behind: {place.garbage()}")
        shutil.rmtree(place.root)

    def _leg(self, place: Place, name: str, chance: random.Random) -> None:
        """Kill a driver between its first batch and one that it cannot pass."""
        committed, before = place.committed(), place.seen()
        left = [batch for batch in self.batches if batch not in committed]
        enough = len(committed) + chance.randint(0, MOST_COMMITS)
        with place.gate(chance.choice(left[len(left) // 2 :])):
            driver = place.start(engine=self.urls[name], workers="2", shard_size=chance.choice(SHARD_SIZES))
            await_work(place, driver, sum(before.values()))
            deadline = time.monotonic() + LONGEST_SECONDS
            while len(place.committed()) < enough and driver.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(chance.random() * SOON_SECONDS)
            ended = driver.poll()
            driver.kill()
            said = driver.communicate()[1]
            must(ended is None, f"the driver ended with {ended} on {name}:\n{said}")
            must(all(gone(pid) for pid in place.pids()), f"a worker of {name} outlived its driver")
        self._nothing_again(place, committed, before)
        more = len(place.committed()) - len(committed)
        self.kills += 1
        self.before_a_commit += not more
        self.committed[name] += more

    def _nothing_again(self, place: Place, committed: set[str], before: Any) -> None:
        again = committed & set(place.seen() - before)
        must(not again, f"committed batches ran again: {sorted(again)}")


def await_work(place: Place, driver: subprocess.Popen[str], seen: int) -> None:
    """Wait until a driver has begun another batch, or has ended."""
    while sum(place.seen().values()) <= seen and driver.poll() is None:
        time.sleep(0.002)


def main() -> None:
    proof = Proof("relay", 12, ASKED)
    clusters = Clusters()
    try:
        try:
            urls = {"local": "local:2", **{name: clusters.url(f"{name}-cluster") for name in ("dask", "spark")}}
        except pytest.skip.Exception as missing:
            proof.end(skipped=str(missing))
        relay = Relay(proof, urls)
        for number in proof.numbers:
            proof.check(number, lambda number=number: relay.case(number))
            proof.passed()
    finally:
        clusters.close()
    proof.end(kills=relay.kills, of_these_before_a_commit=relay.before_a_commit, batches_committed_by=relay.committed)


if __name__ == "__main__":
    main()
