"""Awkward data, every built-in aggregate, and results as bytes: for tests that the same bits come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import shardwise as sw
from shardwise.compute.aggregates.registry import known_aggregates

ROWS, BATCH, FILES = 2000, 500, 2
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, -1.7e308])


def write_awkward_data(directory: Path) -> str:
    """Two Parquet files: ``k`` has nulls; ``x`` has nulls, both zeros and exponents far apart, ``z`` also what is no
    number; ``n`` large integers."""
    rng = np.random.default_rng(3)
    for number in range(FILES):
        x = rng.standard_normal(ROWS) * 2.0 ** rng.integers(-60, 60, ROWS)
        x[rng.random(ROWS) < 0.02] = -0.0 if number else 0.0
        special = SPECIAL if number else SPECIAL[3:6]
        z = np.where(rng.random(ROWS) < 0.1, rng.choice(special, ROWS), x)
        columns = {
            "k": pa.array(rng.choice(["a", "b", None, "é"], ROWS)),
            "x": pa.array(x, mask=rng.random(ROWS) < 0.05),
            "y": rng.random(ROWS),
            "z": pa.array(z, mask=rng.random(ROWS) < 0.05),
            "n": rng.integers(-(2**62), 2**62, ROWS) // 4000,
        }
        pq.write_table(pa.table(columns), directory / f"{number}.parquet", row_group_size=BATCH)
    return str(directory)


def write_awkward_arrays(directory: Path) -> str:
    """Two files of NumPy's, of such doubles."""
    rng = np.random.default_rng(4)
    for number in range(FILES):
        array = rng.standard_normal((ROWS, 3)) * 2.0 ** rng.integers(-60, 60, (ROWS, 3))
        array[:, 1:][rng.random((ROWS, 2)) < 0.02] = -0.0 if number else 0.0
        array[:, 2] = np.where(rng.random(ROWS) < 0.1, rng.choice(SPECIAL, ROWS), array[:, 2])
        np.save(directory / f"{number}.npy", array)
    return str(directory)


def aggregates() -> list[Any]:
    """All built-in ones, and those again that meet what is no number."""
    made = [
        sw.count(),
        sw.count_null("x"),
        sw.sum("x"),
        sw.mean("x"),
        sw.var("y"),
        sw.std("y", ddof=0),
        sw.min("x"),
        sw.max("x"),
        sw.argmin("n", "y"),
        sw.argmax("n", "y"),
        sw.histogram("y", bins=5, range=(0.0, 1.0)),
        sw.top_k("n", 3),
        sw.cov("x", "y"),
        sw.corr("n", "y"),
        sw.approx_quantile("y", 0.9),
        sw.approx_n_unique("n"),
        *(sw.sum("z"), sw.var("z"), sw.min("z"), sw.max("z"), sw.top_k("z", 5)),
        *(sw.approx_quantile("z", 0.25), sw.approx_n_unique("z")),
    ]
    assert {one.function for one in made} == set(known_aggregates())
    return made


def everything(ds: sw.Dataset) -> sw.Job:
    """All aggregates, by group."""
    return ds.group_by("k").aggregate(*aggregates(), total=sw.sum("n"))


def as_bytes(result: sw.Result) -> bytes:
    """A result as Arrow writes it: equal numbers of other bits differ."""
    table = result.to_arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())
