"""What is advised where a plan does not fit: the first change whose own projection does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.api.options import Options
from shardwise.errors import UsageError
from shardwise.plan.candidates import Ground, way
from shardwise.plan.choose import Choice
from shardwise.plan.fitting import Room, refuse_what_does_not_fit
from shardwise.plan.forecast import Load
from shardwise.plan.sample import Phase, Sample, Tried
from shardwise.plan.scaled import shards
from shardwise.plan.shards import Weights
from shardwise.plan.work import Work
from shardwise.sizes import parse_size

MIB = 1 << 20
LOCAL = Choice("local:4", 4, 1, 64.0 * MIB, None, ())


def sample(peak: int = 100 * MIB, long: int = 0, size: int = 0, rows: int = 0) -> Sample:
    """Tasks of one and of four MiB, and what they held."""
    tried = (
        Tried(1.0 * MIB, 0.1, peak=peak, size=size, rows=rows),
        Tried(4.0 * MIB, 0.4, peak=long or peak, size=size, rows=rows),
    )
    return Sample("local:4", 4, (Phase(1, 0.5, tried),), start=0.5, before=50 * MIB, driver=60 * MIB)


def cut(choice: Choice) -> Load:
    count = max(1, int(1024 * MIB / choice.target))
    return Load(shards("write", count, tree=False), Weights((0, count), (choice.target,)))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    pq.write_table(pa.table({"x": list(range(1000))}), tmp_path / "t.parquet")
    job = sw.read_parquet(str(tmp_path / "t.parquet")).map(lambda t: t).write_parquet(str(tmp_path / "out"))
    return job.work(Options())


def refusal(ground: Ground, work: Work, room: Room, choice: Choice = LOCAL) -> UsageError:
    with pytest.raises(UsageError) as refused:
        refuse_what_does_not_fit(way(ground, choice, cut), ground, work, room)
    return refused.value


def fits(ground: Ground, choice: Choice) -> bool:
    return way(ground, choice, cut).memory <= ground.limit


def ground(of: Sample, limit: int, **known: object) -> Ground:
    return replace(Ground(of, False, 4, limit=limit), **known)  # type: ignore[arg-type]


def test_fewer_workers_are_as_many_as_fit(work: Work) -> None:
    known = ground(sample(), 420 * MIB)
    found = refusal(known, work, Room(420 * MIB, workers=4))
    fewer = int(found.fix.split("--workers ")[1].split(":")[0])
    assert fits(known, replace(LOCAL, workers=fewer)) and not fits(known, replace(LOCAL, workers=fewer + 1))


def test_this_process_alone_is_advised_where_it_may_do_the_job(work: Work) -> None:
    known = ground(sample(), 230 * MIB)
    assert "--engine inline" in refusal(known, work, Room(None, workers=4, alone=True)).fix
    assert "--engine inline" not in refusal(known, work, Room(None, workers=4)).fix
    assert fits(known, replace(LOCAL, engine="inline", workers=1))


def test_shorter_shards_are_advised_for_the_workers_that_there_are(work: Work) -> None:
    known = ground(sample(long=300 * MIB), 700 * MIB)
    found = refusal(known, work, Room(None, workers=1), one := replace(LOCAL, engine="local:1", workers=1))
    size = parse_size(found.fix.split("--shard-size ")[1])
    assert fits(known, replace(one, target=float(size))), "not what two workers would need, nor none"


def test_memory_that_is_advised_is_enough(work: Work) -> None:
    known = ground(sample(peak=1000 * MIB), 500 * MIB)
    found = refusal(known, work, Room(500 * MIB, workers=1), one := replace(LOCAL, engine="local:1", workers=1))
    assert found.fix.startswith("allow --memory ")
    enough = parse_size(found.fix.removeprefix("allow --memory ").removesuffix(" or more"))
    assert fits(replace(known, limit=enough), one)


def test_smaller_batches_are_advised_only_where_they_are_much_of_it(work: Work) -> None:
    one = replace(LOCAL, engine="local:1", workers=1)
    little, much = (
        sample(peak=1000 * MIB, size=size, rows=work.pipeline.source.batch_rows) for size in (MIB, 200 * MIB)
    )
    assert "batch" not in refusal(ground(little, 500 * MIB), work, Room(None), one).fix
    assert "make batches smaller" in refusal(ground(much, 500 * MIB), work, Room(None), one).fix


def test_files_are_advised_only_where_they_help(work: Work) -> None:
    result = 5000 * MIB
    assert "write_parquet" in refusal(ground(sample(), 1000 * MIB, result=result), work, Room(None)).fix
    both = ground(sample(peak=2000 * MIB), 1000 * MIB, result=result)
    assert "collecting it, and allow --memory" in refusal(both, work, Room(None)).fix
    small = ground(sample(peak=2000 * MIB), 1000 * MIB, result=MIB)
    assert "write_parquet" not in refusal(small, work, Room(None)).fix


def test_a_refusal_says_what_bounds_the_job_and_what_was_lowered(work: Work) -> None:
    one = replace(LOCAL, engine="local:1", workers=1)
    found = refusal(ground(sample(long=1000 * MIB), 500 * MIB), work, Room(500 * MIB, workers=4), one).message
    assert "1 worker, fewer than the 4 asked for" in found
    assert "bound by" in found and "chunks" in found


# --- hosts of a cluster that is not there --------------------------------------------------------------------------


def simulated(workers: int) -> Choice:
    return replace(LOCAL, engine=f"simulated:{workers}", workers=workers)


def test_memory_of_a_simulated_cluster_is_that_of_one_host() -> None:
    known = ground(sample(), 1000 * MIB)
    few, many = (way(known, simulated(workers), cut).memory for workers in (4, 4000))
    assert few == many <= 1000 * MIB


def test_what_is_collected_is_on_one_host_and_workers_on_others() -> None:
    known = ground(sample(), 10_000 * MIB)
    workers = way(known, simulated(4000), cut).memory
    small, large = (way(replace(known, result=size), simulated(4000), cut).memory for size in (MIB, 5000 * MIB))
    assert small == workers and 5000 * MIB < large < 5000 * MIB + workers


def test_fewer_workers_are_no_way_out_of_a_full_host(work: Work) -> None:
    found = refusal(ground(sample(peak=1000 * MIB), 500 * MIB), work, Room(None, workers=2), simulated(4000))
    assert "--workers" not in found.fix and "--memory" in found.fix
    assert "on one host" in found.message and "a host like this machine" in found.message
