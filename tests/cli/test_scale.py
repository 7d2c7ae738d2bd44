"""`shardwise scale` from end to end, on a job whose tasks wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from shardwise.cli import main as cli

JOB = """
import time
import shardwise as sw

def nap(item):
    time.sleep(0.01)
    return item

job = sw.from_items(list(range(400))).map_items(nap).collect()
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "machines.toml"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "naps.py").write_text(JOB)
    return tmp_path


def shardwise(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = cli.main(args)
    return status, *capsys.readouterr()


def test_text_and_chart(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = shardwise(
        capsys, "scale", "naps.py:job", "--workers", "1,2,4", "--repeats", "1", "-o", "chart.svg",
        "--machines", str(EXAMPLE), "--deadline", "1h",
    )  # fmt: skip
    assert status == 0, err
    for words in (
        "<items> | map_items nap | collect",
        "engine local",
        "Amdahl   serial fraction",
        "USL      contention",
        "serial   planning",
        "the whole job on",
        "16 machines",
        "whole job:",
        "workers wait: they need a core for",
        "memory of each",
        "cheapest within 1 h 0 min: 1 x small",
    ):
        assert words in out, out
    assert "local, 4 workers: " in err and "Wrote chart.svg." in err
    chart = ET.parse(place / "chart.svg").getroot()
    text = " ".join("".join(element.itertext()) for element in chart.iter())
    assert "measured" in text and "Amdahl" in text and "USL" in text
    assert sorted(path.name for path in place.iterdir()) == ["chart.svg", "naps.py"]


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = shardwise(
        capsys, "scale", "naps.py", "--workers", "1,2", "--engine", "local", "--engine", "inline",
        "--repeats", "1", "--first", "10%", "--json", "--quiet",
    )  # fmt: skip
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert document["sample"] == {"share": 0.1, "tasks": 8}
    local, inline = document["engines"]
    assert (local["engine"], inline["engine"]) == ("local", "inline")
    assert [row["workers"] for row in local["rows"]] == [1, 2]
    one, two = (row["seconds"] for row in local["rows"])
    assert local["rows"][1]["speed_up"] == pytest.approx(one / two)
    assert local["laws"]["amdahl"]["serial"]["value"] >= 0
    assert local["laws"]["usl"] is None
    assert [way["workers"] for way in local["whole"]["ways"]] == [2, 4, 4, 8, 16, 32]
    (measured, *_) = local["measured"]
    parts = ("planning", "settling", "work", "merging", "finishing", "publishing")
    assert measured["seconds"] == pytest.approx(sum(measured[part] for part in parts))
    assert measured["start"] > 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nowhere.py",), "there is no file nowhere.py"),
        (("naps.py:jib",), "did you mean job?"),
        (("naps.py", "-o", "chart.gif"), "not a chart that can be drawn"),
        (("naps.py", "--workers", "two"), "--workers"),
        (("naps.py", "--deadline", "1h"), "a deadline says nothing without machines"),
        (("naps.py", "--machines", "none.toml"), "none.toml cannot be read"),
        (("naps.py", "--workers", "1,1000"), "400 tasks at most, so 1000 workers would wait"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    args: tuple[str, ...], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = shardwise(capsys, "scale", *args)
    assert (status, out) == (2, "")
    assert words in err
    assert [path.name for path in place.iterdir() if path.suffix != ".toml"] == ["naps.py"]


def test_ctrl_c_leaves_nothing(place: Path) -> None:
    temporary = place / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-m", "shardwise.cli.main", "scale", "naps.py", "--workers", "2", "--repeats", "100"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("local, 2 workers: ")  # it measures
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "interrupted: nothing of what was measured is kept" in said
    assert list(temporary.iterdir()) == []
