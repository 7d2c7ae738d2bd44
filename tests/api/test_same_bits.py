"""The same bits: whatever the shards, workers, engine and retries, and after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import shardwise as sw
from api.unruly import PowerCut, UnrulyEngine
from wide import as_bytes, everything, write_awkward_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_awkward_data(tmp_path_factory.mktemp("bits"))


def answer(job: sw.Job, **options: Any) -> bytes:
    return as_bytes(job.run(progress="none", restart=True, **options))


@pytest.mark.parametrize("mapped", [False, True])
def test_every_aggregate_gives_the_same_bytes_for_any_plan(data: str, mapped: bool) -> None:
    def same(df: pd.DataFrame) -> pd.DataFrame:
        return df

    ds = sw.read_parquet(data, batch_rows=500)
    job = everything(ds.map(same, schema=ds.schema) if mapped else ds)
    expected = answer(job, engine="inline", shard_size="1GB")
    for options in (
        {"engine": "inline", "shard_size": "1B"},
        {"engine": "inline", "shard_size": "30kB", "workers": 1},
        {"engine": "local:2", "shard_size": "20kB"},
        {"engine": "local:3", "shard_size": "1B"},
        {"engine": "local:4", "shard_size": "20kB"},
    ):
        assert answer(job, **options) == expected, options


@pytest.mark.parametrize("seed", range(4))
def test_any_order_retries_and_a_resume_give_the_same_bytes(
    data: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Attempts end in an order drawn by lot, three of ten are lost, the driver dies in the middle."""
    job = everything(sw.read_parquet(data, batch_rows=500).map(lambda table: table))
    expected = answer(job, engine="inline", shard_size="1GB")
    first, second = UnrulyEngine(seed, slots=4, outcomes=2 * seed), UnrulyEngine(seed + 100, slots=1 + seed % 4)
    engines = iter([first, second])
    monkeypatch.setattr("shardwise.api.lender.make_engine", lambda name: next(engines))
    with pytest.raises(PowerCut):
        job.run(engine="local:4", shard_size="1B", retries=30, progress="none", restart=True)
    result = job.run(engine="local:4", shard_size="30kB" if seed % 2 else "1B", retries=30, progress="none")
    assert as_bytes(result) == expected
    assert first.faults + second.faults
    assert seed < 2 or first.order != sorted(first.order)


class Ordered(sw.Aggregate[float]):
    """A sum of floats, whose bits tell in which groups it was made."""

    def zero(self) -> float:
        return 0.0

    def step(self, state: float, batch: pa.Table) -> float:
        return state + float(np.sum(batch.column(0).to_numpy()))

    def merge(self, a: float, b: float) -> float:
        return a + b

    def finish(self, state: float) -> float:
        return state


def _twice(x: float) -> Iterator[float]:
    yield x
    yield -x / 3


@pytest.mark.parametrize("mapped", [False, True])
def test_an_own_aggregate_of_items_sees_one_item_at_a_time(mapped: bool) -> None:
    rng = np.random.default_rng(0)
    ds = sw.from_items((rng.standard_normal(300) * 10.0 ** rng.integers(-9, 9, 300)).tolist())
    job = (ds.map_items(_twice) if mapped else ds).aggregate(Ordered(), sw.count(), top=sw.max("value"))
    plans = ({"shard_size": 1}, {"shard_size": 7}, {"shard_size": 300}, {"engine": "local:2", "shard_size": 50})
    answers = [job.run(**{"engine": "inline", "progress": False, **plan}).to_pylist() for plan in plans]
    assert answers == [answers[0]] * 4


def test_a_part_is_reused_by_the_whole(data: str) -> None:
    job = everything(sw.read_parquet(data, batch_rows=500))
    expected = answer(job, engine="inline")
    part = job.run(first="20%", progress="none", restart=True, shard_size="1B")
    whole = job.run(progress="none", shard_size="1B")
    assert part.to_arrow().num_rows
    assert whole.run.resumed_tasks >= part.run.tasks - 1
    assert as_bytes(whole) == expected


def test_a_pandas_function_may_drop_rows(data: str, tmp_path: Path) -> None:
    def positive(df: pd.DataFrame) -> pd.DataFrame:
        return df[df["n"] > 0]

    job = sw.read_parquet(data, batch_rows=500).map(positive).write_parquet(str(tmp_path / "out"))
    assert job.run(engine="inline", progress="none").files
    back = sw.read_parquet(str(tmp_path / "out"))
    assert back.columns == ["k", "x", "y", "z", "n"]
    assert back.aggregate(sw.min("n")).run(progress="none")["min_n"][0] > 0
