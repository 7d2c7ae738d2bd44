"""Sixty-four file descriptors are enough for ten thousand shards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("many_shards.py")
DESCRIPTORS = 64


def run(kind: str, shards: int, place: Path) -> str:
    command = [sys.executable, str(CHILD), kind, str(shards), str(place), str(DESCRIPTORS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("kind", "shards"), [("items", 300), ("write", 90), ("aggregate", 150)])
def test_descriptors_do_not_leak(kind: str, shards: int, tmp_path: Path) -> None:
    assert run(kind, shards, tmp_path).split() == [f"{shards}", "right"]


@pytest.mark.slow
def test_ten_thousand_shards(tmp_path: Path) -> None:
    assert run("items", 10_000, tmp_path).split() == ["10000", "right"]
