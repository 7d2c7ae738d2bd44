"""``shardwise growth``."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from shardwise.cli import main as cli

SCRIPT = """
import numpy as np

def make(n):
    return np.random.default_rng(0).normal(size=(n, 16))

def make_named(n):
    return [0] * n

def gram(x):
    return x @ x.T

def named(items):
    assert isinstance(items, list)

other = lambda n: np.zeros((n, 16))
"""
SIZES = "500,700,1000,1400,2000,2800"


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "行列.py"
    path.write_text(SCRIPT)
    return str(path)


def test_it_says_how_memory_grows_and_what_ten_times_costs(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["growth", f"{script}:gram", "--sizes", SIZES, "--repeats", "1", "--memory", "2GB"]) == 0
    out, err = capsys.readouterr()
    title, time, memory, ten, most = out.splitlines()
    assert title == "gram: 6 sizes from 500 to 2,800"
    assert time.startswith("  time ")
    assert memory.startswith(("  memory  grows as n^2.0", "  memory  grows as n^1.9"))
    assert "ten times the data (28,000)" in ten and "more than the 2.00 GB that there are" in ten
    assert "the largest that fits in 2.00 GB: about 1" in most  # 15 000 or so
    assert [line.split()[0] for line in err.splitlines()] == ["500", "700", "1,000", "1,400", "2,000", "2,800"]


def test_json_and_a_size_that_cannot_fit(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["growth", f"{script}:gram", "--sizes", SIZES, "--repeats", "1", "--memory", "2GB"]
    assert cli.main([*arguments, "--at", "100k", "--json"]) == 2
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["memory"]["exponent"] == pytest.approx(2.0, abs=0.1)
    assert found["at"]["size"] == 100_000 and found["at"]["fits"] is False
    assert (
        "error[E100]: gram of 100,000 would need" in err and "GiB) of memory" in err and "fix: give sizes up to" in err
    )


def test_sizes_that_cannot_fit_are_refused(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["growth", f"{script}:gram", "--sizes", f"{SIZES},100k", "--repeats", "1", "--memory", "2GB"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "gram of 100,000 would need" in err


def test_what_makes_inputs_is_found_by_its_name(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["growth", f"{script}:named", "--sizes", "1..4", "--repeats", "1"]) == 0
    assert cli.main(["growth", f"{script}:gram", "--make", f"{script}:other", "--sizes", "1..4", "--repeats", "1"]) == 0
    assert "cannot be told: fewer than 4 sizes took" in capsys.readouterr().out


def test_a_chart(script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "growth.svg"
    arguments = ["--sizes", SIZES, "--repeats", "1", "-o", str(path)]
    assert cli.main(["growth", f"{script}:gram", *arguments]) == 0
    words = " ".join(text for text in ET.parse(path).getroot().itertext())
    for word in ("measured", "fitted: n^", "time of a call", "memory of a call", "How gram grows"):
        assert word in words
    assert f"Wrote {path}." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}"], "does not say FILE.py:FUNCTION"),
        (["{}:grm"], "did you mean gram?"),
        (["{}:gram", "--make", "{}"], "does not say FILE.py:MAKE"),
        (["{}:gram", "-o", "chart.pdf"], "chart.pdf"),
        (["{}:gram", "--sizes", "1,2"], "at least 4"),
        (["nowhere.py:gram"], "there is no file nowhere.py"),
    ],
)
def test_a_wrong_use_is_refused(
    script: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["growth", *(text.replace("{}", script) for text in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err


def test_a_file_without_a_maker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bare.py"
    path.write_text("def solve(n): pass\n")
    assert cli.main(["growth", f"{path}:solve"]) == 2
    assert "neither make_solve nor make" in capsys.readouterr().err


def test_help_says_what_it_is_not_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["growth", "--help"]) == 0
    assert "linear by construction" in " ".join(capsys.readouterr().out.split())
