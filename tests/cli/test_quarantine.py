"""Quarantine as a person at a terminal meets it: summary, exit status 3, JSON, limit, replay."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.cli import main as cli

Run = Callable[..., tuple[int, str, str]]

SCRIPT = """
import pyarrow as pa
import shardwise as sw

def clean(table: pa.Table) -> pa.Table:
    for name in table["名"].to_pylist():
        if name == "悪い":
            raise ValueError(f"no good: {name}")
    return table

job = sw.read_parquet("表.parquet", batch_rows=10).map(clean).aggregate(n=sw.count())
items = sw.from_items([4, 2, 0, 1]).map_items(lambda item: 8 // item).collect()
"""
BAD = (3, 12, 29)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    names = ["悪い" if row in BAD else f"良い{row}" for row in range(30)]
    pq.write_table(pa.table({"名": names}), "表.parquet")
    (tmp_path / "関数.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def shardwise(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(args)
        return status, *capsys.readouterr()

    return run


MAP = ("map", "表.parquet", "関数.py:clean", "-o", "out", "--batch-rows", "10", "--engine", "inline")


def test_without_it_the_job_fails(shardwise: Run) -> None:
    status, _, err = shardwise(*MAP, "--retries", "0")
    assert status == 1
    assert "no good" in err


def test_the_rest_is_written_and_the_summary_says_where_the_others_lie(shardwise: Run, place: Path) -> None:
    status, out, err = shardwise(*MAP, "--on-error", "quarantine")
    assert (status, out) == (3, "")
    assert pq.read_table(place / "out").num_rows == 27
    assert "3 rows went to quarantine, in 1 file: 3 ValueError." in err
    (kept,) = (place / "cache").glob("runs/*/quarantine/rows.parquet")
    assert str(kept) in err
    rows = pq.read_table(kept).to_pylist()
    assert [(row["batch"], row["row"]) for row in rows] == [(0, 3), (1, 2), (2, 9)]
    assert {row["message"] for row in rows} == {"no good: 悪い"}
    assert {row["data"] for row in rows} == {'{"名": "悪い"}'}
    status, _, again = shardwise(*MAP, "--on-error", "quarantine", "--quiet")
    assert status == 3, "a finished run is still one with rows in quarantine"
    assert "3 rows went to quarantine" in again


def test_json_says_how_many(shardwise: Run) -> None:
    status, out, _ = shardwise("run", "関数.py:job", "--on-error", "quarantine", "--json", "--engine", "inline")
    assert status == 3
    document = json.loads(out)
    assert document["rows"] == [{"n": 27}]
    assert document["run"]["quarantined"] == 3


def test_a_job_without_bad_rows_ends_as_ever(shardwise: Run) -> None:
    status, out, err = shardwise(
        "aggregate", "表.parquet", "--agg", "n=count()", "--on-error", "quarantine", "--json", "--engine", "inline"
    )
    assert status == 0
    assert json.loads(out)["run"]["quarantined"] == 0
    assert "quarantine" not in err


def test_too_many_fail_the_job(shardwise: Run) -> None:
    status, _, err = shardwise(*MAP, "--on-error", "quarantine", "--max-quarantined", "5%")
    assert status == 1
    assert "more than max_quarantined allows (5% of 30 rows allowed)" in err
    assert shardwise(*MAP, "--on-error", "quarantine", "--max-quarantined", "10%")[0] == 3
    assert shardwise(*MAP, "--max-quarantined", "1")[0] == 2


@pytest.mark.parametrize("command", [MAP, ("run", "関数.py:job", "--engine", "inline")])
def test_every_row_says_how_to_see_it_fail(
    shardwise: Run, place: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    shardwise(*command, "--on-error", "quarantine")
    (kept,) = (place / "cache").glob("runs/*/quarantine/rows.parquet")
    commands = pq.read_table(kept)["replay"].to_pylist()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    for replay in commands:
        status, _, err = shardwise(*shlex.split(replay)[1:])
        assert status == 1
        assert 'data  {"名": "悪い"}' in err
        assert err.rstrip().endswith("ValueError: no good: 悪い")
        assert "関数.py" in err
    run = shlex.split(commands[0])[2]
    assert shardwise("replay", run)[0] == 1
    assert shardwise("replay", run, "--row", "表.parquet:1:2")[0] == 1
    status, _, err = shardwise("replay", run, "--row", "表.parquet:1:3")
    assert status == 2
    assert "is not in quarantine" in err
    script = place / "関数.py"
    script.write_text(SCRIPT.replace("raise ValueError", "print"), encoding="utf-8")
    status, out, err = shardwise("replay", run)
    assert status == 0
    assert "it passes" in err
    assert "悪い" in out


def test_rows_of_data_in_memory_are_kept_for_who_types_commands(shardwise: Run, place: Path) -> None:
    status, out, _ = shardwise("run", "関数.py:items", "--on-error", "quarantine", "--json", "--engine", "inline")
    assert status == 3
    (kept,) = (place / "cache").glob("runs/*/quarantine/rows.parquet")
    assert shardwise("replay", json.loads(out)["run"]["id"])[0] == 1
    assert pq.read_table(kept)["type"].to_pylist() == ["ZeroDivisionError"]


def test_a_run_of_a_program_tells_what_to_write_there(shardwise: Run, place: Path) -> None:
    import shardwise as sw

    cli.TYPED.set(None)
    job = sw.read_parquet("表.parquet").map(lambda table: 1 / 0).collect()
    result = job.run(on_error="quarantine", engine="inline", progress="none", run_dir=str(place / "run"))
    status, out, _ = shardwise("replay", str(place / "run"))
    assert status == 0
    assert "job.replay(" in out
    assert str(place / "run") in result.quarantine["replay"][0].as_py()
    names: dict[str, object] = {"job": job}
    with pytest.raises(ZeroDivisionError):
        exec(out, names)


def test_a_run_without_any_says_so(shardwise: Run) -> None:
    status, out, _ = shardwise("aggregate", "表.parquet", "--agg", "n=count()", "--json")
    status, _, err = shardwise("replay", json.loads(out)["run"]["id"])
    assert status == 2
    assert "no row in quarantine" in err
