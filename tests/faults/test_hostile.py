"""Run directories that somebody wrote who means harm: nothing is loaded, nothing outside is touched, and it is told."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow as pa
import pytest

import shardwise as sw
from shardwise.compute.task import Output
from shardwise.errors import ShardwiseError, StorageError
from shardwise.run.commits import Commit, to_plain
from shardwise.run.directory import RunDirectory
from shardwise.run.history import committed_line
from shardwise.run.journal import Journal, Line
from shardwise.storage import LocalStore, digest, signing

JOB = {"job": 1}
EVIL = [
    "../../escaped",
    "/etc/escaped",
    "a/../../escaped",
    "..",
    "",
    "a//b",
    "nul\0byte",
    "s3://bucket/key",
    "file:///etc/passwd",
    "x" * 256,
    "é" * 200,
    "/".join(["deep"] * 600),
    "\ud800",
]


def forge(run: Path, *lines: Line) -> None:
    """Append a segment as any program can that may write there: digests protect against accidents only."""
    journal = Journal(LocalStore(str(run)))
    journal.load()
    journal.append(lines)


def snapshot(root: Path, without: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(without))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", EVIL, ids=repr)
@pytest.mark.parametrize("where", ["stage", "name", "publish"])
def test_names_in_the_journal_cannot_leave_the_directory(where: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "escaped").write_bytes(b"mine")
    run, base = tmp_path / "run", tmp_path / "out"
    base.mkdir()
    RunDirectory.open(str(run), JOB).close()
    before = snapshot(tmp_path, run)
    output = {"name": "rows.arrow", "publish": "", where: name}
    stage = output.pop("stage", "s")
    made = Output(output["name"], 1, 4, digest(b"mine"), publish=output["publish"])
    line = committed_line(Commit(stage, 0, 4, 1 << 32 | 1, (made,)), str(base) if where == "publish" else "", 1.0)
    if name == "\ud800":
        line = Line(line.kind, line.at, json.loads(json.dumps(line.data)))
        with pytest.raises(UnicodeEncodeError):  # cannot even be written down
            forge(run, line)
        return
    forge(run, line)
    if where == "publish" and not name:
        RunDirectory.open(str(run), JOB).close()  # no name: not published; its file is missing, so it is dropped
    else:
        with pytest.raises(StorageError, match="is not the name of a file"):
            RunDirectory.open(str(run), JOB)
    assert snapshot(tmp_path, run) == before


def test_links_in_the_directory_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "00000000-00000004-rows.arrow").write_bytes(b"mine")
    run = tmp_path / "run"
    RunDirectory.open(str(run), JOB).close()
    (run / "outputs").mkdir()
    (run / "outputs" / "s").symlink_to(tmp_path / "secret")
    made = Output("rows.arrow", 1, 4, digest(b"mine"))
    forge(run, committed_line(Commit("s", 0, 4, 1 << 32 | 1, (made,)), "", 1.0))
    with pytest.raises(StorageError, match="passes through a symbolic link"):
        RunDirectory.open(str(run), JOB)
    assert (tmp_path / "secret" / "00000000-00000004-rows.arrow").read_bytes() == b"mine"


def test_an_output_directory_that_the_journal_names_is_not_touched_unless_it_is_the_runs(tmp_path: Path) -> None:
    run, victim = tmp_path / "run", tmp_path / "victim"
    RunDirectory.open(str(run), JOB).close()
    id_ = RunDirectory.read(str(run)).id
    (victim / "_attempts" / f"{id_}-1-1").mkdir(parents=True)
    (victim / "_attempts" / f"{id_}-1-1" / "precious.tmp").write_bytes(b"mine")
    made = Output("precious", 1, 4, digest(b"mine"), publish="stolen")
    forge(run, committed_line(Commit("s", 0, 4, 1 << 32 | 1, (made,)), str(victim), 1.0))
    before = snapshot(tmp_path, run)
    with RunDirectory.open(str(run), JOB) as opened:
        assert opened.committed("s") == []
    assert snapshot(tmp_path, run) == before


NONSENSE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no commit": lambda data: {},
    "text": lambda data: "text",
    "a number": lambda data: {**data, "commit": 7},
    "no range": lambda data: {**data, "commit": {**data["commit"], "first": "x", "last": None}},
    "outputs": lambda data: {**data, "commit": {**data["commit"], "outputs": [1]}},
    "not base64": lambda data: {
        **data,
        "commit": {**data["commit"], "outputs": [{**to_plain_output(), "data": "%%%"}]},
    },
}


def to_plain_output() -> dict[str, Any]:
    return dict(to_plain(Commit("s", 0, 4, 1, (Output("state", 1, 2, "d"),)))["outputs"][0])


@pytest.mark.parametrize("how", NONSENSE)
def test_lines_that_make_no_sense_are_told(how: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunDirectory.open(str(run), JOB).close()
    line = committed_line(Commit("s", 0, 4, 1 << 32 | 1), "", 1.0)
    forge(run, Line(line.kind, line.at, NONSENSE[how](line.data)))
    with pytest.raises(ShardwiseError):
        RunDirectory.open(str(run), JOB)
    RunDirectory.open(str(run), JOB, restart=True).close()


def test_foreign_things_in_the_directory_do_no_harm(tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunDirectory.open(str(run), JOB).close()
    for name in ("_attempts/abc/x", "_attempts/1/x", "journal/x.jsonl", "logs/a/b/c/d.log", "outputs/s/x"):
        LocalStore(str(run)).put(name, b"\xff")
    (run / "lock").write_text("[1, 2]")
    RunDirectory.open(str(run), JOB).close()
    assert list(RunDirectory.read(str(run)).logs())


# --- pickles -------------------------------------------------------------------------------------------------------


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def total(item: int) -> frozenset[int]:
    return frozenset({item})


class Sum(sw.Aggregate[set[int]]):
    def zero(self) -> set[int]:
        return set()

    def step(self, state: set[int], batch: pa.Table) -> set[int]:
        return state | set(batch.column("x").to_pylist())

    def merge(self, a: set[int], b: set[int]) -> set[int]:
        return a | b

    def finish(self, state: set[int]) -> int:
        return len(state)


@pytest.mark.parametrize("signature", ["none", "wrong key"])
def test_a_pickle_of_somebody_else_is_never_loaded(signature: str, tmp_path: Path) -> None:
    """Committed, with the right digest: only the key tells."""
    mark = tmp_path / "trapped"
    evil = pickle.dumps([Trap(mark)])
    if signature == "wrong key":
        evil = signing.sign(evil, b"k" * 32)
    job = sw.from_items([1, 2, 3]).map_items(total).collect()
    run = tmp_path / "run"
    job.run(run_dir=str(run), engine="inline", progress="none")
    swap(run, "items.pickle", evil)
    result = job.run(run_dir=str(run), engine="inline", progress="none")
    with pytest.raises(StorageError, match="not signed with your key") as caught:
        result.to_list()
    assert "--restart" in caught.value.fix
    assert not mark.exists()
    again = job.run(run_dir=str(run), engine="inline", progress="none", restart=True)
    assert again.to_list() == [frozenset({1}), frozenset({2}), frozenset({3})]


def test_a_state_of_somebody_else_is_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "trapped"
    job = sw.from_frame(pa.table({"x": [1, 2, 3]})).aggregate(n=Sum())
    run = tmp_path / "run"
    job.run(run_dir=str(run), engine="inline", progress="none")
    swap(run, "state", cloudpickle.dumps(Trap(mark)), forget="finish")
    with pytest.raises(StorageError, match="not signed with your key"):
        job.run(run_dir=str(run), engine="inline", progress="none")
    assert not mark.exists()


def swap(run: Path, name: str, data: bytes, forget: str = "") -> None:
    """Write the journal again with other bytes for an output, and without a stage."""
    journal = Journal(LocalStore(str(run)))
    lines = journal.load()
    for path in (run / "journal").iterdir():
        path.unlink()
    changed = []
    for line in lines:
        if line.kind == "committed":
            commit = line.data["commit"]
            if forget and commit["stage"].startswith(forget):
                continue
            for output in commit["outputs"]:
                if output["name"] == name:
                    made = Output(name, output["rows"], len(data), digest(data), data)
                    output.update(to_plain(Commit("s", 0, 1, 1, (made,)))["outputs"][0])
        if not (forget and line.kind == "finished"):
            changed.append(line)
    forged = Journal(LocalStore(str(run)))
    forged.append(changed)


# --- who can listen ------------------------------------------------------------------------------------------------


def test_nothing_listens_beyond_this_machine(tmp_path: Path) -> None:
    """Neither the driver nor a worker has a socket that others could reach, while a function runs."""
    log = tmp_path / "log"

    def look(item: int) -> int:
        import psutil

        driver = psutil.Process(os.getppid())
        family = [driver, *driver.children(recursive=True)]
        addresses = [
            f"{connection.laddr.ip}"
            for process in family
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN or connection.type == 2
        ]
        with open(log, "a") as lines:
            lines.write(f"{len(family)} {' '.join(addresses)}\n")
        return item

    result = sw.from_items(list(range(8))).map_items(look).collect().run(engine="local:2", progress="none")
    assert result.to_list() == list(range(8))
    seen = [line.split() for line in log.read_text().splitlines()]
    assert all(int(count) >= 2 for count, *_ in seen)
    assert {address for _, *addresses in seen for address in addresses} <= {"127.0.0.1", "::1"}
