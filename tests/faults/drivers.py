"""Drivers that meet in one run directory: ``python drivers.py DATA PLACE`` is one; it starts when its input says so.

It prints how many seconds it took from then on, and the digest of the answer or the code of the error.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import shardwise as sw
from shardwise.errors import RunIsTaken, ShardwiseError


@dataclass(slots=True)
class Seen:
    """A round: how many took part, whether the first was killed, how long losers took, what was wrong."""

    drivers: int
    killed: bool = False
    waits: list[float] = field(default_factory=list)
    wrong: str = ""


def make_data(directory: Path) -> Path:
    """Twelve batches."""
    directory.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(1).standard_normal(1200)
    pq.write_table(pa.table({"x": x}), directory / "0.parquet")
    return directory


def slowly(table: pa.Table) -> pa.Table:
    """Long enough for the others to come."""
    time.sleep(0.02)
    return table.append_column("y", pa.array(table.column("x").to_numpy() * 3))


def carry_out(data: Path, place: Path) -> str:
    """The digest of the answer."""
    out = place / "out"
    job = sw.read_parquet(str(data), batch_rows=100).map(slowly).write_parquet(str(out), file_batches=2)
    job.run(run_dir=str(place / "run"), engine="inline", progress="none", shard_size="1kB")
    names = sorted(path.name for path in out.iterdir())
    return hashlib.sha256(
        repr([(name, (out / name).read_bytes()) for name in names if "part" in name]).encode()
    ).hexdigest()


def round_of(place: Path, data: Path, count: int, kill: bool, chance: random.Random) -> Seen:
    """Let so many drivers begin at the same time, perhaps kill one that works, and look at what they leave."""
    expected = carry_out(data, place)
    shutil.rmtree(place)
    seen = Seen(count)
    crowd = [_start(data, place) for _ in range(count)]
    try:
        for driver in crowd:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "ready\n"
        for driver in crowd:
            assert driver.stdin is not None
            driver.stdin.write("go\n")
            driver.stdin.flush()
        if kill:
            time.sleep(chance.uniform(0.05, 0.3))
            victim = next((driver for driver in crowd if driver.poll() is None), None)
            if victim is not None:
                victim.kill()
                seen.killed = True
        said = [driver.communicate(timeout=120)[0].split() for driver in crowd]
    finally:
        for driver in crowd:
            driver.kill()
            driver.wait()
    seen.waits = [float(words[0]) for words in said if len(words) == 2 and words[1] == RunIsTaken.code]
    answers = {words[1] for words in said if len(words) == 2} - {RunIsTaken.code}
    finished = sum(words[1] == expected for words in said if len(words) == 2)
    if answers - {expected}:
        seen.wrong = f"said {answers}"
    elif not finished and not seen.killed:
        seen.wrong = "nobody carried the run out"
    elif carry_out(data, place) != expected:
        seen.wrong = "another answer afterwards"
    shutil.rmtree(place)
    return seen


def _start(data: Path, place: Path) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(data), str(place)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def main() -> None:
    """Be a driver."""
    data, place = map(Path, sys.argv[1:])
    sw.from_frame(pa.table({"x": [1]})).map(slowly).collect().run(engine="inline", progress="none")  # imports are done
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    try:
        said = carry_out(data, place)
    except ShardwiseError as error:
        said = error.code
    print(time.monotonic() - started, said, flush=True)


if __name__ == "__main__":
    main()
