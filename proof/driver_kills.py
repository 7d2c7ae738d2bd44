"""SIGKILL of the driver at seeded instants of a small job: the same command goes on, to the same bytes.

The instants of half of the cases are uniform over the time that an undisturbed job takes, measured first; those of the
others over the time from the first batch to the end, for a small job spends most of its time on starting workers. Every
fourth case goes on with another shard size, every fifth is killed a second time while it goes on, every twentieth
driver is a fresh interpreter.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads should not fork

import shardwise.api.runner
import shardwise.compute.custom
import shardwise.engines.local
import shardwise.run.directory  # noqa: F401
from _forked import MARK, all_gone, await_end, complete, end, lanes, start
from _proof import Proof, median, must
from faults import victim
from faults.place import KINDS, SHARD_SIZES, Place, make_data

ASKED = (
    "SIGKILL of the driver at seeded instants of a small job: the same command completes, output bytes are identical, "
    "nothing is committed twice, nothing that was committed runs again, no worker outlives its driver"
)
DEATH_SECONDS = 30.0
ENGINES = ("local:2", "local:1")
FRESH_SECONDS = 0.5
"""Of a fresh interpreter's start nothing is to be learnt."""


class Victim(Place):
    """A place whose drivers are forked."""

    def fork(self, **options: str) -> int:
        """Begin the job in a forked child."""
        arguments = self.arguments(**options)
        return start(lambda: victim.main(arguments), self.root / "printed", environment={MARK: str(self.root)})

    def digest(self) -> str:
        """What the last driver printed."""
        printed = (self.root / "printed").read_text()
        words = printed.splitlines()[-1].split() if printed else []
        must(len(words) == 3, f"the job failed:\n{printed}")
        return words[0]


def fork_whole(place: Victim, **options: str) -> str:
    """Carry a job out with a forked driver."""
    (place.root / "printed").write_bytes(b"")
    complete(place.fork(**options), "the driver")
    return place.digest()


def measure(place: Victim) -> tuple[str, float, float]:
    """Digest of an undisturbed run, how long it takes, and how long from the first batch on."""
    started = time.monotonic()
    pid = place.fork()
    must(await_work(place, pid, 0), "the driver ends before it has begun")
    begun = time.monotonic()
    complete(pid, "the driver")
    ended = time.monotonic()
    return place.digest(), ended - started, ended - begun


def await_work(place: Victim, pid: int, seen: int) -> bool:
    """Wait until more batches than ``seen`` bytes tell of were begun; whether the driver was there so long."""
    while not place.log.exists() or place.log.stat().st_size <= seen:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        time.sleep(0.001)
    return True


class Cases:
    """All cases of a seed."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        self.data = proof.directory / "data"
        self.data.mkdir()
        complete(
            start(lambda: make_data(self.data, proof.seed, files=2) and None, proof.directory / "printed"),
            "making data",
        )
        self.expected: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.working: dict[str, float] = {}

    def measure(self) -> None:
        """Two at a time, as it will be."""
        found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        for number, result in lanes(self._whole, range(4 * len(KINDS))):
            if "error" in result:
                self.proof.fail(f"undisturbed {number}", result["error"])
                self.proof.end()
            found[KINDS[number % len(KINDS)]].append(result)
        for kind, results in found.items():
            self.seconds[kind] = median(r["seconds"] for r in results)
            self.working[kind] = median(r["working"] for r in results)
            self.expected[kind] = results[0]["digest"]
            if len({r["digest"] for r in results}) > 1:
                self.proof.fail(kind, "undisturbed runs differ")
        self.proof.tell("undisturbed: " + ", ".join(f"{kind} {s:.2f} s" for kind, s in self.seconds.items()))

    def _whole(self, number: int) -> dict[str, Any]:
        kind = KINDS[number % len(KINDS)]
        place = Victim(self.proof.directory / f"whole-{number}", kind, self.data)
        digest, seconds, working = measure(place)
        shutil.rmtree(place.root)
        return {"digest": digest, "seconds": seconds, "working": working}

    def case(self, number: int) -> dict[str, Any]:
        """Kill a driver, go on, compare."""
        chance = random.Random(f"{self.proof.seed} driver {number}")
        kind, engine = KINDS[number % len(KINDS)], ENGINES[number // len(KINDS) % 2]
        place = Victim(self.proof.directory / str(number), kind, self.data, engine)
        too_late = 0
        fresh = number % 20 == 19
        at_work = number % 2 == 1
        while not self._kill(place, chance.random(), fresh, at_work):
            too_late += 1
            shutil.rmtree(place.root)
            place = Victim(place.root, kind, self.data, engine)
        gone = all_gone(str(place.root), DEATH_SECONDS)
        committed, before, lines = place.committed(), place.seen(), self._lines(place)
        other = {"shard_size": chance.choice(SHARD_SIZES)} if number % 4 == 0 else {}
        kills = 1
        if number % 5 == 0:
            kills += self._kill(place, chance.random(), fresh, at_work, **other)
            all_gone(str(place.root), DEATH_SECONDS)
        self._go_on(place, fresh, other)
        again = committed & set(place.seen() - before)
        must(not again, f"committed batches ran again: {sorted(again)}")
        must(not lines - Counter(place.lines()), "commits have vanished from the journal")
        must(not place.committed_twice(), f"committed twice: {place.committed_twice()}")
        must(not place.garbage(), f"left behind: {place.garbage()}")
        every = {"kills": kills, "too_late": too_late, "gone": gone, "commits": len(lines), "other": bool(other)}
        shutil.rmtree(place.root)
        return every

    def _kill(self, place: Victim, share: float, fresh: bool, at_work: bool, **options: str) -> bool:
        """Kill a driver after a share of its time; whether it was still there."""
        seen = place.log.stat().st_size if place.log.exists() else 0
        started = time.monotonic()
        after = share * self.seconds[place.kind]
        if fresh:
            os.environ[MARK] = str(place.root)
            pid = place.start(**options).pid
            after += FRESH_SECONDS
        else:
            pid = place.fork(**options)
        if at_work and await_work(place, pid, seen):
            started, after = time.monotonic(), share * self.working[place.kind]
        if await_end(pid, max(0.0, after - (time.monotonic() - started))) is not None:
            return False
        end(pid)
        return True

    def _go_on(self, place: Victim, fresh: bool, other: dict[str, str]) -> None:
        digest = place.finish(**other)[0] if fresh else fork_whole(place, **other)
        must(digest == self.expected[place.kind], f"other bytes after a kill ({place.kind})")

    def _lines(self, place: Victim) -> Counter[tuple[str, int, int]]:
        return Counter(place.lines()) if (place.run_dir / "journal").is_dir() else Counter()


def main() -> None:
    proof = Proof("driver_kills", 1000, ASKED)
    cases = Cases(proof)
    cases.measure()
    found: list[dict[str, Any]] = []
    for number, result in lanes(cases.case, proof.numbers):
        if "error" in result:
            proof.fail(number, result["error"])
        else:
            found.append(result)
        proof.passed()
    proof.end(
        kills=sum(r["kills"] for r in found),
        killed_before_the_first_commit=sum(r["commits"] == 0 for r in found),
        killed_after_some_commits=sum(r["commits"] > 0 for r in found),
        went_on_with_another_shard_size=sum(r["other"] for r in found),
        instants_after_the_end_drawn_again=sum(r["too_late"] for r in found),
        slowest_death_of_workers_s=round(max([r["gone"] for r in found], default=0.0), 3),
        undisturbed_s={kind: round(s, 2) for kind, s in cases.seconds.items()},
    )


if __name__ == "__main__":
    main()
