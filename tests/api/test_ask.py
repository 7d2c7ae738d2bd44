"""What a plan is asked for: rows and shares as people write them, and what follows from a share."""

from __future__ import annotations

import doctest
import time
from pathlib import Path
from typing import Any

import pytest

import shardwise as sw
from shardwise.api import ask
from shardwise.api.ask import Ask
from shardwise.errors import UsageError


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(ask).failed == 0


@pytest.mark.parametrize("sample", [2, -1, float("nan"), float("inf"), "200%", "five", True, [1], "0"])
def test_what_is_no_share_is_refused(sample: Any) -> None:
    with pytest.raises(UsageError) as refused:
        sw.from_items(range(9)).collect().plan(sample=sample)
    assert "%" in refused.value.fix


@pytest.mark.parametrize("rows", [0, -1, 1.5, float("nan"), float("inf"), "many", "0", True, [1]])
def test_what_is_no_number_of_rows_is_refused(rows: Any) -> None:
    with pytest.raises(UsageError) as refused:
        sw.from_items(range(9)).collect().plan(rows=rows)
    assert "1e9" in refused.value.fix


@pytest.mark.parametrize("rows", [1e9, "1e9", "1G", 10**9])
def test_rows_are_written_as_on_the_command_line(rows: Any) -> None:
    assert Ask.of(rows, "5%") == Ask(10**9, 0.05)


# --- shares ----------------------------------------------------------------------------------------------------------


def _pause(item: int) -> int:
    time.sleep(0.001)
    return item


def _job(count: int = 200) -> Any:
    return sw.from_items(range(count)).map_items(_pause).collect()


def test_a_share_that_is_asked_for_is_tried_though_less_was_before(tmp_path: Path) -> None:
    options = {"engine": "local:2", "run_dir": str(tmp_path / "run")}
    little = _job().plan(**options)
    half = _job().plan(sample="50%", **options)
    again = _job().plan(sample=0.2, **options)
    whole = _job().plan(sample="100%", **options)
    assert little.sample["share"] <= 0.05 < 0.4 < half.sample["share"] <= 0.5
    assert again.sample == half.sample
    assert whole.sample["share"] > 0.9
    assert _job().plan(**options).sample == whole.sample
    assert _job().run(progress="none", **options).to_list() == list(range(200))


def test_where_one_batch_is_more_than_the_share_the_plan_says_so(tmp_path: Path) -> None:
    few = _job(4).plan(engine="local:2", run_dir=str(tmp_path / "few"))
    many = _job(400).plan(engine="local:2", run_dir=str(tmp_path / "many"))
    said = "25.0 % of the data was tried, more than the 5.0 % allowed: one of 4 parts is the least that can be"
    assert said in few.reasons
    assert not any("allowed" in reason for reason in many.reasons)


# --- what is not kept ------------------------------------------------------------------------------------------------


def test_what_is_not_kept_is_told_so_and_counts_as_to_be_done(tmp_path: Path) -> None:
    plan = sw.from_items([object() for _ in range(200)]).map_items(lambda item: 1).collect().plan(engine="local:2")
    assert not plan.run_dir and plan.sample is not None
    assert "not kept" in str(plan) and "committed" not in str(plan)
    assert plan.stages[0].done == 0


def test_a_restart_begins_anew_in_its_plan_too(tmp_path: Path) -> None:
    options = {"engine": "local:2", "run_dir": str(tmp_path / "run")}
    _job().run(progress="none", **options)
    for how in ({}, {"sample": 0}):
        plan = _job().plan(restart=True, **how, **options)
        assert plan.stages[0].done == 0 and "committed" not in str(plan)
