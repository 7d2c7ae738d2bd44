"""Whole runs on remote stores: killed and resumed, two drivers at once, nothing secret written."""

from __future__ import annotations

import base64
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from clusters import Clusters
from conftest import Remote
from servers.kinds import SECRET
from shardwise.errors import RunIsTaken
from shardwise.run.directory import RunDirectory
from shardwise.storage import open_store
from storage.remote_driver import carry_out, go, start

PATIENCE = 120.0


@pytest.fixture(params=["s3", "gcs", "azure", "hdfs"])
def remote(request: pytest.FixtureRequest) -> Remote:
    place: Remote = request.getfixturevalue(request.param)
    return place


@pytest.fixture
def about(remote: Remote, tmp_path: Path) -> dict[str, Any]:
    """Data on a store, and where the rest should go."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": np.random.default_rng(1).standard_normal(1200)}), sink)
    open_store(remote.at("data"), remote.options).put("0.parquet", sink.getvalue().to_pybytes())
    places = {name: remote.at(name) for name in ("data", "out", "run")}
    return {**places, "options": remote.options, "log": str(tmp_path / "log"), "engine": "inline"}


@pytest.fixture
def expected(about: dict[str, Any], tmp_path: Path) -> str:
    """The digest of the same job on local files."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/0.parquet").write_bytes(open_store(about["data"], about["options"]).get("0.parquet"))
    here = {name: str(tmp_path / name) for name in ("data", "out", "run")}
    return carry_out({**about, **here, "options": None, "log": str(tmp_path / "other")}, engine="inline")[0]


def committed(about: dict[str, Any]) -> set[int]:
    """Batches that the run directory names."""
    view = RunDirectory.read(about["run"], about["options"])
    return {batch for commit in view.committed("write") for batch in range(commit.first, commit.last)}


def test_a_killed_run_goes_on_and_nothing_runs_twice(about: dict[str, Any], expected: str) -> None:
    log = Path(about["log"])
    driver = start({**about, "engine": "local:2"})
    try:
        go(driver)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and driver.poll() is None and not _has_commits(about):
            time.sleep(0.02)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    done = committed(about)
    assert done
    before = len(log.read_text().split())
    got, result = carry_out(about, engine="inline")
    assert got == expected
    assert result.run.resumed_tasks > 0 or result.run.tasks == 0
    again = {int(line) for line in log.read_text().split()[before:]}
    assert not again & done
    everything = _everything(about)
    assert not any(secret in everything for secret in (SECRET.encode(), base64.b64encode(SECRET.encode())))


def _has_commits(about: dict[str, Any]) -> bool:
    store = open_store(about["run"], about["options"])
    return any(b'"stage":"write"' in store.get(name) for name in store.list("journal"))


def _everything(about: dict[str, Any]) -> bytes:
    """All bytes of the run directory and the output, names among them."""
    stores = [open_store(about[place], about["options"]) for place in ("run", "out")]
    return b"".join(name.encode() + store.get(name) for store in stores for name in store.list())


def test_of_two_drivers_one_works_and_the_other_says_so(about: dict[str, Any], expected: str) -> None:
    drivers = [start(about) for _ in range(2)]
    try:
        for driver in drivers:
            go(driver)
        said = [driver.communicate(timeout=PATIENCE) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
    words = [out.split() for out, _ in said]
    assert all(found and found[0] in (expected, RunIsTaken.code) for found in words), said
    assert any(found[0] == expected for found in words), said
    assert carry_out(about, engine="inline")[0] == expected


def test_a_cluster_is_told_what_it_takes_to_open_the_run_directory(
    s3: Remote, clusters: Clusters, tmp_path: Path
) -> None:
    """Its workers have no credentials of their own: options of the run reach the agents before their first task."""
    url = clusters.url("dask-cluster")
    items = sw.from_items(list(range(20))).map_items(str).collect()
    done = items.run(engine=url, workers=2, run_dir=s3.at("run"), storage_options=s3.options, progress=False)
    assert done.to_list() == list(map(str, range(20)))
