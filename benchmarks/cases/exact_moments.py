"""Mean and standard deviation of columns in chunks of a million rows, within a memory limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Clock, Memory, Ratio

ROWS, COLUMNS, CHUNK = 10_000_000, 8, 1_000_000
NAMES = [f"c{i}" for i in range(COLUMNS)]


def generate(directory: Path, scale: float) -> None:
    """The same rows as ``.npy`` and as Parquet, a row group per chunk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, chunk = max(1000, int(ROWS * scale)), max(100, int(CHUNK * scale))
    array = np.lib.format.open_memmap(directory / "rows.npy", "w+", np.float64, (rows, COLUMNS))
    schema = pa.schema([(name, pa.float64()) for name in NAMES])
    with pq.ParquetWriter(directory / "rows.parquet", schema, compression="zstd", use_dictionary=False) as writer:
        for number, start in enumerate(range(0, rows, chunk)):
            rng = np.random.default_rng([3, number])
            part = rng.normal(1000, 15, (min(chunk, rows - start), COLUMNS)).round(3)
            array[start : start + len(part)] = part
            writer.write_table(pa.table([pa.array(part[:, i].copy()) for i in range(COLUMNS)], schema=schema))
    array.flush()


CASE = Case(
    "(c) Exact mean and std of 8 columns of 10 000 000 rows in chunks of a million, under 500 MB",
    "Shardwise's sums are exact (the answer is the true one, rounded once); the peers' are not. 640 MB of float64, as "
    "one `.npy` file and as one Parquet file (zstd, a row group per chunk).",
    generate,
    targets=(
        Ratio("shardwise, Parquet", "DuckDB, Parquet", 1.4, "whole"),
        Ratio("shardwise, npy", "DuckDB, Parquet", 1.4, "whole"),
        Memory("shardwise, Parquet", 500),
        Memory("shardwise, npy", 500),
    ),
)


def _ours(source: Any, clock: Clock) -> Any:
    import shardwise as sw

    asked = {f"mean_{n}": sw.mean(n) for n in NAMES} | {f"std_{n}": sw.std(n) for n in NAMES}
    row = source.aggregate(**asked).run(memory="500MB", restart=True).to_pylist()[0]
    return [[row[f"mean_{n}"] for n in NAMES], [row[f"std_{n}"] for n in NAMES]]


@CASE.peer("shardwise, Parquet", "`read_parquet(f).aggregate(mean, std ...).run(memory='500MB')`", "shardwise")
def shardwise_parquet(data: Path, clock: Clock) -> Any:
    import shardwise as sw

    with clock:
        return _ours(sw.read_parquet(str(data / "rows.parquet"), batch_rows=CHUNK), clock)


@CASE.peer("shardwise, npy", "the same of `read_npy(f, batch_rows=1_000_000)`", "shardwise")
def shardwise_npy(data: Path, clock: Clock) -> Any:
    import shardwise as sw

    with clock:
        return _ours(sw.read_npy(str(data / "rows.npy"), batch_rows=CHUNK), clock)


@CASE.peer("DuckDB, Parquet", "`SELECT avg(c), stddev_samp(c) ... FROM read_parquet(f)`, all threads", "duckdb")
def duckdb_parquet(data: Path, clock: Clock) -> Any:
    import duckdb

    with clock:
        asked = [f"avg({n})" for n in NAMES] + [f"stddev_samp({n})" for n in NAMES]
        row = duckdb.execute(f"SELECT {', '.join(asked)} FROM read_parquet('{data}/rows.parquet')").fetchall()[0]
        return [list(row[:COLUMNS]), list(row[COLUMNS:])]


@CASE.peer(
    "Polars, Parquet", "`scan_parquet(f).select(mean, std).collect(engine='streaming')`, its advice for speed", "polars"
)
def polars_parquet(data: Path, clock: Clock) -> Any:
    import polars as pl

    with clock:
        asked = [pl.col(n).mean().alias(f"mean_{n}") for n in NAMES] + [
            pl.col(n).std().alias(f"std_{n}") for n in NAMES
        ]
        row = pl.scan_parquet(data / "rows.parquet").select(asked).collect(engine="streaming").row(0)
        return [list(row[:COLUMNS]), list(row[COLUMNS:])]


@CASE.peer("NumPy chunks, npy", "a mapped file, a million rows at a time, one core, moments merged by Chan", "numpy")
def numpy_chunks(data: Path, clock: Clock) -> Any:
    with clock:
        array = np.load(data / "rows.npy", mmap_mode="r")
        count, mean, squares = 0, np.zeros(COLUMNS), np.zeros(COLUMNS)
        for start in range(0, len(array), CHUNK):
            part = np.array(array[start : start + CHUNK])
            own = part.mean(axis=0)
            apart = own - mean
            part -= own
            np.multiply(part, part, out=part)
            together = count + len(part)
            squares += part.sum(axis=0) + apart**2 * count * len(part) / together
            mean += apart * len(part) / together
            count = together
        return [mean.tolist(), np.sqrt(squares / (count - 1)).tolist()]
