"""Files on remote stores give the bits that local files give, and outputs there are the bytes that local ones are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shardwise as sw
from conftest import Remote
from shardwise.storage import open_store

FORMATS = ("parquet", "csv", "ndjson", "ipc")
QUIET = {"engine": "inline", "progress": "none"}


@pytest.fixture
def remote(request: pytest.FixtureRequest) -> Remote:
    place: Remote = request.getfixturevalue(request.param)
    return place


def write(dataset: sw.Dataset, form: str, directory: str, options: dict[str, Any] | None) -> None:
    getattr(dataset, f"write_{form}")(directory, file_batches=4, storage_options=options).run(**QUIET)


def read(form: str, directory: str, options: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Answers of a native job and of one with a function, exact to the last bit."""
    suffix = {"ipc": "arrow"}.get(form, form)
    data = getattr(sw, f"read_{form}")(f"{directory}/part-*.{suffix}", batch_rows=200, storage_options=options)
    native = data.filter("fare > 3").group_by("zone").aggregate(sw.count(), sw.mean("fare"), sw.std("distance"))
    mapped = data.map(lambda table: table.select(["fare"])).aggregate(sw.sum("fare"))
    return [*native.run(**QUIET).to_pylist(), *mapped.run(**QUIET).to_pylist()]


@pytest.mark.parametrize("remote", ["s3", "gcs", "azure", "hdfs"], indirect=True)
def test_all_formats_are_written_and_read_as_locally(remote: Remote, trips: str, tmp_path: Path) -> None:
    dataset = sw.read_parquet(trips, batch_rows=400).select("zone", "distance", "fare")
    for form in FORMATS:
        here, there = str(tmp_path / form), remote.at(form)
        write(dataset, form, here, None)
        write(dataset, form, there, remote.options)
        store = open_store(there, remote.options)
        parts = sorted(path.name for path in Path(here).glob("part-*"))
        assert [name for name in store.list() if name.startswith("part-")] == parts
        assert all(store.get(name) == Path(here, name).read_bytes() for name in parts)
        assert read(form, there, remote.options) == read(form, here, None), form


@pytest.mark.parametrize("remote", ["s3", "gcs", "azure", "hdfs", "webhdfs"], indirect=True)
def test_arrays_too(remote: Remote, tmp_path: Path) -> None:
    import numpy as np

    array = sw.from_array(np.random.default_rng(3).standard_normal((1000, 3)), batch_rows=300)
    write(array, "npy", str(tmp_path / "a"), None)
    write(array, "npy", remote.at("a"), remote.options)
    answers = [
        sw.read_npy(place, storage_options=options).collect().run(**QUIET).to_numpy().tolist()
        for place, options in ((str(tmp_path / "a"), None), (remote.at("a"), remote.options))
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("remote", ["hdfs"], indirect=True)
def test_a_file_that_was_replaced_by_one_of_the_same_size_is_another(remote: Remote) -> None:
    store = open_store(remote.at("d"), remote.options)
    for content in (b"x\n1\n", b"x\n7\n"):
        store.put("a.csv", content)
        result = sw.read_csv(remote.at("d"), storage_options=remote.options).aggregate(sw.sum("x")).run(**QUIET)
    assert result.to_pylist() == [{"sum_x": 7}]


IN_ENVIRONMENT = {
    "s3": {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "endpoint_url"},
    "gs": {"FSSPEC_GS_TOKEN": "token", "FSSPEC_GS_ENDPOINT_URL": "endpoint_url"},
    "abfs": {"AZURE_STORAGE_CONNECTION_STRING": "connection_string"},
}
"""By protocol: variables, and which option each of them is."""


@pytest.mark.parametrize("remote", ["s3", "gcs", "azure"], indirect=True)
def test_the_command_line_takes_options_from_the_environment(remote: Remote, trips: str, tmp_path: Path) -> None:
    options = remote.options or {}
    store = open_store(remote.at("trips"), options)
    for file in Path(trips).iterdir():
        store.put(file.name, file.read_bytes())
    variables = IN_ENVIRONMENT[remote.url.partition(":")[0]]
    given = {name: options[option] for name, option in variables.items()}
    environment = {**os.environ, **given, "PYTHONPATH": str(Path(sw.__file__).parents[1])}

    def said(*arguments: str) -> Any:
        command = [sys.executable, "-m", "shardwise.cli.main", "aggregate", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["rows"]

    asked = ("--agg", "m=mean(fare)", "--by", "zone", "--engine", "local:1", "--json")
    assert said(remote.at("trips"), *asked, "--run-dir", remote.at("run")) == said(trips, *asked)
    held = open_store(remote.at("run"), options)
    everything = b"".join(held.get(name) for name in held.list())
    assert everything
    secret = options.get("secret") or options.get("connection_string", "").partition("AccountKey=")[2].partition(";")[0]
    assert not secret or secret.encode() not in everything
