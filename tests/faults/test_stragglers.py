"""One attempt that hangs, while idle workers could do its work: real workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

import shardwise as sw
from shardwise.errors import WorkerError
from shardwise.run.journal import Journal
from shardwise.storage import open_store

ITEMS, SLOW = 12, 11
OPTIONS: dict[str, Any] = {"engine": "local:2", "shard_size": 1, "progress": "plain", "timeout": "100s", "retries": 0}


def hang_once(item: int, mark: str) -> int:
    """The first attempt at the slow item never ends; what it was going to write is on disk already."""
    if item == SLOW:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return item
        signal.pause()
    return item


def notes(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in Journal(open_store(str(run_dir))).load() if line.kind == kind]


@pytest.mark.parametrize("kind", ["collect", "write"])
def test_a_second_attempt_ends_what_the_first_one_does_not(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, out, run_dir = str(tmp_path / "mark"), tmp_path / "out", tmp_path / "run"
    items = sw.from_items(list(range(ITEMS))).map_items(lambda item: {"n": hang_once(item, mark)})
    job = items.collect() if kind == "collect" else items.write_parquet(str(out), file_batches=1)
    result = job.run(**OPTIONS, run_dir=str(run_dir))
    if kind == "collect":
        assert result.to_list() == [{"n": n} for n in range(ITEMS)]
    else:
        assert sw.read_parquet(str(out)).collect().run(engine="inline", progress="none").to_pylist() == [
            {"n": n} for n in range(ITEMS)
        ]
        assert {path.name for path in out.rglob("*") if path.is_file()} >= {"_SUCCESS", "part-00011.parquet"}
        assert not list(out.glob("_attempts/*")), "the loser left files"
    assert notes(run_dir, "speculation") == [{"started": 1, "won": 1}]
    assert "trying it a second time" in capsys.readouterr().err
    assert not list(run_dir.glob("_attempts/*")), "the loser left files"
    assert psutil.Process().children(recursive=True) == []


def test_not_where_it_is_not_wanted(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    items = sw.from_items(list(range(ITEMS))).map_items(lambda item: hang_once(item, mark))
    options = {**OPTIONS, "timeout": "4s", "speculate": False, "progress": "none"}
    with pytest.raises(WorkerError, match="took more than 4 s"):
        items.collect().run(**options)
