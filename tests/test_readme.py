"""The READMEs show what their commands print, and the files that examples/readme holds; both languages alike."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ROOT / "examples" / "readme"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str, kind: str) -> list[str]:
    text = (ROOT / f"README{language}.md").read_text(encoding="utf-8")
    return [body for found, body in BLOCK.findall(text) if found == kind]


def commands() -> list[tuple[str, str]]:
    """Command lines and what follows them."""
    shown = [block.partition("\n") for block in blocks("", "text") if block.startswith("$ ")]
    differs = ("$ shardwise show", "$ shardwise probe", "$ shardwise run slow.py --plan")  # times; what is installed
    return [(line[2:], output) for line, _, output in shown if not line.startswith(differs)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("readme") / "files"
    shutil.copytree(FILES, directory)
    printed(directory, "python make_trips.py")
    return directory


def printed(directory: Path, command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PATH": path, "COLUMNS": "200", "SHARDWISE_CACHE": str(directory.parent / "cache")},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return (done.stdout + done.stderr).replace(f"{directory}/", "")


@pytest.mark.parametrize(("command", "output"), commands(), ids=lambda text: shlex.split(text)[1][:20])
def test_commands_print_what_is_shown(place: Path, command: str, output: str) -> None:
    got = printed(place, command)
    assert [line for line in output.splitlines() if line not in got.splitlines()] == [], got


def test_there_are_commands() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("name", ["speeds.py", "clean.py", "slow.py", "strict.py"])
def test_the_files_are_those_shown(name: str) -> None:
    assert (FILES / name).read_text() in blocks("", "python")


SIDE_BY_SIDE = sorted((ROOT / "examples" / "side_by_side").glob("with_*.py"))


@pytest.mark.parametrize("script", SIDE_BY_SIDE, ids=lambda path: path.stem)
def test_the_job_side_by_side_is_shown_by_everybody(script: Path) -> None:
    assert len(SIDE_BY_SIDE) == 6
    assert script.read_text() in blocks("", "python")


def test_both_languages_show_the_same() -> None:
    for kind in ("text", "python", "sh", "pycon"):
        assert blocks(".ja", kind) == blocks("", kind)
