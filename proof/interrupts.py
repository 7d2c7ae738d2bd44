"""Ctrl-C, typed into a pseudo-terminal, at random instants of ``shardwise run JOB.py`` with two workers.

Every fourth time it is typed twice. Every tenth driver is a fresh interpreter; the others are forked by a process that
has imported what they need, and begin with what the command line does first.
"""

from __future__ import annotations

import json
import os
import pty
import random
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads should not fork

import shardwise.api.runner
import shardwise.cli.jobs
import shardwise.cli.run
import shardwise.engines.local
import shardwise.run.directory  # noqa: F401
from _forked import MARK, PATIENCE, all_gone, lanes, start
from _proof import Broken, Proof, median, must
from shardwise.cli.main import main as command_line

ASKED = (
    "Ctrl-C at random instants of a small job on the command line: it ends within 2 s, with status 130 (0 if it was "
    "just done), leaves no process, nothing in /dev/shm and nothing in the directory of temporary files; the same "
    "command then completes with the same output"
)
WANTED_SECONDS = 2.0
"""Tasks of the job are short; a drain waits for those under way. On a machine that is so slow, or has so much else to
do, that the job itself takes longer, as long as that."""

JOB = """
import time
import shardwise as sw

def work(item):
    time.sleep(0.01)
    return item * item

job = sw.from_items(list(range(60))).map_items(work).collect()
"""
SHARED = Path("/dev/shm")


class Place:
    """Where one job is run, with a directory for temporary files of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / "tmp"
        self.temporary.mkdir(parents=True)
        (root / "job.py").write_text(JOB)
        self.environment = {
            "TMPDIR": str(self.temporary),
            "SHARDWISE_CACHE": str(root / "cache"),
            MARK: str(root),
            "PYTHONFAULTHANDLER": "1",
        }
        where = ["--run-dir", str(root / "run")]
        self.arguments = ["run", str(root / "job.py"), "--engine", "local:2", "--shard-size", "4", "--json", *where]

    def start(self, fresh: bool) -> tuple[int, int]:
        """Number of a driver that has a terminal of its own, and our end of that."""
        ours, theirs = pty.openpty()
        if fresh:
            command = [sys.executable, "-m", "shardwise.cli.main", *self.arguments]
            pid = start(lambda: self._exec(command), self.root / "printed", theirs, self.environment)
        else:
            pid = start(self._main, self.root / "printed", theirs, self.environment)
        os.close(theirs)
        return pid, ours

    def _main(self) -> int:
        import tempfile

        tempfile.tempdir = None
        return command_line(self.arguments)

    @staticmethod
    def _exec(command: list[str]) -> None:
        os.execv(command[0], command)

    def finish(self) -> str:
        """Carry the job out undisturbed; its rows."""
        (self.root / "printed").write_bytes(b"")
        pid, terminal = self.start(fresh=False)
        status, said, _ = attend(pid, terminal, [])
        must(status == 0, f"the same command ended with {status}:\n{said}")
        return json.dumps(json.loads((self.root / "printed").read_text())["rows"])


def attend(pid: int, terminal: int, typed: list[float]) -> tuple[int, str, float]:
    """Type Ctrl-C at some instants; returns the exit code, what was shown, and the seconds since the first one."""
    started = time.monotonic()
    at = [started + after for after in typed]
    first = 0.0
    said = b""
    try:
        while True:
            if at and time.monotonic() >= at[0]:
                at.pop(0)
                first = first or time.monotonic()
                os.write(terminal, b"\x03")
            pause = min(0.01, max(0.0, at[0] - time.monotonic())) if at else 0.01
            if select.select([terminal], [], [], pause)[0]:
                try:
                    said += os.read(terminal, 4096)
                except OSError:  # nobody has the other end any more
                    time.sleep(0.001)
            ended, status = os.waitpid(pid, os.WNOHANG)
            now = time.monotonic()
            if ended:
                return os.waitstatus_to_exitcode(status), said.decode(errors="replace"), now - (first or now)
            if now - started > PATIENCE:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                raise Broken(f"the driver hangs after Ctrl-C at {typed}; it said:\n{said.decode(errors='replace')}")
    finally:
        os.close(terminal)


def shared() -> set[str]:
    """What is in the memory that processes share."""
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()


class Cases:
    """All cases of a seed."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        self.expected = ""
        self.seconds = 0.0

    def measure(self) -> None:
        """The answer, and how long it takes."""
        times = []
        for number, result in lanes(self._whole, range(4)):
            if "error" in result:
                self.proof.fail(f"undisturbed {number}", result["error"])
                self.proof.end()
            times.append(result["seconds"])
            self.expected = result["output"]
        self.seconds = median(times)
        self.proof.tell(f"undisturbed: {self.seconds:.2f} s")

    def _whole(self, number: int) -> dict[str, Any]:
        place = Place(self.proof.directory / f"whole-{number}")
        started = time.monotonic()
        output = place.finish()
        return {"output": output, "seconds": time.monotonic() - started}

    def case(self, number: int) -> dict[str, Any]:
        """Interrupt, look at what is left, go on."""
        chance = random.Random(f"{self.proof.seed} interrupt {number}")
        fresh = number % 10 == 9
        place = Place(self.proof.directory / str(number))
        typed = [chance.uniform(0.0, self.seconds) + (0.7 if fresh else 0.0)]
        if number % 4 == 3:
            typed.append(typed[0] + chance.uniform(0.0, 0.2))
        pid, terminal = place.start(fresh)
        status, said, took = attend(pid, terminal, typed)
        if status == -signal.SIGINT and fresh:
            status = 130  # what shells make of it: Python itself was interrupted while it starts or ends
        must(status in (130, 0), f"exit status {status} after Ctrl-C at {typed} (fresh: {fresh}); it said:\n{said}")
        all_gone(str(place.root), 10.0)
        left = sorted(str(path) for path in place.temporary.iterdir())
        must(not left, f"left behind after Ctrl-C at {typed}: {left}; it said:\n{said}")
        slow = took > max(WANTED_SECONDS, self.seconds)
        must(not slow, f"it took {took:.1f} s to end after Ctrl-C at {typed}; it said:\n{said}")
        must(place.finish() == self.expected, f"another answer after Ctrl-C at {typed}")
        shutil.rmtree(place.root)
        return {"took": took, "status": status, "twice": len(typed) > 1, "traceback": "Traceback" in said}


def main() -> None:
    proof = Proof("interrupts", 200, ASKED)
    cases = Cases(proof)
    cases.measure()
    before = shared()
    found: list[dict[str, Any]] = []
    for number, result in lanes(cases.case, proof.numbers):
        if "error" in result:
            proof.fail(number, result["error"])
        else:
            found.append(result)
        proof.passed()
    left = sorted(shared() - before)
    proof.check("/dev/shm", lambda: must(not left, f"left in {SHARED}: {left}"))
    times = [r["took"] for r in found if r["status"] == 130]
    proof.end(
        interrupted=len(times),
        done_already=sum(r["status"] == 0 for r in found),
        typed_twice=sum(r["twice"] for r in found),
        ended_after_s={"median": round(median(times), 3), "max": round(max(times, default=0.0), 3)},
        ended_within_2_s=f"{sum(t <= WANTED_SECONDS for t in times)} of {len(times)}",
        left_in_shared_memory=len(left),
        tracebacks=sum(r["traceback"] for r in found),
        undisturbed_s=round(cases.seconds, 2),
    )


if __name__ == "__main__":
    main()
