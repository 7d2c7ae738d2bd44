"""SIGKILL of the driver at every system call that it makes in the run directory or the output directory.

``strace`` kills it on entering the call, before the call is carried out. A first look says which calls there are; then
each of them is the last one of a driver, and another driver goes on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process with threads should not fork

from _forked import complete, lanes, start
from _proof import Proof, must
from driver_kills import Victim, fork_whole
from faults import victim
from faults.place import KINDS, make_data

ASKED = (
    "SIGKILL of the driver on entering every system call that it makes in the run directory or the output directory: "
    "the same command completes, output bytes are identical, nothing is committed twice or run again"
)
CALLS = (
    *("openat", "creat", "close", "write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "truncate"),
    *("link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "flock"),
)
LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(\w+)\((.*)$")


class Traced(Victim):
    """A place whose drivers are looked at by strace from the moment they have imported what they need."""

    def trace(self, *asked: str) -> tuple[int, list[str]]:
        """Exit code of a driver, and the lines that strace wrote."""
        begin, go = os.pipe()
        arguments = self.arguments(shard_size="40kB")

        def act() -> None:
            os.close(go)
            os.read(begin, 1)
            victim.main(arguments)

        (self.root / "printed").write_bytes(b"")
        pid = start(act, self.root / "printed")
        os.close(begin)
        written = self.root / "trace"
        command = ["strace", "-f", "-y", "-qq", "-o", str(written), *asked, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            _await_tracer(pid, strace)
            os.close(go)
            status = complete(pid, "the driver")
            strace.communicate(timeout=60)
        return status, written.read_text(errors="replace").splitlines()


def _await_tracer(pid: int, strace: subprocess.Popen[str]) -> None:
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        must(strace.poll() is None, f"strace cannot trace: {strace.poll() and strace.stderr and strace.stderr.read()}")
        time.sleep(0.001)


def calls_below(root: Path, pid_of_interest: str, lines: list[str]) -> list[tuple[str, int]]:
    """(call, how many of its kind came before, plus one) of the main thread's calls on files below a directory."""
    counted: Counter[str] = Counter()
    found = []
    inside = (str(root / "run"), str(root / "out"))
    for line in lines:
        match = LINE.match(line)
        if match is None or match[1] != pid_of_interest:
            continue
        counted[match[2]] += 1
        if any(path in match[3] for path in inside):
            found.append((match[2], counted[match[2]]))
    return found


class Cases:
    """All calls of the jobs of all kinds."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        self.data = proof.directory / "data"
        self.data.mkdir()
        complete(start(lambda: make_data(self.data, proof.seed, files=1) and None, proof.directory / "made"), "data")
        self.expected = {kind: self._expect(kind) for kind in KINDS}
        self.calls = [(kind, *call) for kind in KINDS for call in self._look(kind)]

    def _place(self, name: str, kind: str) -> Traced:
        # Names of the same length, so that no call is cut in two where another one is not.
        return Traced(self.proof.directory / f"{name:>08}", kind, self.data, "inline")

    def _expect(self, kind: str) -> str:
        return fork_whole(self._place(f"plain-{kind[:2]}", kind))

    def _look(self, kind: str) -> list[tuple[str, int]]:
        place = self._place(f"look-{kind[:3]}", kind)
        status, lines = place.trace("-e", "trace=" + ",".join(f"?{call}" for call in CALLS))
        must(status == 0 and place.digest() == self.expected[kind], f"a traced job fails: {place.digest()}")
        return calls_below(place.root, lines[0].split()[0], lines)

    def case(self, number: int) -> dict[str, Any]:
        """Kill a driver at one call, go on, compare."""
        kind, call, which = self.calls[number]
        place = self._place(str(number), kind)
        status, lines = place.trace("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={which}")
        committed, before = place.committed(), place.seen()
        must(fork_whole(place) == self.expected[kind], f"{kind}: other bytes after a kill at {call} {which}")
        again = committed & set(place.seen() - before)
        must(not again, f"{kind}, {call} {which}: committed batches ran again: {sorted(again)}")
        must(not place.committed_twice(), f"{kind}, {call} {which}: committed twice: {place.committed_twice()}")
        must(not place.garbage(), f"{kind}, {call} {which}: left behind: {place.garbage()}")
        inside = str(place.root) in next((line for line in reversed(lines) if f"{call}(" in line), "")
        shutil.rmtree(place.root)
        return {"killed": status == -9, "inside": inside}


def main() -> None:
    proof = Proof("syscalls", 0, ASKED)
    if shutil.which("strace") is None:
        proof.end(skipped="strace is not installed (apt-get install strace)")
    if not _may_trace():
        proof.end(skipped="this machine does not let a process trace another one (ptrace)")
    cases = Cases(proof)
    count = min(proof.count or len(cases.calls), len(cases.calls))
    step = len(cases.calls) / count
    numbers = [int(n * step) for n in range(count)] if len(proof.numbers) != 1 else proof.numbers
    proof.count = count
    proof.tell(f"{len(cases.calls)} calls: {dict(Counter(call for _, call, _ in cases.calls))}")
    killed = inside = 0
    for number, result in lanes(cases.case, numbers):
        if "error" in result:
            proof.fail(number, result["error"])
        killed += result.get("killed", False)
        inside += result.get("inside", False)
        proof.passed()
    by_kind = dict(Counter(call for _, call, _ in cases.calls))
    proof.end(calls=len(cases.calls), killed=killed, killed_at_the_very_call=inside, calls_by_kind=by_kind)


def _may_trace() -> bool:
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
