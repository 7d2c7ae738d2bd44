"""One run handed from engine to engine: its driver is SIGKILLed at seeded instants on local processes and on Dask, each
time the next one goes on with other shards, and Spark finishes it: same bytes, no committed batch ran twice.

``python proof/relay.py [--seed N] [--count N]``. Dask and Spark are clusters of separate processes on this machine,
started once; without ``SHARDWISE_CLUSTERS``, or where they cannot be had, the proof says that it was skipped.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from typing import Any

import pytest

from _proof import Proof, must
from clusters import Clusters
from faults.place import KINDS, SHARD_SIZES, Place, make_data
from processes import PATIENCE, gone

ASKED = (
    "a run begun on local, its driver SIGKILLed, continued on Dask with other shards, killed again, finished on Spark: "
    "output bytes are those of an undisturbed run, nothing that was committed runs again, no worker outlives its driver"
)


class Relay:
    """All cases of a seed."""

    def __init__(self, proof: Proof, urls: dict[str, str]) -> None:
        self.proof, self.urls = proof, urls
        (proof.directory / "data").mkdir()
        self.data = make_data(proof.directory / "data", proof.seed)
        self.expected = {
            kind: Place(proof.directory / f"whole-{kind}", kind, self.data, "inline").finish()[0] for kind in KINDS
        }
        self.seconds: dict[tuple[str, str], float] = {}
        self.seen = {"kills": 0, "instants_after_the_end": 0, "batches_committed_before_spark": 0}

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
        must(not place.committed_twice(), f"committed twice: {place.committed_twice()}")
        must(not place.garbage(), f"left behind: {place.garbage()}")
        self.seen["batches_committed_before_spark"] += len(committed)
        shutil.rmtree(place.root)

    def _leg(self, place: Place, name: str, chance: random.Random) -> None:
        """Kill a driver after a share of the time that the work on all batches takes."""
        committed, before = place.committed(), place.seen()
        driver = place.start(engine=self.urls[name], workers="2", shard_size=chance.choice(SHARD_SIZES))
        await_work(place, driver, sum(before.values()))
        try:
            driver.wait(chance.random() * self._working(place.kind, name))
            self.seen["instants_after_the_end"] += 1
        except subprocess.TimeoutExpired:
            self.seen["kills"] += 1
        driver.kill()
        driver.communicate()
        must(all(gone(pid) for pid in place.pids()), f"a worker of {name} outlived its driver")
        self._nothing_again(place, committed, before)

    def _working(self, kind: str, name: str) -> float:
        """How long an undisturbed run takes from its first batch on."""
        if (kind, name) not in self.seconds:
            place = Place(self.proof.directory / f"measure-{kind}-{name}", kind, self.data)
            driver = place.start(engine=self.urls[name], workers="2")
            await_work(place, driver, 0)
            began = time.monotonic()
            driver.communicate(timeout=PATIENCE)
            self.seconds[kind, name] = time.monotonic() - began
        return self.seconds[kind, name]

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
    proof.end(**relay.seen)


if __name__ == "__main__":
    main()
