"""``check``: functions that are not deterministic, or depend on the cut, are caught, with the first difference; clean
ones are not accused."""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import shardwise as sw
from shardwise.api import check as checking
from shardwise.api.check import spread
from shardwise.api.check_report import CheckReport
from shardwise.errors import CutDependent, Unrepeatable

cloudpickle.register_pickle_by_value(sys.modules[__name__])

Function = Callable[..., Any]
WORDS = ["ash", "birch", "cedar", "fir", "oak", "pine", "yew"]


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are enough for all but sets of two strings, and start sooner."""
    monkeypatch.setattr(checking, "SEEDS", ("0", "1"))


def numbers(rows: int = 60, batch_rows: int = 10) -> sw.Dataset:
    """Words and numbers; every number occurs twice in its batch, once in each half."""
    table = pa.table({"w": [WORDS[row % 7] for row in range(rows)], "x": [float(row % 5) for row in range(rows)]})
    return sw.from_frame(table, batch_rows=batch_rows)


def checked(function: Any, data: sw.Dataset | None = None, **options: Any) -> CheckReport:
    return (data or numbers()).map(function).collect().check_functions(**options)


def adding(values: Function) -> Function:
    """A function that adds a column ``y`` of as many values as there are rows."""

    def add(table: pa.Table) -> pa.Table:
        return table.append_column("y", pa.array(values(table)))

    return add


# --- not deterministic ---------------------------------------------------------------------------------------------

CALLS: list[int] = []


def counting(table: pa.Table) -> list[int]:
    CALLS.append(1)
    return [len(CALLS)] * len(table)


def counting_in_the_environment(table: pa.Table) -> list[str]:
    os.environ["SHARDWISE_TEST_CALLS"] = os.environ.get("SHARDWISE_TEST_CALLS", "") + "I"
    return [os.environ["SHARDWISE_TEST_CALLS"]] * len(table)


def remembering(table: pa.Table, seen: set[float] = set()) -> list[bool]:  # noqa: B006
    new = [x not in seen for x in table["x"].to_pylist()]
    seen.update(table["x"].to_pylist())
    return new


class Numbering:
    """A running number of rows, over calls."""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, table: pa.Table) -> pa.Table:
        first, self.next = self.next, self.next + len(table)
        return table.append_column("y", pa.array(range(first, self.next)))


RESTLESS = {
    "set order": adding(lambda t: ["".join({*t["w"].to_pylist()})] * len(t)),
    "time": adding(lambda t: [time.time_ns()] * len(t)),
    "random": adding(lambda t: [random.random() for _ in range(len(t))]),
    "id": adding(lambda t: [id(t) for _ in range(len(t))]),
    "hash": adding(lambda t: [hash(w) for w in t["w"].to_pylist()]),
    "global state": adding(counting),
    "environment": adding(counting_in_the_environment),
    "default argument": adding(remembering),
    "state of an object": Numbering,
    "rows dropped at random": lambda t: t.filter(pa.array([random.random() < 0.5 for _ in range(len(t))])),
    "raises now and then": adding(lambda t: [1 // (hash("shardwise") % 2) for _ in range(len(t))]),
}


@pytest.mark.parametrize("function", RESTLESS.values(), ids=RESTLESS)
def test_a_function_that_is_not_deterministic_is_caught(function: Function) -> None:
    (found,) = checked(function).findings
    assert found.how == "process"
    assert found.task.startswith("collect-")
    assert "not deterministic" in str(found)
    if found.difference is None:
        assert "ZeroDivisionError" in found.raised
        return
    assert found.file == "<frame>"
    assert found.batch is not None
    assert found.difference.row is not None
    assert found.difference.column in ("y", "w", "x") or found.difference.what == "rows"
    assert found.difference.first != found.difference.second


def test_a_set_of_two_strings_is_caught_by_more_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SEEDS", ("0", "1", "2", "3"))
    report = checked(adding(lambda t: ["".join({"no", "yes"})] * len(t)))
    assert [found.how for found in report.findings] == ["process"]


def test_state_is_caught_in_a_single_batch_and_in_items() -> None:
    assert [f.how for f in checked(Numbering, numbers(10)).findings] == ["process"]
    items = sw.from_items([1, 2, 3]).map_items(lambda item, n=[0]: n.append(0) or len(n)).collect()
    (found,) = items.check_functions().findings
    assert found.how == "process"
    one = sw.from_items([1]).map_items(lambda item, n=[0]: n.append(0) or len(n)).collect()
    assert [f.how for f in one.check_functions().findings] == ["process"]


def test_of_several_functions_the_one_that_began_it_is_named() -> None:
    def steady(table: pa.Table) -> pa.Table:
        return table

    def restless(table: pa.Table) -> pa.Table:
        return table.append_column("y", pa.array(np.random.rand(len(table))))

    def later(table: pa.Table) -> pa.Table:
        return table.append_column("z", pc.negate(table["y"]))

    report = numbers().map(steady).map(restless).filter("x > 1").map(later).collect().check_functions()
    assert ["restless" in found.function for found in report.findings] == [True]


def test_the_place_is_that_of_the_file_batch_and_row(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pq.write_table(pa.table({"x": list(range(20))}), tmp_path / f"{name}.parquet")

    def restless(table: pa.Table, ctx: sw.Context) -> pa.Table:
        y = [float(v) for v in table["x"].to_pylist()]
        if ctx.batch.source.endswith("b.parquet") and ctx.batch.index == 0:
            y[7] = random.random()
        return table.append_column("y", pa.array(y))

    data = sw.read_parquet(str(tmp_path / "*.parquet"), batch_rows=10)
    (found,) = data.map(restless).write_parquet(str(tmp_path / "out")).check_functions().findings
    assert found.difference is not None
    assert (found.file, found.batch, found.task) == (str(tmp_path / "b.parquet"), 0, "write-2-3")
    assert (found.difference.row, found.difference.column) == (7, "y")


# --- dependent on the cut ------------------------------------------------------------------------------------------


def first_of_each(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates("x")


CUT = {
    "mean": adding(lambda t: pc.subtract(t["x"], pc.mean(t["x"])).combine_chunks()),
    "running index": adding(lambda t: range(len(t))),
    "duplicates": first_of_each,
    "sorted": lambda t: t.sort_by("x"),
    "cumulative sum": adding(lambda t: np.cumsum(t["x"].to_numpy())),
    "difference to the row before": adding(lambda t: np.diff(t["x"].to_numpy(), prepend=0.0)),
    "length": adding(lambda t: [len(t)] * len(t)),
    "last row": lambda t: t.slice(len(t) - 1),
    "reversed": lambda t: t.take(list(range(len(t)))[::-1]),
    "one number a batch": lambda t: {"total": pc.sum(t["x"]).as_py()},
    "refuses few rows": adding(lambda t: [1 / (len(t) > 5) for _ in range(len(t))]),
}


@pytest.mark.parametrize("function", CUT.values(), ids=CUT)
def test_a_function_that_depends_on_the_cut_is_caught(function: Function) -> None:
    (found,) = in_this_process(numbers().map(function).collect())
    assert found.how == "cut"
    assert "depends on how the data is cut" in str(found)
    assert (found.file, found.batch) == ("<frame>", 0)
    if found.difference is None:
        assert "ZeroDivisionError" in found.raised
        return
    assert found.difference.row is not None
    assert found.difference.first != found.difference.second


def test_the_first_difference_is_the_first_one() -> None:
    (found,) = checked(adding(lambda t: range(len(t)))).findings
    assert (found.how, found.file, found.batch) == ("cut", "<frame>", 0)
    assert str(found.difference) == "row 5, column 'y': 5, then 0"
    (found,) = in_this_process(numbers().map(first_of_each).collect())
    assert str(found.difference) == "row 5, number of rows: 5 rows, then 10 rows"


def test_the_last_bit_is_told_as_such() -> None:
    def rounded_by_place(array: np.ndarray) -> np.ndarray:
        made = array / 3
        made[: len(made) // 2] = np.nextafter(made[: len(made) // 2], np.inf)
        return made

    (found,) = in_this_process(sw.from_array(np.arange(1.0, 9.0)).map(rounded_by_place).collect())
    assert found.is_rounding
    assert "in the last bits" in str(found)
    assert "1 unit in the last place" in str(found)


def test_arrays_are_given_as_copies_so_that_a_function_may_change_them() -> None:
    def change(array: np.ndarray) -> np.ndarray:
        array *= 2
        return array

    assert in_this_process(sw.from_array(np.arange(40.0), batch_rows=10).map(change).collect()) == ()


# --- clean ---------------------------------------------------------------------------------------------------------

STEPS: dict[str, Function] = {
    "affine": lambda a, c: a * c + 1,
    "log": lambda a, c: np.log(np.abs(a) + abs(c)),
    "sqrt": lambda a, c: np.sqrt(np.abs(a) + c * c),
    "sin": lambda a, c: np.sin(a + c),
    "power": lambda a, c: np.abs(a) ** 1.5 + c,
    "where": lambda a, c: np.where(a > c, a, -a),
    "rounded": lambda a, c: np.round(a * c, 2),
    "clip": lambda a, c: np.clip(a, -abs(c), abs(c)),
    "keep": lambda a, c: a[a[:, 0] > c],
    "twice": lambda a, c: np.repeat(a, 2, axis=0),
    "row mean": lambda a, c: np.column_stack([a, a.mean(axis=1) + c]),
    "cast": lambda a, c: a.astype(np.float32).astype(np.float64) + c,
}


@given(
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.floats(-3, 3)), min_size=1, max_size=8),
    st.integers(2, 40),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=40)
def test_random_row_wise_functions_are_not_accused_on_halves(
    steps: list[tuple[str, float]], rows: int, seed: int
) -> None:
    data = sw.from_array(np.random.default_rng(seed).standard_normal((rows * 2, 3)), batch_rows=rows)
    for name, constant in steps:
        data = data.map(lambda a, f=STEPS[name], c=constant: f(a, c))
    assert in_this_process(data.collect()) == ()


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-5, 5)),
            st.one_of(st.none(), st.floats(allow_nan=True)),
            st.one_of(st.none(), st.sampled_from(WORDS)),
        ),
        min_size=2,
        max_size=12,
    ),
    st.lists(st.sampled_from(["pandas", "polars", "arrow", "lists", "columns", "few"]), min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=60)
def test_nulls_in_one_half_only_are_no_reason_to_accuse(rows: list[tuple[Any, ...]], kinds: list[str]) -> None:
    import polars as pl

    def in_pandas(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(f=frame["f"] * 2, s=frame["s"].str.upper())

    def in_polars(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns((pl.col("i") + 1).alias("i"), pl.col("s").fill_null("none"))

    def in_arrow(table: pa.Table) -> pa.Table:
        return table.filter(pc.is_valid(table["f"]))

    def in_lists(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "n": len(row["s"] or "")} for row in listed for _ in range(2)]

    def in_columns(table: pa.Table) -> dict[str, Any]:
        return {name: table[name].to_pylist() for name in table.column_names}

    def few(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["f"] > 1e300]

    assume(any(row[1] is not None for row in rows))  # or all rows go, and a list of none has no columns for pandas
    functions = {"pandas": in_pandas, "polars": in_polars, "arrow": in_arrow, "lists": in_lists, "columns": in_columns}
    i, f, s = zip(*rows)
    data = sw.from_frame(
        pa.table({"i": pa.array(i, pa.int64()), "f": pa.array(f, pa.float64()), "s": pa.array(s, pa.string())})
    )
    for kind in kinds:
        data = data.map(functions.get(kind, few))
    assert in_this_process(data.collect()) == ()


def in_this_process(job: sw.Job) -> tuple[Any, ...]:
    """What a check finds where both processes are this one."""
    import tempfile

    from shardwise.api.check import _Findings, own_aggregates
    from shardwise.api.options import Options
    from shardwise.api.witnesses import Seen, _named
    from shardwise.compute.execute import execute
    from shardwise.compute.programs.witness import HALVES, WitnessProgram
    from shardwise.compute.task import TaskSpec

    work = job.work(Options())
    own = own_aggregates(work)
    found = _Findings(work, tuple(name for name, _ in own))
    program = WitnessProgram(work.pipeline, tuple(aggregate for _, aggregate in own), 2)
    with tempfile.TemporaryDirectory() as place:
        seen = []
        for number, stage in enumerate(("whole", HALVES)):
            directory = f"{place}/{number}"
            outcome = execute(TaskSpec("memory", stage, 0, number, "", 0, 1, directory), program)
            assert outcome.failure is None, outcome.failure
            seen.append(Seen(dict(map(_named, outcome.outputs)), directory))
        found.compare(0, *seen)
    return found.all()


def test_many_row_wise_functions_of_all_libraries_pass_in_several_processes() -> None:
    import polars as pl

    def in_pandas(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(z=frame["x"].map(lambda x: x if x > 1 else None), up=frame["w"].str.upper())

    def in_polars(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns((pl.col("x") * 2).alias("twice"))

    def in_lists(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "n": len(row["w"])} for row in rows if row["x"] != 3]

    class Scaler:
        def __init__(self) -> None:
            self.by = {"oak": 2.0}

        def __call__(self, table: pa.Table) -> pa.Table:
            scaled = [self.by.setdefault(w, 1.0) * x for w, x in zip(*(table[c].to_pylist() for c in "wx"))]
            return table.append_column("scaled", pa.array(scaled))

    job = numbers().map(in_pandas).map(in_polars).map(in_lists).map(Scaler).collect()
    report = job.check_functions()
    assert report.findings == ()
    assert report.notes == ()
    assert len(report.functions) == 4
    assert report.batches >= 2


# --- randomness ----------------------------------------------------------------------------------------------------


def test_draws_by_row_pass_and_draws_by_batch_are_named_but_not_accused() -> None:
    def jitter(table: pa.Table, ctx: sw.Context) -> pa.Table:
        return table.append_column("y", pa.array(ctx.rng.random(len(table))))

    def twice(table: pa.Table, ctx: sw.Context) -> pa.Table:
        first = ctx.rng.random(len(table))
        return table.append_column("y", pa.array(first + ctx.rng.random(len(table))))

    report = checked(jitter)
    assert report.findings == ()
    assert report.notes == ()
    report = checked(twice)
    assert report.findings == ()
    assert "draws from ctx.rng by batch" in report.notes[0]


# --- aggregates, items, quarantine ---------------------------------------------------------------------------------


class Own(sw.Aggregate):
    """An aggregate made of its parts."""

    def __init__(self, step: Function, merge: Function, finish: Function) -> None:
        self._step, self._merge, self._finish = step, merge, finish

    def zero(self) -> Any:
        return []

    def step(self, state: Any, batch: Any) -> Any:
        return self._step(state, batch["x"].to_pylist())

    def merge(self, a: Any, b: Any) -> Any:
        return self._merge(a, b)

    def finish(self, state: Any) -> Any:
        return self._finish(state)


AGGREGATES = {
    "clean": (Own(lambda s, x: s + x, lambda a, b: a + b, sum), []),
    "merge changes its first": (Own(lambda s, x: s + x, lambda a, b: a.extend(b) or a, len), []),
    "restless step": (Own(lambda s, x: [random.random()], lambda a, b: a + b, sum), ["process"]),
    "restless finish": (Own(lambda s, x: x, lambda a, b: a + b, lambda s: time.time_ns()), ["process"]),
    "set that is sorted": (
        Own(lambda s, x: [*{str(v) for v in x}], lambda a, b: a + b, lambda s: "".join(sorted({*s}))),
        [],
    ),
    "set in its order": (Own(lambda s, x: {str(v) for v in x}, lambda a, b: a | b, "".join), ["process"]),
    "mean of means": (
        Own(lambda s, x: [sum(x) / len(x)], lambda a, b: [(a[0] + b[0]) / 2], lambda s: s[0]),
        ["step", "merge"],
    ),
    "longest batch": (Own(lambda s, x: [len(x)], lambda a, b: max(a, b), lambda s: s[0]), ["step"]),
    "subtraction": (Own(lambda s, x: [sum(x)], lambda a, b: [a[0] - b[0]], lambda s: s[0]), ["step", "merge"]),
    "float sums": (
        Own(lambda s, x: [sum(v * 0.1 for v in x)], lambda a, b: [a[0] + b[0]], lambda s: s[0]),
        None,
    ),
}


@pytest.mark.parametrize("kind", AGGREGATES)
def test_aggregates_of_ones_own(kind: str) -> None:
    aggregate, expected = AGGREGATES[kind]
    rows = pa.table({"w": WORDS[:5] * 12, "x": [0.0, 1.0, 7.0, 3.0, 4.0, 9.0] * 10})
    job = sw.from_frame(rows, batch_rows=12).aggregate(a=aggregate)
    findings = job.check_functions().findings if expected == ["process"] or "set" in kind else in_this_process(job)
    if expected is None:  # what rounding does is told, and lawful: the order of merging is fixed
        assert findings
        assert all(finding.lawful for finding in findings)
        return
    assert {f.how for f in findings} == {*expected}
    assert all(f.function == "Own" for f in findings)


def test_an_aggregate_by_group() -> None:
    job = numbers().group_by("w").aggregate(sw.count(), a=AGGREGATES["clean"][0])
    assert job.check_functions().ok
    job = numbers().group_by("w").aggregate(sw.count(), a=AGGREGATES["restless step"][0])
    assert [f.how for f in job.check_functions().findings] == ["process"]


def test_in_quarantine_mode_rows_that_fail_are_left_out_and_compared() -> None:
    def strict(table: pa.Table) -> pa.Table:
        if 3.0 in table["x"].to_pylist():
            raise ValueError("no threes")
        return table

    def moody(table: pa.Table) -> pa.Table:
        if set(table["x"].to_pylist()) & {float(hash("a") % 5)}:
            raise ValueError("not that one")
        return table

    assert checked(strict, on_error="quarantine").ok
    report = checked(moody, on_error="quarantine")
    assert [f.how for f in report.findings] == ["process"]


def test_what_fails_anyway_is_left_to_the_run() -> None:
    def broken(table: pa.Table) -> pa.Table:
        raise KeyError("no")

    report = checked(broken)
    assert report.ok
    assert "fails, whoever tries it: KeyError" in report.notes[0]

    def dies(table: pa.Table) -> pa.Table:
        os._exit(7)

    report = checked(dies)
    assert report.ok
    assert "could not be checked" in report.notes[0]


def test_what_takes_too_long_is_left_to_the_run() -> None:
    def hangs(table: pa.Table) -> pa.Table:
        while True:
            time.sleep(0.01)

    report = checked(hangs, timeout=1.0)
    assert "could not be checked: a call took longer" in report.notes[0]


def test_without_functions_there_is_nothing_to_check() -> None:
    report = numbers().aggregate(sw.sum("x")).check_functions()
    assert report.ok
    assert str(report) == "checked: no function of yours takes part"


# --- in a run ------------------------------------------------------------------------------------------------------


def test_a_run_refuses_what_is_not_deterministic_before_it_begins(tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = numbers().map(RESTLESS["random"]).write_parquet(str(out))
    with pytest.raises(Unrepeatable, match=r"not deterministic.*<frame>, batch \d+\): row \d+, column 'y'") as caught:
        job.run(check=True, engine="inline", progress="none", run_dir=str(tmp_path / "run"))
    assert caught.value.code == "E310"
    assert not out.exists()
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_a_warning_where_the_cut_counts() -> None:
    job = numbers().map(CUT["running index"]).collect()
    with pytest.warns(CutDependent, match="row 5, column 'y': 5, then 0"):
        result = job.run(check=True, engine="inline", progress="none")
    assert result["y"][:12] == [*range(10), 0, 1]


@given(st.integers(1, 300))
@settings(deadline=None)
def test_samples_are_spread_and_whole(total: int) -> None:
    order = list(spread(total))
    assert sorted(order) == list(range(total))
    if total >= 8:
        first = sorted(order[:4])
        assert all(b - a >= total // 8 for a, b in itertools.pairwise(first))


def test_a_sample_is_a_few_percent_and_at_least_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SECONDS", 60.0)  # whatever else this machine does now

    def plain(array: np.ndarray) -> np.ndarray:
        return array

    for rows, expected in ((1, 1), (2, 2), (50, 2), (200, 6)):
        report = sw.from_array(np.zeros(rows), batch_rows=1).map(plain).collect().check_functions()
        assert (report.batches, report.of) == (expected, rows)
