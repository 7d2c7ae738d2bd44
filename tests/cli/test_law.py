from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shardwise.cli.law import command
from shardwise.errors import UsageError


def law(*args: str) -> Result:
    result = CliRunner().invoke(command, args)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows(*args: str) -> list[dict]:
    return json.loads(law(*args, "--json").stdout)["rows"]


def test_amdahl_prints_speed_up_efficiency_and_limit() -> None:
    text = law("amdahl", "--parallel", "0.8", "--workers", "16").stdout
    facts = dict(line.split("  ", 1) for line in text.splitlines()[2:])
    assert {k: v.strip() for k, v in facts.items()} == {
        "parallel": "80.0 %",
        "workers": "16",
        "speed-up": "4.00 x",
        "efficiency": "25.0 %",
        "limit": "5.00 x",
    }


def test_amdahl_as_json_has_all_digits() -> None:
    (row,) = rows("amdahl", "--parallel", "0.3", "--workers", "7")
    assert row["speed_up"] == 7 / (7 - 0.3 * 6)
    assert row["efficiency"] == row["speed_up"] / 7
    assert row["limit"] == 1 / 0.7


def test_lists_and_ranges_give_a_table_with_a_line_each() -> None:
    text = law("amdahl", "--parallel", "0.5,90%", "--workers", "1..64:x4").stdout
    body = [line for line in text.splitlines() if line.endswith("x") and "%" in line]
    assert len(body) == 8
    assert len({len(line) for line in body}) == 1
    assert [row["workers"] for row in rows("amdahl", "--parallel", "0.5", "--workers", "1,2..4")] == [1, 2, 3, 4]


def test_all_parallel_has_no_limit() -> None:
    assert "limit       none" in law("amdahl", "--parallel", "1", "--workers", "4").stdout
    assert rows("amdahl", "--parallel", "1", "--workers", "4")[0]["limit"] is None


def test_gustafson() -> None:
    assert rows("gustafson", "--parallel", "0.75", "--workers", "64")[0]["speed_up"] == 48.25
    assert "48.25 x" in law("gustafson", "--parallel", "0.75", "--workers", "64").stdout


def test_usl_tells_the_peak() -> None:
    args = ("usl", "--contention", "0.1", "--coherency", "0.01", "--workers", "16")
    assert rows(*args)[0]["peak_workers"] == 9
    assert "9 workers" in law(*args).stdout
    assert rows("usl", "--contention", "0.1", "--coherency", "0", "--workers", "4")[0]["peak_workers"] is None


def test_karp_flatt() -> None:
    assert rows("karp-flatt", "--speed-up", "4", "--workers", "16")[0]["serial"] == pytest.approx(0.2)
    assert "serial fraction    20.0 %" in law("karp-flatt", "--speed-up", "4", "--workers", "16").stdout
    assert "each worker had more cache" in law("karp-flatt", "--speed-up", "5", "--workers", "4").stdout
    slower = law("karp-flatt", "--speed-up", "0.5", "--workers", "16").stdout
    assert "16 workers were slower than one" in slower and "parallel fraction" not in slower


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_chart_is_drawn(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"速さ.{suffix}"
    result = law("amdahl", "--parallel", "0.5,0.9", "--workers", "1..128:x2", "-o", str(path))
    assert f"Wrote {path}." in result.stderr
    if suffix == "png":
        assert path.read_bytes().startswith(b"\x89PNG\r\n")
        return
    words = " ".join(text for text in ET.parse(path).getroot().itertext())
    for word in ("workers", "speed-up", "efficiency", "50.0 % parallel", "90.0 % parallel", "limit 10 x", "ideal"):
        assert word in words


def test_the_same_chart_twice_is_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        law("usl", "--contention", "0.1", "--coherency", "0.01", "--workers", "1..8", "-o", str(tmp_path / name))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--parallel", "1.2", "--workers", "4"), "--parallel: '1.2'"),
        (("--parallel", "abc", "--workers", "4"), "--parallel: 'abc'"),
        (("--parallel", "0.8", "--workers", "0"), "workers is 0"),
        (("--parallel", "0.8", "--workers", "8..1"), "backwards"),
        (("--parallel", "0.8", "--workers", "1..9:x1"), "never ends"),
        (("--parallel", "0.8", "--workers", "1..100M"), "too many"),
        (("--parallel", "0.8", "--workers", "4", "-o", "chart.pdf"), "chart.pdf"),
    ],
)
def test_a_wrong_value_is_refused(args: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        law("amdahl", *args)
    assert message in caught.value.message
    assert caught.value.fix


def test_too_many_curves_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be told apart"):
        law("amdahl", "--parallel", "0.1..0.9:0.05", "--workers", "4", "-o", str(tmp_path / "a.svg"))
