"""Mean by category over Parquet, as whole processes: shardwise, DuckDB and Polars take turns.

Run: ``python benchmarks/group_mean.py [--rows 40000000] [--data DIRECTORY] [--runs 5]``
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILES, CATEGORIES = 16, 1000

# Each prints [category, mean] pairs as JSON, in any order; {glob} is the files.
PEERS = {
    "shardwise": """
import json, shardwise as sw
rows = sw.read_parquet({glob!r}).group_by("category").aggregate(mean=sw.mean("value")).run(restart=True).to_pylist()
print(json.dumps([[row["category"], row["mean"]] for row in rows]))
""",
    "duckdb": """
import json, duckdb
print(json.dumps(duckdb.sql("SELECT category, avg(value) FROM read_parquet({glob!r}) GROUP BY category").fetchall()))
""",
    "polars": """
import json, polars as pl
frame = pl.scan_parquet({glob!r}).group_by("category").agg(pl.col("value").mean()).collect()
print(json.dumps(frame.rows()))
""",
}


def generate(directory: Path, rows: int) -> None:
    """Write the files, unless they are there."""
    if (directory / "_DONE").exists():
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for i in range(FILES):
        rng, n = np.random.default_rng([0, i]), rows * (i + 1) // FILES - rows * i // FILES
        columns = {
            "category": rng.integers(0, CATEGORIES, n, dtype=np.int32),
            "value": rng.normal(100, 15, n),
            "when": rng.integers(0, 1 << 40, n),
            "weight": rng.random(n, dtype=np.float32),
            "flag": rng.random(n) < 0.5,
        }
        pq.write_table(pa.table(columns), directory / f"part-{i:02}.parquet", compression="zstd")
    (directory / "_DONE").touch()


def run(script: str) -> tuple[float, dict[int, float]]:
    """Seconds of the whole process, and its answer."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "SHARDWISE_CACHE": cache}
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir(), "shardwise-group-mean"))
    arguments = parser.parse_args()
    directory = arguments.data / str(arguments.rows)
    generate(directory, arguments.rows)

    times: dict[str, list[float]] = {name: [] for name in PEERS}
    first: dict[int, float] = {}
    for _ in range(arguments.runs):
        for name, script in PEERS.items():
            seconds, answer = run(script.format(glob=str(directory / "*.parquet")))
            first = first or answer
            if answer.keys() != first.keys() or not all(abs(answer[key] - first[key]) < 1e-7 for key in first):
                raise SystemExit(f"{name} gives another answer")
            times[name].append(seconds)

    print(f"{arguments.rows:,} rows, {FILES} files, {os.cpu_count()} CPUs, {arguments.runs} runs each, whole processes")
    for name, each in times.items():
        median = statistics.median(each)
        print(f"{name:9} {version(name):10} median {median:.3f} s  (min {min(each):.3f}, max {max(each):.3f})")
    ours = statistics.median(times["shardwise"])
    for peer in ("polars", "duckdb"):
        print(f"shardwise/{peer}: {ours / statistics.median(times[peer]):.2f}")


if __name__ == "__main__":
    main()
