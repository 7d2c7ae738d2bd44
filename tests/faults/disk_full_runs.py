"""A job on a disk of a given size, in a process of its own: ``python disk_full_runs.py KIND DATA PLACE ENGINE``."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

import shardwise as sw
from shardwise.errors import ShardwiseError

KINDS = ("write", "collect", "group")


def make_data(directory: Path) -> Path:
    """Twenty batches of 8 kB that do not compress."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    directory.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        rng = np.random.default_rng(number)
        table = pa.table({"k": rng.integers(0, 2**60, 5000), "x": rng.standard_normal(5000)})
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=500)
    return directory


@contextlib.contextmanager
def small_disk(size: int, parent: Path | None = None) -> Iterator[Path]:
    """A file system in memory of so many bytes.

    Raises
    ------
    OSError
        It cannot be mounted.
    """
    place = Path(tempfile.mkdtemp(prefix="shardwise-full-", dir=parent))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        place.rmdir()
        raise OSError(f"no file system can be mounted: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def enlarge(place: Path, size: int) -> None:
    """Free space, as a person would."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


def apart(kind: str, data: Path, place: Path, engine: str = "inline") -> tuple[int, str]:
    """Run the job in a process of its own: its exit status, and what it said."""
    done = subprocess.run(
        [sys.executable, __file__, kind, str(data), str(place), engine], capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def here(kind: str, data: Path, place: Path, engine: str = "inline") -> tuple[int, str]:
    """Run the job in this process: the exit status that it stands for, and what it said."""
    rows = sw.read_parquet(str(data), batch_rows=500).map(noted)
    out = place / "out"
    job = rows.write_parquet(str(out), file_batches=2) if kind == "write" else rows.collect()
    if kind == "group":
        job = rows.group_by("k").aggregate(n=sw.count(), x=sw.sum("x"))
    try:
        result = job.run(run_dir=str(place / "run"), engine=engine, progress="none", shard_size="16kB", retries=0)
        digest = hashlib.sha256()
        for path in sorted(out.glob("part-*")):
            digest.update(path.read_bytes())
        if kind != "write":
            digest.update(repr(result.to_pylist()).encode())
    except ShardwiseError as error:
        return error.exit_status, f"error[{error.code}]: {error}"
    return 0, digest.hexdigest()


def noted(table: pa.Table, ctx: sw.Context) -> pa.Table:
    """The rows as they are, and a line in the logs."""
    ctx.log(f"batch {ctx.batch.index}")
    return table


Start = Callable[[str, Path, Path, str], tuple[int, str]]


def trouble(
    kind: str, data: Path, size: int, answer: str, engine: str = "inline", start: Start = here
) -> tuple[str, str]:
    """Run on a disk of ``size`` bytes; if it is full, free space and run again. What is wrong (or nothing), and how it
    went: ``full`` or ``enough``."""
    with small_disk(size) as place:
        status, said = start(kind, data, place, engine)
        if status == 0:
            return ("" if said.strip() == answer else "another answer at once"), "enough"
        wrong = _badly_told(status, said, place) or _half_written(place)
        if wrong:
            return wrong, "full"
        enlarge(place, 50_000_000)
        status, again = start(kind, data, place, engine)
        return ("" if (status, again.strip()) == (0, answer) else f"does not go on: status {status}: {again}"), "full"


def _badly_told(status: int, said: str, place: Path) -> str:
    wanted = ("E520", " free", "fix: free space", str(place), "batch")
    missing = [words for words in wanted if words not in said]
    return f"status {status}, {missing} not said: {said}" if status != 1 or missing or "Traceback" in said else ""


def _half_written(place: Path) -> str:
    """What a reader could see that is not whole."""
    if any(place.rglob("*.parquet")) and not _whole(place):
        return "a reader sees half a file"
    return "_SUCCESS stands beside what is not complete" if (place / "out" / "_SUCCESS").exists() else ""


def _whole(place: Path) -> bool:
    import pyarrow.parquet as pq

    try:
        return all(pq.read_table(path).num_rows for path in place.rglob("*.parquet"))
    except Exception:
        return False


def main() -> int:
    """The job, from the command line."""
    kind, data, place, engine = sys.argv[1:]
    status, said = here(kind, Path(data), Path(place), engine)
    print(said, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
