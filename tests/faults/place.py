"""Where a job that is to be killed writes, how it is run, and what must hold of what it left."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processes import PATIENCE
from shardwise.run.directory import RunDirectory
from shardwise.run.history import COMMITTED
from shardwise.run.journal import Journal
from shardwise.storage import open_store
from shardwise.storage.store import HIDDEN

VICTIM = Path(__file__).with_name("victim.py")
KINDS = ("aggregate", "map", "write")
STAGES = {"aggregate": "partial", "map": "collect", "write": "write"}
SHARD_SIZES = ("3kB", "40kB", "1MB")
"""With which a run that was begun with 9 kB may go on."""

ROWS, BATCH = 6000, 500


def make_data(directory: Path, seed: int, files: int = 4) -> Path:
    """Small Parquet files whose floats are so different in size that another order of adding gives other bits."""
    rng = np.random.default_rng(seed)
    for number in range(files):
        wide = rng.standard_normal(ROWS) * 10.0 ** rng.integers(-9, 9, ROWS)
        table = pa.table({"k": rng.integers(0, 5, ROWS), "x": wide})
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=BATCH)
    return directory


def await_that(happened: Callable[[], object], driver: subprocess.Popen[str]) -> None:
    """Wait for something that a driver at work brings about."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if driver.poll() is not None:
            raise AssertionError(f"the driver ended too early:\n{driver.communicate()[1]}")
        assert time.monotonic() < deadline, f"nothing happened for {PATIENCE} s"
        time.sleep(0.005)


class Place:
    """Where one job writes, and how it is run."""

    def __init__(self, root: Path, kind: str, data: Path, engine: str = "local:2") -> None:
        self.kind, self.data, self.root, self.engine = kind, data, root, engine
        root.mkdir(parents=True, exist_ok=True)
        self.log = root / "log"
        self.run_dir = root / "run"

    def arguments(self, **options: str) -> list[str]:
        """Of ``victim.py``."""
        options = {"engine": self.engine, "run_dir": str(self.run_dir), "shard_size": "9kB", **options}
        where = [self.kind, str(self.data), str(self.root / "out"), str(self.log)]
        return [*where, *(f"{name}={value}" for name, value in options.items())]

    def start(self, **options: str) -> subprocess.Popen[str]:
        """Begin the job in a fresh interpreter."""
        command = [sys.executable, str(VICTIM), *self.arguments(**options)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def finish(self, **options: str) -> tuple[str, int, int]:
        """Carry the job out; digest of the answer, tasks, and how many of those were committed before."""
        out, err = self.start(**options).communicate(timeout=120 + PATIENCE)
        assert out, err
        digest, tasks, resumed = out.split()
        return digest, int(tasks), int(resumed)

    def seen(self) -> Counter[str]:
        """Batches that the job's function was given, and how often."""
        return Counter(batch for batch, _ in self._noted())

    def pids(self) -> set[int]:
        """Processes that the job's function ran in."""
        return {int(pid) for _, pid in self._noted()}

    def _noted(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @contextlib.contextmanager
    def gate(self, batch: str) -> Iterator[None]:
        """A gate that no function passes with this batch or a later one, as long as the block lasts."""
        gate, hidden = Path(f"{self.log}.gate"), Path(f"{self.log}.gate.tmp")
        with open(hidden, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(batch)
            file.flush()
            hidden.replace(gate)
            try:
                yield
            finally:
                gate.unlink()

    def committed(self) -> set[str]:
        """Batches that the journal names, as the log writes them."""
        if not (self.run_dir / "journal" / "00000000.jsonl").exists():
            return set()
        per_file = ROWS // BATCH
        commits = RunDirectory.read(str(self.run_dir)).committed(STAGES[self.kind])
        return {f"{o // per_file}:{o % per_file}" for c in commits for o in range(c.first, c.last)}

    def lines(self) -> list[tuple[str, int, int]]:
        """(stage, first, last) of each line of the journal that is a commit."""
        found = (
            line.data["commit"] for line in Journal(open_store(str(self.run_dir))).load() if line.kind == COMMITTED
        )
        return [(commit["stage"], commit["first"], commit["last"]) for commit in found]

    def committed_twice(self) -> list[str]:
        """Parts of stages that two lines of the journal name."""
        lines = sorted(self.lines())
        return [f"{b[0]} {b[1]}-{b[2]}" for a, b in pairwise(lines) if a[0] == b[0] and (b[1] < a[2] or a == b)]

    def garbage(self) -> list[str]:
        """Files of a finished job that nothing should have left."""
        paths = [path for path in self.root.rglob("*") if path.is_file()]
        return sorted(str(p) for p in paths if "_attempts" in p.parts or p.suffix == ".tmp" or _is_half_put(p))


def _is_half_put(path: Path) -> bool:
    """Whether a writer left it. A second name of a segment does not count: who finds a finished run changes nothing."""
    return path.name.startswith(HIDDEN) and path.stat().st_nlink == 1
