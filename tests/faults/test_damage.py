"""What was committed and is damaged since is made again, the same to the last byte; or it is told that it is not."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.compute.program import CARRIED
from shardwise.errors import NonDeterministic, StorageError
from shardwise.run.directory import RunDirectory

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))
ROWS, BATCH, FILES = 2000, 250, 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(SEED)
    for number in range(FILES):
        table = pa.table(
            {"k": rng.integers(0, ROWS, ROWS), "x": rng.standard_normal(ROWS) * 10.0 ** rng.integers(-9, 9, ROWS)}
        )
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=BATCH)
    return str(directory)


@pytest.fixture(autouse=True)
def _states_are_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small outputs are carried in the journal; here they are files as those of real data are."""
    monkeypatch.setattr("shardwise.compute.attempt.CARRIED", 64)
    assert CARRIED > 64


class Total(sw.Aggregate[float]):
    def zero(self) -> float:
        return 0.0

    def step(self, state: float, batch: pa.Table) -> float:
        return state + float(np.sum(batch.column("x").to_numpy()))

    def merge(self, a: float, b: float) -> float:
        return a + b

    def finish(self, state: float) -> float:
        return state


def half(table: pa.Table) -> pa.Table:
    return table.append_column("half", pa.array(table.column("x").to_numpy() / 2))


def group(data: str, out: str) -> sw.Job:
    return (
        sw.read_parquet(data, batch_rows=BATCH)
        .map(half)
        .group_by("k")
        .aggregate(n=sw.count(), mean=sw.mean("x"), dev=sw.std("half"), total=Total())
    )


def collect(data: str, out: str) -> sw.Job:
    return sw.read_parquet(data, batch_rows=BATCH).map(half).collect()


def items(data: str, out: str) -> sw.Job:
    return sw.from_items([{i} for i in range(40)]).map_items(frozenset).collect()


def write(data: str, out: str) -> sw.Job:
    return sw.read_parquet(data, batch_rows=BATCH).map(half).write_parquet(out, file_batches=2)


KINDS = {"group": group, "collect": collect, "items": items, "write": write}


def run(job: sw.Job, place: Path, **options: Any) -> tuple[sw.Result, bytes]:
    result = job.run(run_dir=str(place / "run"), engine="inline", progress="none", shard_size="8kB", **options)
    if result.files:
        return result, b"".join((place / "out" / name).read_bytes() for name in sorted(result.files))
    return result, repr(result.to_list() if isinstance(result.data, list) else result.to_pylist()).encode()


def files(place: Path) -> list[Path]:
    """Committed files, and those in the output directory."""
    found = [*(place / "run" / "outputs").rglob("*"), *(place / "out").glob("part-*")]
    return sorted(path for path in found if path.is_file())


def flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[random.Random(f"{SEED} {path.name}").randrange(len(whole))] ^= 1
    path.write_bytes(whole)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


HARMS: list[Callable[[Path], None]] = [flip, truncate, zero, Path.unlink]


def unfinish(place: Path) -> None:
    """Take the last segments away, up to that which says that the run is done: as if killed just before."""
    for path in sorted((place / "run" / "journal").iterdir(), reverse=True):
        done = b'"finished"' in path.read_bytes()
        path.unlink()
        if done:
            return


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_damaged_outputs_are_made_again_the_same(
    kind: str, harm: Callable[[Path], None], finished: bool, tmp_path: Path, data: str
) -> None:
    job = KINDS[kind](data, str(tmp_path / "out"))
    _, expected = run(job, tmp_path)
    if not finished:
        unfinish(tmp_path)
    before = {path: path.read_bytes() for path in files(tmp_path)}
    assert before
    chance = random.Random(f"{SEED} {kind}")
    for path in [*chance.sample(sorted(before), min(2, len(before))), max(before)]:
        if path.exists():
            harm(path)
    _, again = run(job, tmp_path)
    assert again == expected, f"seed {SEED}"
    assert run(job, tmp_path)[1] == expected
    assert RunDirectory.read(str(tmp_path / "run")).status == "done"
    for path in (tmp_path / "out").glob("part-*"):
        assert path.read_bytes() == before[path]


@pytest.mark.parametrize("kind", ["collect", "write"])
def test_only_what_is_damaged_is_made_again(kind: str, tmp_path: Path, data: str) -> None:
    job = KINDS[kind](data, str(tmp_path / "out"))
    _, expected = run(job, tmp_path)
    flip(files(tmp_path)[1])
    second, again = run(job, tmp_path, workers=1)
    assert again == expected
    assert second.run.tasks - second.run.resumed_tasks == 1, "one file was damaged"


def test_a_result_that_is_damaged_after_the_run_is_not_handed_out(tmp_path: Path, data: str) -> None:
    result = collect(data, "").run(run_dir=str(tmp_path / "run"), engine="inline", progress="none")
    flip(files(tmp_path)[0])
    with pytest.raises(StorageError, match="was damaged"):
        result.to_arrow()
    assert result.to_arrow is not None
    again = collect(data, "").run(run_dir=str(tmp_path / "run"), engine="inline", progress="none")
    assert again.to_arrow().num_rows == ROWS * FILES


def test_an_output_directory_that_is_gone_is_made_again(tmp_path: Path, data: str) -> None:
    job = write(data, str(tmp_path / "out"))
    _, expected = run(job, tmp_path)
    (tmp_path / "out" / "_SUCCESS").unlink()
    assert run(job, tmp_path)[1] == expected
    assert (tmp_path / "out" / "_SUCCESS").exists()
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    assert run(job, tmp_path)[1] == expected
    assert (tmp_path / "out" / "_SUCCESS").exists()


# --- functions that are not deterministic --------------------------------------------------------------------------


class Stamps(sw.Aggregate[list[int]]):
    """Gathers the stamps of all batches, in order."""

    def zero(self) -> list[int]:
        return []

    def step(self, state: list[int], batch: pa.Table) -> list[int]:
        return [*state, *batch.column("stamp").unique().to_pylist()]

    def merge(self, a: list[int], b: list[int]) -> list[int]:
        return [*a, *b]

    def finish(self, state: list[int]) -> str:
        return ",".join(map(str, state))


def stamping(data: str, log: Path) -> sw.Dataset:
    """Each batch gets another stamp each time it is made; the log has them all, the last of a batch last."""

    def stamp(table: pa.Table, ctx: sw.Context) -> pa.Table:
        mark = int.from_bytes(os.urandom(6), "big")
        with open(log, "a") as lines:
            lines.write(f"{ctx.batch.fragment}:{ctx.batch.index} {mark}\n")
        return table.append_column("stamp", pa.array([mark] * table.num_rows, pa.int64()))

    schema = {"k": "int64", "x": "double", "stamp": "int64"}
    return sw.read_parquet(data, batch_rows=BATCH).map(stamp, schema=schema)


def latest(log: Path) -> list[int]:
    marks = dict(line.split() for line in log.read_text().splitlines())
    return [int(marks[key]) for key in sorted(marks)]


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree with three floors above eight leaves."""
    monkeypatch.setattr("shardwise.plan.graphs.FAN_IN", 2)


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
@pytest.mark.parametrize("number", range(4))
def test_a_random_function_is_told_of_and_nothing_old_is_mixed_with_new(
    tmp_path: Path, data: str, finished: bool, number: int
) -> None:
    log = tmp_path / "log"
    job = stamping(data, log).aggregate(stamps=Stamps(), n=sw.count())
    first, _ = run(job, tmp_path)
    assert first.to_pylist() == [{"stamps": ",".join(map(str, latest(log))), "n": ROWS * FILES}]
    leaves = [path for path in files(tmp_path) if "outputs/partial" in str(path)]
    assert len(leaves) >= 4
    if finished:  # else nobody reads the leaves again
        (top,) = [path for path in files(tmp_path) if "outputs/finish" in str(path)]
        top.unlink()
    else:
        unfinish(tmp_path)
        forget_finish(tmp_path)
    flip(leaves[number])
    with pytest.warns(NonDeterministic, match=r"not deterministic: 1 damaged or lost outputs \(partial:"):
        second, _ = run(job, tmp_path)
    assert second.to_pylist() == [{"stamps": ",".join(map(str, latest(log))), "n": ROWS * FILES}]
    assert second.to_pylist() != first.to_pylist()
    third, _ = run(job, tmp_path)  # warnings are errors here: it is told once
    assert third.to_pylist() == second.to_pylist()


def forget_finish(place: Path) -> None:
    """Drop the top of the tree, as if killed before it was committed."""
    for path in sorted((place / "run" / "journal").iterdir(), reverse=True):
        if b'"stage":"finish' in path.read_bytes():
            path.unlink()
            return


def test_a_random_write_is_told_of(tmp_path: Path, data: str) -> None:
    log = tmp_path / "log"
    job = stamping(data, log).write_parquet(str(tmp_path / "out"), file_batches=2)
    run(job, tmp_path)
    part = tmp_path / "out" / "part-00001.parquet"
    before = {path: path.read_bytes() for path in files(tmp_path)}
    flip(part)
    with pytest.warns(NonDeterministic, match=r"\(write:"):
        run(job, tmp_path)
    for path, whole in before.items():
        assert (path.read_bytes() == whole) == (path != part)
    table = pq.read_table(tmp_path / "out")
    assert list(dict.fromkeys(table.column("stamp").to_pylist())) == latest(log)
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_a_driver_killed_between_the_new_leaf_and_its_parents_mixes_nothing(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stale is dropped in the segment that commits the new leaf."""
    monkeypatch.setattr("shardwise.plan.graphs.FAN_IN", 2)
    log = tmp_path / "log"
    job = stamping(data, log).aggregate(stamps=Stamps())
    run(job, tmp_path)
    leaves = [path for path in files(tmp_path) if "outputs/partial" in str(path)]
    (top,) = [path for path in files(tmp_path) if "outputs/finish" in str(path)]
    top.unlink()
    flip(leaves[1])
    with pytest.warns(NonDeterministic):
        run(job, tmp_path)
    journal = sorted((tmp_path / "run" / "journal").iterdir())
    number = next(n for n, path in enumerate(journal) if b'"stale":true' in path.read_bytes())
    for path in journal[number + 1 :]:
        path.unlink()
    result, _ = run(job, tmp_path)
    assert result.to_pylist() == [{"stamps": ",".join(map(str, latest(log)))}]


# --- the journal itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_any_segment_of_the_journal_may_be_damaged(
    kind: str, harm: Callable[[Path], None], tmp_path: Path, data: str
) -> None:
    job = KINDS[kind](data, str(tmp_path / "out"))
    _, expected = run(job, tmp_path)
    journal = sorted((tmp_path / "run" / "journal").iterdir())
    assert len(journal) >= 3
    chance = random.Random(f"{SEED} {kind} {harm.__name__}")
    for path in chance.sample(journal[1:], 2):
        harm(path)
    assert run(job, tmp_path)[1] == expected, f"seed {SEED}"
    assert run(job, tmp_path)[1] == expected
    assert RunDirectory.read(str(tmp_path / "run")).status == "done"


def test_a_lost_segment_of_a_random_run_mixes_nothing(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parents of commits that the journal has lost are made again: nobody can tell what their children were."""
    monkeypatch.setattr("shardwise.plan.graphs.FAN_IN", 2)
    monkeypatch.setattr("shardwise.run.round.GATHER_MOST", 1)
    log = tmp_path / "log"
    job = stamping(data, log).aggregate(stamps=Stamps())
    run(job, tmp_path)
    leaf = next(p for p in sorted((tmp_path / "run" / "journal").iterdir()) if b'"stage":"partial"' in p.read_bytes())
    leaf.unlink()
    result, _ = run(job, tmp_path)
    assert result.to_pylist() == [{"stamps": ",".join(map(str, latest(log)))}]
    assert len(latest(log)) < len(log.read_text().splitlines())


def test_a_journal_without_its_beginning_is_refused_and_restart_begins_anew(tmp_path: Path, data: str) -> None:
    job = collect(data, "")
    _, expected = run(job, tmp_path)
    (tmp_path / "run" / "journal" / "00000000.jsonl").write_bytes(b"\0" * 100)
    with pytest.raises(StorageError, match=r"does not say whose it is: journal/00000000\.jsonl is damaged") as caught:
        run(job, tmp_path)
    assert "--restart" in caught.value.fix
    assert run(job, tmp_path, restart=True)[1] == expected
    assert run(job, tmp_path)[1] == expected
