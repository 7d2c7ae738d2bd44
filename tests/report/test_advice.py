"""Each piece of advice is given where its trouble was built in, and none where there is nothing to gain."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shardwise.report.advice import advice


def stage(name: str = "partial", **about: Any) -> dict[str, Any]:
    made = {
        "name": name, "what": "", "tasks": 40, "done": 40, "rows_in": 4_000_000, "bytes_in": 400_000_000,
        "rows_out": 40, "bytes_out": 4000, "seconds": 95.0, "wall": [1.0, 25.5], "read": 15.0, "compute": 78.0,
        "write": 0.5, "peak_memory": 200_000_000, "predicted_seconds": None, "predicted_memory": None, "attempts": 40,
        "busy": 96.0, "in_vain": 0.0, "longest": 2.6, "slots": 4,
    }  # fmt: skip
    return made | about


def healthy() -> dict[str, Any]:
    """Four workers that compute all the time, evenly, with vectorised code."""
    return {
        "run": {
            "id": "abc", "dir": "/cache/runs/abc", "status": "done", "engine": "local", "workers": 4, "seconds": 26.0,
            "functions": [],
            "ends": {"committed": 40}, "attempts": 40, "tasks": 40,
        },
        "plan": None,
        "stages": [stage()],
        "spans": [],
        "where": {
            "reading": 15.0, "computing": 78.0, "writing": 0.5, "waiting": 3.0, "starting": 1.0, "retrying": 0.0,
        },
        "links": [{"from": "storage", "to": "box", "bytes": 400_000_000, "seconds": 15.0}],
        "skew": [{"stage": "partial", "median": 2.4, "longest": 2.6, "ratio": 1.08, "rows_ratio": 1.0}],
        "stragglers": [],
        "quarantine": {"rows": 0, "first": []},
        "prediction": {"memory_limit": 4_000_000_000, "measured_memory": 900_000_000},
    }  # fmt: skip


def with_(**changes: dict[str, Any] | list[Any]) -> dict[str, Any]:
    made = copy.deepcopy(healthy())
    for name, change in changes.items():
        if isinstance(change, dict):
            made[name].update(change)
        else:
            made[name] = change
    return made


def only(document: dict[str, Any]) -> dict[str, Any]:
    (one,) = advice(document)
    assert set(one) == {"what", "why", "gain_seconds"}
    return one


def test_a_healthy_run_gets_none() -> None:
    assert advice(healthy()) == []


def uneven(rows_ratio: float) -> dict[str, Any]:
    skew = {"stage": "partial", "median": 2.0, "longest": 20.0, "ratio": 10.0, "rows_ratio": rows_ratio}
    return with_(skew=[skew], stages=[stage(busy=98.0, wall=[1.0, 43.5], longest=20.0)], run={"seconds": 44.0})


def test_skew() -> None:
    one = only(uneven(9.0))
    assert "smaller shards" in one["what"]
    assert "salt the key" in one["what"]
    assert "10.0 times the median" in one["why"]
    assert one["gain_seconds"] == pytest.approx(min(42.5 - 98.0 / 4, 18.0))
    assert "salt" not in only(uneven(1.0))["what"]


def test_skew_of_a_single_worker_costs_nothing() -> None:
    made = uneven(9.0)
    made["run"]["workers"] = 1
    assert advice(made) == []


WAITING = {"reading": 5.0, "computing": 15.0, "writing": 0.0, "waiting": 60.0, "starting": 1.0, "retrying": 0.0}


def test_too_few_tasks_for_the_workers() -> None:
    one = only(with_(where=WAITING, stages=[stage(done=5, tasks=5, busy=20.0, read=5.0, compute=15.0)]))
    assert one["what"].startswith("use more, smaller shards")
    assert "5 tasks for 4 workers" in one["why"]
    assert one["gain_seconds"] == 15.0


def test_tiny_tasks() -> None:
    one = only(with_(where=WAITING, stages=[stage(done=4000, tasks=4000, busy=20.0, read=5.0, compute=15.0)]))
    assert one["what"].startswith("use larger shards")
    assert "4000 tasks took 5 ms each" in one["why"]


def test_start_up_dominates() -> None:
    spent = {"reading": 0.2, "computing": 0.8, "writing": 0.0, "waiting": 0.5, "starting": 4.0, "retrying": 0.0}
    made = with_(run={"seconds": 2.2}, where=spent, stages=[stage(busy=1.1, read=0.2, compute=0.8, wall=[1.1, 2.1])])
    one = only(made)
    assert "--engine inline" in one["what"]
    assert one["gain_seconds"] == pytest.approx(1.2)
    made["run"]["engine"] = "inline"
    assert advice(made) == []


def test_reading_dominates() -> None:
    spent = {"reading": 80.0, "computing": 12.0, "writing": 0.5, "waiting": 3.0, "starting": 1.0, "retrying": 0.0}
    one = only(with_(where=spent, stages=[stage(read=80.0, compute=12.0)]))
    assert "select" in one["what"]
    assert "Parquet" in one["what"]
    assert "5.00 MB/s" in one["why"]


def test_a_loop_in_python() -> None:
    made = with_(run={"functions": ["map"]})
    one = only(made)
    assert "vectorise" in one["what"]
    assert "19.5 microseconds a row" in one["why"]
    assert one["gain_seconds"] == pytest.approx((78.0 - 15.0) / 4)
    made["stages"] = [stage(rows_in=4_000_000_000)]
    assert advice(made) == []  # vectorised: 20 ns a row
    made["stages"] = [stage(name="settle")]
    assert advice(made) == []  # its first batch only: the same function again
    made["stages"] = [stage(rows_in=40)]
    assert advice(made) == []  # an item that takes two seconds is no row


def test_retries() -> None:
    spans = [{"how": "lost", "failure": "crash: SIGSEGV"}] * 3 + [{"how": "failed", "failure": "ValueError: no"}]
    made = with_(run={"ends": {"committed": 40, "lost": 3, "failed": 1}}, where={"retrying": 20.0}, spans=spans)
    one = only(made)
    assert "shardwise logs abc" in one["what"]
    assert one["why"] == "4 attempts failed or died, most often: crash: SIGSEGV"
    assert one["gain_seconds"] == 5.0
    made["where"]["retrying"] = 0.4
    assert advice(made) == []


def test_memory_near_its_ceiling() -> None:
    one = only(with_(prediction={"memory_limit": 1_000_000_000}))
    assert "--memory" in one["what"]
    assert "900 MB of the 1.00 GB allowed" in one["why"]
    assert one["gain_seconds"] is None
    assert advice(with_(prediction={"memory_limit": None})) == []


def test_quarantine() -> None:
    first = [{"file": "a.csv", "batch": 0, "row": 3, "type": "ValueError", "message": "no fare"}]
    one = only(with_(quarantine={"rows": 1200, "first": first}))
    assert "shardwise replay abc" in one["what"]
    assert "1,200 rows are in quarantine" in one["why"]
    assert "ValueError: no fare" in one["why"]


def test_a_run_is_named_as_commands_know_it() -> None:
    made = with_(run={"dir": "/my data/run"}, quarantine={"rows": 1})
    assert only(made)["what"].endswith("shardwise replay '/my data/run'")
    made["run"]["dir"] = ""
    assert only(made)["what"] == "look at result.quarantine"


def test_the_greatest_gain_comes_first_and_what_has_none_last() -> None:
    made = uneven(9.0)
    made["run"]["ends"]["lost"] = 3
    made["where"]["retrying"] = 20.0
    made["quarantine"]["rows"] = 1
    gains = [one["gain_seconds"] for one in advice(made)]
    assert gains == [18.0, 5.0, None]


@pytest.mark.parametrize("seconds", [0.0, 1e-6])
def test_an_empty_run_gets_none(seconds: float) -> None:
    spent = dict.fromkeys(healthy()["where"], 0.0)
    made = with_(run={"seconds": seconds, "workers": None, "ends": {}}, stages=[], where=spent, skew=[], links=[])
    made["prediction"]["measured_memory"] = None
    assert advice(made) == []
