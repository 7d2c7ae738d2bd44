"""Descriptions and group-bys beside those of DuckDB and Polars: equal within rounding, sketches within their error."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw

ROWS = 20_000


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    rng = np.random.default_rng(5)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(n)) for n in rng.integers(0, 2000, ROWS)]
    return pa.table(
        {
            "x": pa.array(rng.lognormal(3, 2, ROWS), mask=rng.random(ROWS) < 0.1),
            "near": 1e9 + rng.standard_normal(ROWS),
            "n": rng.integers(-(10**12), 10**12, ROWS),
            "day": days,
            "word": pa.array(rng.choice(["a", "b", "日本", "é"], ROWS), mask=rng.random(ROWS) < 0.2),
            "flag": rng.random(ROWS) < 0.3,
        }
    )


@pytest.fixture(scope="module")
def data(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> str:
    directory: Path = tmp_path_factory.mktemp("described")
    for part in range(4):
        part_rows = rows.slice(part * ROWS // 4, ROWS // 4)
        pq.write_table(part_rows, directory / f"{part}.parquet", row_group_size=1000)
    return str(directory)


def close(a: Any, b: Any) -> bool:
    return a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9)


def test_a_description_agrees_with_duckdb_and_polars(rows: pa.Table, data: str) -> None:
    described = sw.read_parquet(data, batch_rows=1000).describe().run(progress=False).to_pylist()
    assert [row["column"] for row in described] == rows.column_names
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    for row in described:
        name = row["column"]
        ours = frame[name]
        (theirs,) = duckdb.sql(
            f"SELECT count({name}), min({name}), max({name}), count(DISTINCT {name}) FROM rows"
        ).fetchall()
        assert (row["count"], row["min"], row["max"]) == theirs[:3]
        assert (row["count"], row["nulls"]) == (ours.count(), ours.null_count())
        assert math.isclose(row["distinct"], theirs[3], rel_tol=0.05)
        if ours.dtype.is_numeric():
            (moments,) = duckdb.sql(f"SELECT avg({name}), stddev({name}) FROM rows").fetchall()
            assert close(row["mean"], moments[0])
            assert close(row["mean"], ours.mean())
            if name != "near":  # where a mean a billion times the deviation costs the others their digits
                assert close(row["std"], moments[1])
            assert math.isclose(row["std"], np.std(ours.drop_nulls().to_numpy(), ddof=1), rel_tol=1e-6)
            exact = duckdb.sql(f"SELECT quantile_disc({name}, [0.25, 0.5, 0.75]) FROM rows").fetchall()[0][0]
            for label, value in zip(("q25", "median", "q75"), exact):
                assert math.isclose(row[label], value, rel_tol=2**-7), (name, label)


def test_a_group_by_agrees_with_duckdb_and_polars(rows: pa.Table, data: str) -> None:
    job = (
        sw.read_parquet(data, batch_rows=1000)
        .group_by("word", "flag")
        .aggregate(
            c=sw.count(), s=sw.sum("x"), m=sw.mean("x"), d=sw.std("x"), lo=sw.min("n"), hi=sw.max("day"), t=sw.sum("n")
        )
    )
    ours = [tuple(row.values()) for row in job.run(progress=False).to_pylist()]
    theirs = duckdb.sql(
        "SELECT word, flag, count(*), sum(x), avg(x), stddev(x), min(n), max(day), sum(n)::BIGINT "
        "FROM rows GROUP BY ALL ORDER BY word NULLS FIRST, flag"
    ).fetchall()
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    x, n = pl.col("x"), pl.col("n")
    grouped = frame.group_by("word", "flag").agg(
        pl.len(), x.sum(), x.mean().alias("m"), x.std().alias("d"), n.min(), pl.col("day").max(), n.sum().alias("t")
    )
    polars = grouped.sort("word", "flag", nulls_last=False).rows()
    for others in (theirs, polars):
        assert len(ours) == len(others) == 10
        for row, other in zip(ours, others, strict=True):
            for mine, one in zip(row, other, strict=True):
                assert close(mine, one) if isinstance(mine, float) else mine == one
