"""What is imported, by what: a module that nobody needs costs every start, of drivers and of workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KERNELS = {"numpy", "pyarrow", "duckdb"}
NEVER = {"pandas", "polars", "rich", "click", "psutil", "fsspec", "asyncio", "multiprocessing", "importlib.metadata"}

ITEMS = """
def square(x):
    return x * x

import shardwise as sw
result = sw.from_items(list(range(100))).map_items(square).collect().run({options})
assert result.to_list() == [x * x for x in range(100)]
"""


def imported(program: str, directory: Path) -> set[str]:
    """Names of all modules that a fresh interpreter holds after a program."""
    said = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "SHARDWISE_CACHE": str(directory / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program + said], env=environment, cwd=directory, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_alone(tmp_path: Path) -> None:
    found = imported("import shardwise", tmp_path)
    assert {name for name in found if name.startswith("shardwise")} == {"shardwise", "shardwise._version"}
    assert found & {*KERNELS, *NEVER, "dataclasses", "inspect", "logging"} == set()


def test_items_in_this_process(tmp_path: Path) -> None:
    patient = "import shardwise.api.trial\nshardwise.api.trial.FIRST_SECONDS = shardwise.api.trial.START_SECONDS = 60\n"
    found = imported(patient + ITEMS.format(options=""), tmp_path)
    assert found & {*KERNELS, *NEVER, "concurrent.futures", "difflib"} == set()
    assert found & {"shardwise.run.driver", "shardwise.run.directory", "shardwise.compute.convert"} == set()


def test_items_that_travel(tmp_path: Path) -> None:
    assert imported(ITEMS.format(options="engine='local:1'"), tmp_path) & {*KERNELS, *NEVER} == set()


def test_a_worker_that_maps_items(tmp_path: Path) -> None:
    program = """
import sys
def heavy(x):
    return sorted(name for name in ("numpy", "pyarrow", "duckdb", "pandas", "cloudpickle") if name in sys.modules)

import shardwise as sw
result = sw.from_items([1]).map_items(heavy).collect().run(engine="local:1")
assert result.to_list() == [["cloudpickle"]], result.to_list()
"""
    imported(program, tmp_path)


def test_a_worker_before_its_first_task(tmp_path: Path) -> None:
    program = "import shardwise.compute.worker, shardwise.compute.programs.collect"
    assert imported(program, tmp_path) & {*KERNELS, *NEVER, "cloudpickle", "concurrent.futures", "logging"} == set()


@pytest.mark.parametrize("key", ["int32", "string"])
def test_a_group_by(key: str, tmp_path: Path) -> None:
    keys = pa.array([1, 2, 1], pa.int32()) if key == "int32" else pa.array(["a", "b", "a"])
    pq.write_table(pa.table({"k": keys, "x": [1.0, 2.0, 3.0]}), tmp_path / "part.parquet")
    program = """
import shardwise as sw
rows = sw.read_parquet("*.parquet").group_by("k").aggregate(m=sw.mean("x")).run().to_pylist()
assert [row["m"] for row in rows] == [2.0, 2.0]
"""
    found = imported(program, tmp_path)
    assert found >= KERNELS
    unwanted = {
        *NEVER,
        "pyarrow.compute",
        "pyarrow.dataset",
        "shardwise.compute.expressions",
        "shardwise.compute.worker",
    }
    assert found & (unwanted - {"importlib.metadata"}) == set()  # which DuckDB imports


def test_means_of_an_array(tmp_path: Path) -> None:
    program = """
import numpy as np
import shardwise as sw
assert sw.from_array(np.ones((5, 2))).aggregate(m=sw.mean("*")).run().to_pylist() == [{"m": [1.0, 1.0]}]
"""
    assert imported(program, tmp_path) & {*NEVER, "duckdb", "pyarrow.compute", "pyarrow.parquet"} == set()
