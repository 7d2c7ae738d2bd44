"""Run one peer as a process: its seconds, its answer, and the peak of memory of the whole tree of processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
MARK = "SHARDWISE_BENCHMARK"
SAMPLE_SECONDS = 0.02

MEMORY_IS = "sum of PSS over the tree of processes" if sys.platform == "linux" else "sum of RSS over the processes"


class PeerFailed(Exception):
    """A peer ended with an error."""


@dataclass(frozen=True, slots=True)
class Once:
    """One run of one peer."""

    whole: float
    job: float
    answer: Any
    memory: int = 0


def run_once(case: str, peer: str, data: Path, *, sample: bool, limit: float = 600.0) -> Once:
    """Run a peer. ``sample``: look at its memory all the time, which disturbs it, so that its seconds do not count.

    Raises
    ------
    PeerFailed
        It ended with an error, or took longer than ``limit`` seconds.
    """
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="shardwise-bench-", ignore_cleanup_errors=True) as scratch:
        output = Path(scratch, "stdout")
        errors = Path(scratch, "stderr")
        command = [sys.executable, "-m", "benchmarks.job", case, peer, str(data)]
        with output.open("wb") as out, errors.open("wb") as err:
            started = time.perf_counter()
            process = subprocess.Popen(command, env=_environment(mark, scratch), stdout=out, stderr=err)
            sampler = _Sampler(process.pid) if sample else None
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            whole = time.perf_counter() - started
        memory = sampler.stop() if sampler else 0
        _end_leftovers(mark)
        if process.returncode:
            raise PeerFailed(f"{case}: {peer} ended with status {process.returncode}:\n{errors.read_text()[-3000:]}")
        found = json.loads(output.read_text().splitlines()[-1])
    return Once(whole, found["seconds"], found["answer"], memory)


def _environment(mark: str, scratch: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ,
        MARK: mark,
        "PYTHONPATH": path,
        "SHARDWISE_CACHE": str(Path(scratch, "cache")),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


class _Sampler:
    """Adds up the memory of a process and all below it, again and again, and keeps the highest sum."""

    def __init__(self, pid: int, every: float = SAMPLE_SECONDS) -> None:
        self._root, self._every = psutil.Process(pid), every
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._done.wait(self._every):
            with contextlib.suppress(psutil.Error):
                tree = [self._root, *self._root.children(recursive=True)]
                self._peak = max(self._peak, sum(map(_memory, tree)))

    def stop(self) -> int:
        """Bytes at the peak."""
        self._done.set()
        self._thread.join()
        return self._peak


def _memory(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        if sys.platform == "linux":
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    return 0


def _end_leftovers(mark: str) -> None:
    """End what a peer left running: servers of its own that outlived it carry its mark in their environment."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.kill()
