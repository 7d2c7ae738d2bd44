"""Quarantine of what raises: exactly the rows that fail alone, whatever the plan, for everything that a job can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shardwise as sw
from shardwise.errors import DifferentJob, FunctionError, InputError, ShardwiseError, UsageError

INLINE = {"engine": "inline", "progress": "none", "on_error": "quarantine"}


class Bad(Exception):
    """What the functions of these tests raise; it names the first bad value that it saw."""


def refuse(values: Any, bad: frozenset[int]) -> None:
    found = sorted(bad.intersection(int(v) for v in values))
    if found:
        raise Bad(f"value {found[0]}")


def of_arrow(bad: frozenset[int]) -> Any:
    def function(table: pa.Table) -> pa.Table:
        refuse(table["x"].to_pylist(), bad)
        return table.append_column("rank", pa.array(range(table.num_rows)))  # depends on who is in the batch

    return function


def of_pandas(bad: frozenset[int]) -> Any:
    def function(frame: pd.DataFrame) -> pd.DataFrame:
        refuse(frame["x"], bad)
        return frame.assign(rank=range(len(frame)))

    return function


def of_polars(bad: frozenset[int]) -> Any:
    def function(frame: pl.DataFrame) -> pl.DataFrame:
        refuse(frame["x"], bad)
        return frame.with_columns(rank=pl.Series(range(len(frame)), dtype=pl.Int64))

    return function


def of_list(bad: frozenset[int]) -> Any:
    def function(rows: list) -> list:  # type: ignore[type-arg]
        refuse([row["x"] for row in rows], bad)
        return [{**row, "rank": rank} for rank, row in enumerate(rows)]

    return function


def of_numpy(bad: frozenset[int]) -> Any:
    def function(array: np.ndarray) -> dict[str, Any]:  # type: ignore[type-arg]
        values = array[:, 0].copy()
        array[:] = -1  # whoever changes what it gets must not change what the next call gets
        refuse(values, bad)
        return {"x": values, "rank": np.arange(len(values))}

    return function


KINDS = {"arrow": of_arrow, "pandas": of_pandas, "polars": of_polars, "list": of_list, "numpy": of_numpy}

cases = st.integers(1, 120).flatmap(
    lambda rows: st.tuples(
        st.just(rows),
        st.integers(1, rows),
        st.frozensets(st.integers(0, rows - 1), max_size=12),
        st.integers(1, 5),
    )
)


def where(result: sw.Result) -> list[tuple[int, int]]:
    table = result.quarantine
    return list(zip(table["batch"].to_pylist(), table["row"].to_pylist()))


def expected(rows: int, size: int, bad: frozenset[int]) -> list[dict[str, int]]:
    batches = [[v for v in range(a, min(a + size, rows)) if v not in bad] for a in range(0, rows, size)]
    return [{"x": value, "rank": rank} for batch in batches for rank, value in enumerate(batch)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(case=cases)
def test_bad_rows_are_left_out_and_no_other(kind: str, case: tuple[int, int, frozenset[int], int]) -> None:
    rows, size, bad, shard = case
    data = sw.from_frame({"x": np.arange(rows)}, batch_rows=size)
    result = data.map(KINDS[kind](bad)).collect().run(shard_size=shard, **INLINE)
    assert result.to_list() == expected(rows, size, bad)
    assert where(result) == [(v // size, v % size) for v in sorted(bad)]
    assert result.quarantine["message"].to_pylist() == [f"value {v}" for v in sorted(bad)]
    assert [json.loads(text) for text in result.quarantine["data"].to_pylist()] == [{"x": v} for v in sorted(bad)]
    assert result.run.quarantined == len(bad)


@settings(max_examples=12)
@given(case=cases)
def test_arrays_and_items(case: tuple[int, int, frozenset[int], int]) -> None:
    rows, size, bad, shard = case

    def of_array(array: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        values = array.copy()
        array[:] = 0
        refuse(values, bad)
        return values * 2

    def of_item(item: int) -> int:
        refuse([item], bad)
        return item * 2

    good = [2 * v for v in range(rows) if v not in bad]
    arrays = sw.from_array(np.arange(rows), batch_rows=size).map(of_array).collect().run(shard_size=shard, **INLINE)
    assert arrays.to_list() == good
    items = sw.from_items(range(rows)).map_items(of_item).collect().run(shard_size=shard, **INLINE)
    assert items.to_list() == good
    assert where(arrays) == [(v // size, v % size) for v in sorted(bad)]
    assert where(items) == [(v, 0) for v in sorted(bad)]


@pytest.fixture
def files(tmp_path: Path) -> str:
    """Three files of 400 rows, four batches each."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        x = np.arange(400) + 400 * number
        pq.write_table(pa.table({"x": x, "k": x % 3}), tmp_path / "in" / f"{number}.parquet", row_group_size=100)
    return str(tmp_path / "in")


BAD = frozenset({0, 7, 99, 100, 555, 1199})


class Total(sw.Aggregate[int]):
    """A sum that does not like some values."""

    def __init__(self, bad: frozenset[int]) -> None:
        self.bad = bad

    def zero(self) -> int:
        return 0

    def step(self, state: int, batch: pa.Table) -> int:
        refuse(batch["x"].to_pylist(), self.bad)
        return state + sum(batch["x"].to_pylist())

    def merge(self, a: int, b: int) -> int:
        return a + b

    def finish(self, state: int) -> int:
        return state


def all_bad(result: sw.Result) -> list[int]:
    return [json.loads(text)["x"] for text in result.quarantine["data"].to_pylist()]


def test_aggregates_see_the_other_rows(files: str) -> None:
    mapped = sw.read_parquet(files, batch_rows=100).map(of_arrow(BAD))
    result = mapped.aggregate(n=sw.count(), s=sw.sum("x"), first=sw.argmin("x", "x")).run(**INLINE)
    good = [x for x in range(1200) if x not in BAD]
    assert result.to_pylist() == [{"n": len(good), "s": sum(good), "first": 1}]
    assert all_bad(result) == sorted(BAD)
    grouped = mapped.group_by("k").aggregate(n=sw.count(), total=Total(frozenset())).run(**INLINE)
    assert grouped["total"] == [sum(x for x in good if x % 3 == k) for k in range(3)]


@pytest.mark.parametrize("with_map", [False, True])
def test_a_persons_own_aggregate_is_part_of_the_chain(files: str, with_map: bool) -> None:
    data = sw.read_parquet(files, batch_rows=100).filter("x <> 3")
    if with_map:
        data = data.map(of_arrow(frozenset({5}))).filter("x <> 8")
    good = [x for x in range(1200) if x not in BAD and x != 3 and not (with_map and x in (5, 8))]
    for keys in ((), ("k",)):
        result = (data.group_by(*keys) if keys else data).aggregate(total=Total(BAD), n=sw.count()).run(**INLINE)
        assert sum(result["total"]) == sum(good)
        assert sum(result["n"]) == len(good)
        assert sorted(all_bad(result)) == sorted(BAD | ({5} if with_map else set()))


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "ipc"])
def test_written_bytes_do_not_depend_on_the_plan(files: str, tmp_path: Path, form: str) -> None:
    seen = set()
    for number, options in enumerate(({"shard_size": 1}, {"shard_size": "1MB"}, {"workers": 2})):
        out = tmp_path / f"{form}{number}"
        mapped = sw.read_parquet(files, batch_rows=100).map(of_pandas(BAD))
        job = getattr(mapped, f"write_{form}")(str(out), file_batches=2)
        result = job.run(**INLINE, **options)
        parts = sorted(out.glob("part-*"))
        table = result.quarantine.drop_columns(["replay"])
        seen.add((tuple((p.name, p.read_bytes()) for p in parts), json.dumps(table.to_pylist())))
        assert [Path(f).name for f in result.files] == [p.name for p in parts]
        kept = Path(result.run.dir) / "quarantine" / "rows.parquet"
        assert pq.read_table(kept).equals(result.quarantine)
        assert all_bad(result) == sorted(BAD)
    assert len(seen) == 1


@settings(max_examples=2)
@given(bad=st.frozensets(st.integers(0, 1199), min_size=1, max_size=30), size=st.sampled_from([30, 100, 400]))
def test_engines_and_workers_agree(tmp_path_factory: pytest.TempPathFactory, bad: frozenset[int], size: int) -> None:
    seen = set()
    for engine, shard in (("inline", 1), ("local:2", "1MB"), ("local:3", 300)):
        out = tmp_path_factory.mktemp("out")
        data = sw.generate(1200, lambda rng, n, start: {"x": np.arange(start, start + n)}, batch_rows=size)
        job = data.map(of_arrow(bad)).write_parquet(str(out / "parts"), file_batches=2)
        result = job.run(**{**INLINE, "engine": engine}, shard_size=shard)
        assert all_bad(result) == sorted(bad)
        parts = [(part.name, part.read_bytes()) for part in sorted((out / "parts").glob("part-*"))]
        table = result.quarantine.drop_columns(["replay"])
        seen.add((tuple(parts), json.dumps(table.to_pylist())))
    assert len(seen) == 1


def test_rows_are_counted_as_the_source_has_them(files: str) -> None:
    """Whatever is filtered, sampled, computed or dropped before the first function."""

    def both(table: pa.Table) -> pa.Table:
        refuse(table["y"].to_pylist(), frozenset({2 * x for x in BAD}))
        return table

    data = sw.read_parquet(files, batch_rows=100)
    prepared = data.filter("x % 2 = 1").sample(0.7, seed=3).with_columns(y="x * 2").select("y").filter("y > 20")
    result = prepared.map(both).collect().run(**INLINE)
    reached = [x // 2 for x in prepared.collect().run(engine="inline", progress="none").to_arrow()["y"].to_pylist()]
    bad = [x for x in reached if x in BAD]
    assert bad, "the case has to show something"
    found = result.quarantine.to_pylist()
    assert [(Path(r["file"]).name, r["batch"], r["row"]) for r in found] == [
        (f"{x // 400}.parquet", x % 400 // 100, x % 100) for x in bad
    ]
    assert [json.loads(r["data"]) for r in found] == [{"y": 2 * x} for x in bad]


def test_chains_count_the_rows_of_the_first_functions_input(files: str) -> None:
    """The second function sees other rows than the first; what is left out is what entered the first."""

    def thrice(table: pa.Table) -> pa.Table:
        return pa.table({"x": np.repeat(table["x"].to_numpy(), 3), "copy": list(range(3)) * table.num_rows})

    def picky_rows(frame: pl.DataFrame) -> pl.DataFrame:
        refuse(frame.filter(pl.col("copy") == 2)["x"], BAD)
        return frame

    chain = sw.read_parquet(files, batch_rows=100).map(thrice).filter("copy > 0").map(picky_rows)
    result = chain.collect().run(**INLINE)
    assert all_bad(result) == sorted(BAD)
    assert result["x"] == [x for x in range(1200) if x not in BAD for _ in range(2)]


def test_an_expression_between_functions_belongs_to_the_chain() -> None:
    def text(table: pa.Table) -> pa.Table:
        return pa.table({"t": ["no number" if x == 4 else str(x) for x in table["x"].to_pylist()]})

    chain = sw.from_frame({"x": range(10)}).map(text).with_columns(n="CAST(t AS INTEGER)").map(lambda t: t)
    result = chain.collect().run(**INLINE)
    assert where(result) == [(0, 4)]
    assert result["n"] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_what_does_not_fit_the_settled_columns_is_the_rows_fault(tmp_path: Path) -> None:
    def odd(item: int) -> dict[str, Any]:
        return {"v": "text" if item == 30 else item}

    result = sw.from_items(range(40)).map_items(odd).write_parquet(str(tmp_path / "out")).run(**INLINE)
    assert where(result) == [(30, 0)]
    assert pq.read_table(tmp_path / "out")["v"].to_pylist() == [v for v in range(40) if v != 30]


def test_the_first_batch_may_be_bad_too(tmp_path: Path) -> None:
    """Its columns are settled on what is left of it, or on the next batch."""
    data = sw.from_frame({"x": np.arange(300)}, batch_rows=100)
    for bad in (frozenset({0, 50}), frozenset(range(100))):
        result = data.map(of_arrow(bad)).aggregate(n=sw.count(), top=sw.max("rank")).run(**INLINE)
        assert result.to_pylist() == [{"n": 300 - len(bad), "top": 99}]
        assert result.run.quarantined == len(bad)


def test_rows_that_fail_only_together_take_their_batch_with_them() -> None:
    def jealous(table: pa.Table) -> pa.Table:
        if {13, 17} <= set(table["x"].to_pylist()):
            raise Bad("13 and 17")
        return table

    result = sw.from_frame({"x": np.arange(40)}, batch_rows=10).map(jealous).collect().run(**INLINE)
    assert result["x"] == [*range(10), *range(20, 40)]
    assert result.quarantine["row"].to_pylist() == list(range(10))
    assert set(result.quarantine["scope"].to_pylist()) == {"batch"}
    assert set(result.quarantine["message"].to_pylist()) == {"the rows fail only together: 13 and 17"}


@pytest.mark.parametrize(("bad", "scope", "left_out"), [(100, "row", 100), (101, "batch", 250)])
def test_a_hundred_bad_rows_are_rows_and_more_are_a_batch(bad: int, scope: str, left_out: int) -> None:
    chosen = frozenset(range(0, 2 * bad, 2))
    result = sw.from_frame({"x": np.arange(500)}, batch_rows=250).map(of_arrow(chosen)).collect().run(**INLINE)
    assert result.run.quarantined == left_out
    assert set(result.quarantine["scope"].to_pylist()) == {scope}
    assert result["x"] == [x for x in range(500) if x >= 250 or (scope == "row" and x not in chosen)]


def test_every_call_on_a_batch_has_the_same_randomness(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def noisy(table: pa.Table, ctx: sw.Context) -> pa.Table:
        assert ctx.batch.index == table["x"][0].as_py() // 10, "a part is still a part of its batch"
        noise = ctx.rng.random(table.num_rows)
        with log.open("a") as lines:
            lines.write(f"{ctx.batch.index} {noise[0]}\n")
        refuse(table["x"].to_pylist(), frozenset({3, 14}))
        return table.append_column("noise", pa.array(noise))

    data = sw.from_frame({"x": np.arange(30)}, batch_rows=10).map(noisy)
    result = data.collect().run(**INLINE)
    seen = log.read_text().splitlines()
    assert len(seen) > 10
    assert len(set(seen)) == 3, "one first number for each of three batches"
    again = data.collect().run(**{**INLINE, "shard_size": 1})
    assert result.to_arrow().equals(again.to_arrow())


def test_a_class_is_built_once_and_its_failure_is_no_rows_fault() -> None:
    class Model:
        def __call__(self, table: pa.Table) -> pa.Table:
            refuse(table["x"].to_pylist(), frozenset({5}))
            return table

    class Broken(Model):
        def __init__(self) -> None:
            raise OSError("no weights")

    data = sw.from_frame({"x": range(10)})
    assert data.map(Model).collect().run(**INLINE).run.quarantined == 1
    with pytest.raises(ShardwiseError, match="no weights"):
        data.map(Broken).collect().run(**INLINE, retries=0)


def test_the_function_runs_once_more_and_only_that_output_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def counted(table: pa.Table) -> pa.Table:
        with log.open("a") as lines:
            lines.write(f"{table.num_rows}\n")
        refuse(table["x"].to_pylist(), frozenset({6}))
        return table

    assert len(sw.from_frame({"x": range(8)}).map(counted).collect().run(**INLINE)) == 7
    calls = log.read_text().split()
    assert (calls[0], calls[-1]) == ("8", "7")


def test_how_many_are_allowed(files: str, tmp_path: Path) -> None:
    job = sw.read_parquet(files, batch_rows=100).map(of_arrow(BAD)).collect()
    place = str(tmp_path / "run")
    for limit in (5, "5", "0.4%", 0.004):
        with pytest.raises(FunctionError, match="more than max_quarantined allows"):
            job.run(**INLINE, run_dir=place, max_quarantined=limit, shard_size=1)
        assert (Path(place) / "quarantine" / "rows.parquet").exists()
    result = job.run(**INLINE, run_dir=place, max_quarantined="0.5%", shard_size=1)
    assert result.run.resumed_tasks > 0, "what was committed before is kept"
    assert result.run.quarantined == len(BAD)
    with pytest.raises(UsageError):
        job.run(on_error="quarantine", max_quarantined="lots")
    with pytest.raises(UsageError):
        job.run(max_quarantined=3)
    with pytest.raises(UsageError):
        job.run(on_error="ignore")


def test_on_error_is_part_of_the_job_and_max_quarantined_is_not(files: str, tmp_path: Path) -> None:
    job = sw.read_parquet(files, batch_rows=100).map(of_arrow(frozenset())).collect()
    place = str(tmp_path / "run")
    whole = job.run(**INLINE, run_dir=place, max_quarantined=3)
    assert job.run(**INLINE, run_dir=place).run.resumed_tasks == whole.run.tasks
    with pytest.raises(DifferentJob, match="on_error"):
        job.run(engine="inline", run_dir=place)


def test_a_finished_run_still_has_its_quarantine(files: str) -> None:
    job = sw.read_parquet(files, batch_rows=100).map(of_arrow(BAD)).aggregate(n=sw.count())
    first, again = job.run(**INLINE), job.run(**INLINE)
    assert again.run.tasks == again.run.resumed_tasks
    assert again.run.quarantined == first.run.quarantined == len(BAD)
    assert again.quarantine.equals(first.quarantine)


def test_part_of_the_data_has_part_of_the_quarantine(files: str) -> None:
    job = sw.read_parquet(files, batch_rows=100).map(of_arrow(BAD)).collect()
    assert all_bad(job.run(**INLINE, first="10%")) == [0, 7, 99]
    assert all_bad(job.run(**INLINE)) == sorted(BAD)


def test_a_stream_keeps_them_in_a_directory(files: str, tmp_path: Path) -> None:
    data = sw.read_parquet(files, batch_rows=100).map(of_arrow(BAD))
    streamed = list(data.stream(on_error="quarantine", run_dir=str(tmp_path)))
    assert sum(batch.num_rows for batch in streamed) == 1200 - len(BAD)
    kept = pq.read_table(tmp_path / "quarantine" / "rows.parquet")
    assert [json.loads(text)["x"] for text in kept["data"].to_pylist()] == sorted(BAD)
    with pytest.raises(UsageError, match="run_dir"):
        list(data.stream(on_error="quarantine"))
    with pytest.raises(FunctionError, match="max_quarantined"):
        list(data.stream(on_error="quarantine", run_dir=str(tmp_path), max_quarantined=4))


def test_bad_input_is_named_as_ever(tmp_path: Path) -> None:
    """Quarantine is for what functions refuse; what cannot be read is found by reading, and mended in the file."""
    (tmp_path / "a.csv").write_text("x\n1\n2\nthree\n")
    data = sw.read_csv(str(tmp_path / "a.csv"), schema={"x": "int64"})
    with pytest.raises(InputError, match="three"):
        data.map(lambda table: table).collect().run(**INLINE, retries=0)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"\xff", "\ud800", {1, 2}, object(), np.float32(1.5), None, [np.int8(1)]]
)
def test_any_item_can_be_kept(value: Any) -> None:
    def refuse_all(item: Any) -> Any:
        raise Bad("\ud800")

    result = sw.from_items([value]).map_items(refuse_all).collect().run(**INLINE)
    assert result.to_list() == []
    (kept,) = result.quarantine["data"].to_pylist()
    assert json.loads(kept) is not Ellipsis


def test_replay_shows_a_row_fail_again(files: str) -> None:
    job = sw.read_parquet(files, batch_rows=100).filter("x % 5 = 0").map(of_arrow(BAD)).aggregate(total=Total(BAD))
    result = job.run(**INLINE)
    for command in result.quarantine["replay"].to_pylist():
        with pytest.raises(Bad):
            job.replay(command.split()[-1])
    assert job.replay("0:0:10") == [10]
    with pytest.raises(UsageError, match="does not reach"):
        job.replay("0:0:11")


def test_jobs_that_are_read_from_have_their_say(files: str) -> None:
    first = sw.read_parquet(files, batch_rows=100).map(of_arrow(BAD)).group_by("k").aggregate(n=sw.count())
    result = first.then().map(lambda table: table).collect().run(**INLINE)
    assert sum(result["n"]) == 1200 - len(BAD)
    assert result.run.quarantined == len(BAD)
    assert all_bad(result) == sorted(BAD)
