"""Describe every column of a large CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Clock, Ratio

ROWS, CHUNK = 25_500_000, 500_000
NUMBERS = ("id", "count", "price", "weight", "score", "latitude")


def generate(directory: Path, scale: float) -> None:
    """One file of ten columns: integers, decimals, floats, text, dates, times and booleans, some of them missing."""
    import pyarrow as pa
    import pyarrow.csv as pc

    rows = max(1000, int(ROWS * scale))
    words = np.array(
        [f"{a} {b}" for a in ("red", "green", "blue", "grey") for b in ("fox", "hen", "owl", "cat", "bee")]
    )
    writer = None
    for number, start in enumerate(range(0, rows, CHUNK)):
        rng, n = np.random.default_rng([6, number]), min(CHUNK, rows - start)
        table = pa.table(
            {
                "id": np.arange(start, start + n),
                "count": pa.array(rng.poisson(20, n), mask=rng.random(n) < 0.03),
                "price": rng.gamma(2.0, 30.0, n).round(2),
                "weight": rng.normal(70, 12, n).round(3),
                "score": pa.array(rng.random(n).round(6), mask=rng.random(n) < 0.05),
                "latitude": rng.uniform(-90, 90, n).round(5),
                "name": words[rng.integers(0, len(words), n)],
                "code": np.char.add("K", rng.integers(0, 100_000, n).astype("U6")),
                "day": (np.datetime64("2020-01-01") + rng.integers(0, 2000, n)).astype("datetime64[D]"),
                "flag": rng.random(n) < 0.5,
            }
        )
        if writer is None:
            writer = pc.CSVWriter(directory / "rows.csv", table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


CASE = Case(
    "(f) Describe a 2 GB CSV file of 10 columns of mixed types",
    "Count, nulls, mean, std, minimum, quartiles, maximum of every column (Shardwise and DuckDB approximate quartiles "
    "and count distinct values too; Polars and pandas do not count distinct values). Compared are counts, means, stds "
    "and extremes of the numbers.",
    generate,
    tolerance=1e-6,
    targets=(
        Ratio("shardwise", "Polars", 1.0, "whole"),
        Ratio("shardwise", "one pass", 1.5, "whole"),
    ),
)


def _row(count: Any, mean: Any, std: Any, low: Any, high: Any) -> list[Any]:
    return [int(count), float(mean), float(std), float(low), float(high)]


@CASE.peer("shardwise", "`read_csv(f).describe().run()`", "shardwise")
def shardwise(data: Path, clock: Clock) -> Any:
    import shardwise as sw

    with clock:
        rows = sw.read_csv(str(data / "rows.csv")).describe().run(restart=True).to_pylist()
    found = {row["column"]: row for row in rows}
    return {n: _row(*(found[n][k] for k in ("count", "mean", "std", "min", "max"))) for n in NUMBERS}


@CASE.peer("Polars", "`scan_csv(f, try_parse_dates=True).describe()`", "polars", rounds=3)
def polars(data: Path, clock: Clock) -> Any:
    import polars as pl

    with clock:
        frame = pl.scan_csv(data / "rows.csv", try_parse_dates=True).describe()
    found = {name: dict(zip(frame["statistic"], frame[name])) for name in NUMBERS}
    return {n: _row(*(found[n][k] for k in ("count", "mean", "std", "min", "max"))) for n in NUMBERS}


@CASE.peer("DuckDB", "`SUMMARIZE FROM read_csv(f)`", "duckdb", rounds=3)
def duckdb(data: Path, clock: Clock) -> Any:
    import duckdb

    with clock:
        cursor = duckdb.execute(f"SUMMARIZE FROM read_csv('{data}/rows.csv')")
        names = [column[0] for column in cursor.description]
        found = {row["column_name"]: row for row in (dict(zip(names, values)) for values in cursor.fetchall())}
    # its count is that of rows, nulls among them
    return {n: [None, *_row(0, *(found[n][k] for k in ("avg", "std", "min", "max")))[1:]] for n in NUMBERS}


@CASE.peer(
    "one pass", "DuckDB reads all columns and counts what is not null: the least that any describe must do", "duckdb"
)
def one_pass(data: Path, clock: Clock) -> Any:
    import duckdb

    with clock:
        duckdb.execute(f"SELECT count(COLUMNS(*)) FROM read_csv('{data}/rows.csv')").fetchall()


@CASE.peer("pandas", "`read_csv(f, engine='pyarrow').describe()`, its fastest reader", "pandas", "pyarrow", rounds=2)
def pandas(data: Path, clock: Clock) -> Any:
    import pandas as pd

    with clock:
        frame = pd.read_csv(data / "rows.csv", engine="pyarrow").describe()
    return {n: _row(*(frame[n][k] for k in ("count", "mean", "std", "min", "max"))) for n in NUMBERS}
