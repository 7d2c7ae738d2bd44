"""``redundancy=2``: what comes out different the second time is refused, with the first difference; the rest passes."""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.errors import Unrepeatable, UsageError

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def data(tmp_path: Path) -> sw.Dataset:
    for name in ("a", "b"):
        pq.write_table(pa.table({"x": [float(x) for x in range(40)]}), tmp_path / f"{name}.parquet")
    return sw.read_parquet(str(tmp_path / "*.parquet"), batch_rows=10)


def steady(table: pa.Table) -> pa.Table:
    return table.append_column("y", pa.array(np.sqrt(table["x"].to_numpy())))


def restless(table: pa.Table) -> pa.Table:
    """The row of 27 in the second file is drawn anew each time."""
    y = [random.random() if x == 27 else x for x in table["x"].to_pylist()]
    return table.append_column("y", pa.array(y))


def once_only(item: int, calls: list[int] = []) -> dict[str, Any]:  # noqa: B006
    calls.append(item)
    return {"n": item, "calls": len(calls)}


class Total(sw.Aggregate[Any]):
    def __init__(self, merge: Callable[[float, float], float]) -> None:
        self._merge = merge

    def zero(self) -> float:
        return 0.0

    def step(self, state: float, batch: Any) -> float:
        return state + sum(batch["x"].to_pylist())

    def merge(self, a: float, b: float) -> float:
        return self._merge(a, b)

    def finish(self, state: float) -> float:
        return state


RUN: dict[str, Any] = {"progress": "none", "shard_size": 1}


@pytest.mark.parametrize("engine", ["inline", "local:2"])
def test_the_answer_of_deterministic_functions_is_as_ever(data: sw.Dataset, engine: str, tmp_path: Path) -> None:
    job = data.map(steady).collect()
    assert job.run(engine=engine, redundancy=2, **RUN).to_arrow() == job.run(restart=True, **RUN).to_arrow()
    written = data.map(steady).write_parquet(str(tmp_path / "out")).run(engine=engine, redundancy=2, **RUN)
    assert sum(written["rows"]) == 80
    assert (tmp_path / "out" / "_SUCCESS").exists()
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix == ".tmp"]
    total = data.aggregate(sw.count(), t=Total(lambda a, b: a + b)).run(engine=engine, redundancy=2, **RUN)
    assert total.to_pylist() == [{"count": 80, "t": 1560.0}]


def test_a_collected_row_that_differs_is_named_with_file_batch_and_row(data: sw.Dataset, tmp_path: Path) -> None:
    with pytest.raises(Unrepeatable, match=r"a\.parquet, batch 2\): row 7, column 'y': 0\.\d+, then 0\.\d+") as caught:
        data.map(restless).collect().run(engine="inline", redundancy=2, **RUN)
    assert "restless is not deterministic" in caught.value.message
    assert "b.parquet, batch 2" in caught.value.message
    assert caught.value.exit_status == 1


def test_a_written_answer_is_not_published_and_can_be_had_without(data: sw.Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = data.map(restless).write_parquet(str(out))
    with pytest.raises(Unrepeatable, match=r"row 7, column 'y'"):
        job.run(engine="inline", redundancy=2, **RUN)
    assert not (out / "_SUCCESS").exists()
    again = job.run(engine="inline", **RUN)
    assert (out / "_SUCCESS").exists()
    assert again.run.resumed_tasks == again.run.tasks


def test_states_of_aggregates_that_differ_are_refused(data: sw.Dataset) -> None:
    with pytest.raises(Unrepeatable, match=r"task partial-2-3\): row 0, column 's'") as caught:
        data.map(restless).aggregate(s=sw.sum("y")).run(engine="inline", redundancy=2, **RUN)
    first = caught.value.message.splitlines()[0]
    assert re.search(
        r"restless .*task partial-2-3, .*a\.parquet, batch 2\): row 7, column 'y': 0\.\d+, then 0\.", first
    )


def test_a_restless_merge_of_an_aggregate_is_refused(data: sw.Dataset) -> None:
    job = data.aggregate(t=Total(lambda a, b: a + b + random.random()))
    with pytest.raises(Unrepeatable, match=r"Total is not deterministic.*column 't'"):
        job.run(engine="inline", redundancy=2, **RUN)


def test_state_of_earlier_calls_is_refused_since_the_order_is_another() -> None:
    job = sw.from_items(list(range(8))).map_items(once_only).collect()
    with pytest.raises(Unrepeatable, match="column 'calls'"):
        job.run(engine="local:1", redundancy=2, **RUN)


def test_a_finished_run_is_looked_at_too(data: sw.Dataset) -> None:
    job = data.map(restless).collect()
    job.run(engine="inline", **RUN)
    with pytest.raises(Unrepeatable):
        job.run(engine="inline", redundancy=2, **RUN)


def test_rows_in_quarantine_count(data: sw.Dataset) -> None:
    def moody(table: pa.Table) -> pa.Table:
        if {float(hash("a") % 10), float(hash("b") % 10)} & {*table["x"].to_pylist()}:
            raise ValueError("not that one")
        return table

    with pytest.raises(Unrepeatable):
        data.map(moody).collect().run(engine="local:1", redundancy=2, on_error="quarantine", **RUN)


def test_rows_that_end_workers_are_the_same_rows_the_second_time(data: sw.Dataset) -> None:
    def dies(table: pa.Table) -> pa.Table:
        if 27.0 in table["x"].to_pylist():
            os._exit(3)
        return table

    result = data.map(dies).collect().run(engine="local:1", redundancy=2, on_error="quarantine", **RUN)
    assert result.run.quarantined == 2
    assert len(result) == 78


def test_it_is_two_or_nothing(data: sw.Dataset) -> None:
    with pytest.raises(UsageError, match="redundancy is 3"):
        data.aggregate(sw.count()).run(redundancy=3)
