"""Runs of data in memory that are kept: the same data in another process, or object, go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import shardwise as sw
from shardwise.errors import DifferentJob

SOURCES: dict[str, Callable[[int], sw.Dataset]] = {
    "frame": lambda last: sw.from_frame(pa.table({"x": [1, 2, last]})),
    "array": lambda last: sw.from_array(np.array([[1.0], [2.0], [last]])),
    "items": lambda last: sw.from_items([1, 2, last]),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_data_are_the_same_job(kind: str, tmp_path: Path) -> None:
    def go(dataset: sw.Dataset) -> sw.Result:
        return dataset.collect().run(run_dir=str(tmp_path / "run"), engine="inline", progress=False)

    make = SOURCES[kind]
    once = make(3)
    assert go(once).run.resumed_tasks == 0
    for again in (once, make(3)):  # the first has been used by a run
        run = go(again).run
        assert run.resumed_tasks == run.tasks
    with pytest.raises(DifferentJob, match="memory changed"):
        go(make(4))


def test_nothing_is_flushed_that_nobody_can_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(descriptor), real(descriptor))[1])
    job = sw.from_array(np.arange(400_000.0).reshape(-1, 2), batch_rows=20_000).map(lambda x: x * 2).collect()
    job.run(engine="inline", progress="none")
    assert flushed == []
    job.run(engine="inline", progress="none", run_dir=str(tmp_path / "run"))
    assert flushed, "a run that is kept flushes"
