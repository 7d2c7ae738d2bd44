"""What measurements say of the whole job: constructed measurements whose answer is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from shardwise.plan.outlook import up_or_out, ways
from shardwise.plan.scaling import Circumstances, EngineScaling, Footprint, Measured
from shardwise.plan.scaling_analysis import analysed
from shardwise.report.scaling import measured_table, ways_table

ABOUT = Circumstances(
    cores=4, load=0.1, far=False, inline=False, sample=100.0, small=50.0, whole=1000.0, size=None, most=10_000
)
FOOTPRINT = Footprint(100 << 20, 0)


def measured(workers: int, work: float, serial: float = 0.1, busy: float | None = 1.0, start: float = 0.5) -> Measured:
    return Measured(workers, start, serial / 2, 0.0, work, 0.0, serial / 2, 0.0, 16, busy)


def by_law(
    parallel: float, serial: float = 0.0, pairs: float = 0.0, counts: tuple[int, ...] = (1, 2, 4), **more: float
):
    return [measured(n, parallel / n + serial + pairs * (n - 1), **more) for n in counts for _ in range(3)]


def found(
    all_measured: list[Measured], small: list[Measured] | None = None, about: Circumstances = ABOUT
) -> EngineScaling:
    return analysed("local", all_measured, small or [], FOOTPRINT, about)


def test_the_whole_job_is_the_work_of_all_data_and_the_rest_once() -> None:
    seen = found(by_law(8.0, serial=1.0))
    assert seen.outlook is not None
    for workers in (1, 4, 64):
        expected = 10 * (8.0 / workers + 1.0) + 0.1 + 0.5
        assert seen.outlook.seconds(workers).value == pytest.approx(expected)
    assert [(way.nodes, way.workers) for way in seen.ways] == [(1, 4), (1, 8), (2, 8), (4, 16), (8, 32), (16, 64)]
    assert seen.ways[1].seconds.value == seen.ways[2].seconds.value == pytest.approx(10 * 2.0 + 0.6)
    assert seen.ways[2].apart == pytest.approx(10 * 3.0 / 2 + 0.6)


def test_what_grows_with_the_data_grows_and_nothing_else() -> None:
    full = by_law(8.0, serial=1.0)  # 0.1 s before and after the work, of 100; so half of it for 50 grows
    grown = found(full, [measured(4, 1.0, serial=0.05)] * 3)
    assert grown.outlook is not None
    assert grown.outlook.serial == pytest.approx(0.1 + 0.05 / 50 * 900)
    same = found(full, [measured(4, 1.0, serial=0.1)] * 3)
    assert same.outlook is not None and same.outlook.serial == pytest.approx(0.1)
    noise = found(full, [measured(4, 1.0, serial=s) for s in (0.05, 0.11, 0.05)])
    assert noise.outlook is not None and noise.outlook.serial == pytest.approx(0.1)


def test_the_laws_are_of_all_but_the_start_of_workers() -> None:
    seen = found(
        [replace(one, start=one.workers * 10.0) for one in by_law(8.0, serial=1.9, counts=(1, 2, 4, 8), busy=0.1)]
    )
    assert seen.fits.amdahl is not None
    assert seen.fits.amdahl.contention.value == pytest.approx(0.2)


def test_more_workers_that_compute_than_cores_are_not_counted() -> None:
    slow = [measured(8, 2.0)] * 3  # as 4 do: there are no more cores
    seen = found([*by_law(8.0), *slow])
    assert [row.oversubscribed for row in seen.rows] == [False, False, False, True]
    assert seen.fits.amdahl is not None and seen.fits.amdahl.contention.value < 0.02
    assert any("oversubscribed: 8 workers that compute share 4 cores" in remark for remark in seen.remarks)
    assert "8*" in measured_table(seen.rows)
    assert seen.ways[0].workers == 4


@pytest.mark.parametrize("busy", [0.02, None])
def test_workers_that_wait_may_be_more_than_cores(busy: float | None) -> None:
    seen = found(by_law(8.0, counts=(1, 2, 4, 8), busy=busy))  # type: ignore[arg-type]
    assert not any(row.oversubscribed for row in seen.rows)
    assert seen.ways[0].workers == 8
    assert any("workers wait" in remark for remark in seen.remarks) == (busy is not None)


def test_cores_of_other_hosts_are_not_these() -> None:
    seen = found([*by_law(8.0), *[measured(8, 2.0)] * 3], about=replace(ABOUT, far=True))
    assert not any(row.oversubscribed for row in seen.rows)
    assert [way.what for way in seen.ways[:3]] == ["as measured", "twice the cores in one", "2 times the workers"]


def test_neither_where_most_is_serial() -> None:
    seen = found(
        [measured(n, 0.5 / n, serial=8.0) for n in (1, 2, 4) for _ in range(3)], about=replace(ABOUT, whole=100.0)
    )
    assert seen.answer.startswith("neither: with twice the workers the job is no faster, since")
    assert seen.outlook is not None and seen.outlook.half.value == 3


def test_neither_where_there_is_no_work_for_more() -> None:
    seen = found(by_law(8.0), about=replace(ABOUT, most=4))
    assert seen.answer == "neither: the data has 4 tasks at most, and there are 4 workers already"
    assert seen.ways[5].seconds.value == seen.ways[0].seconds.value


def test_either_where_all_is_parallel() -> None:
    seen = found(by_law(8.0))
    assert seen.answer.startswith("up or out, it is the same: 8 workers are 1.9 x as fast")
    assert seen.outlook is not None and math.isinf(seen.outlook.peak.value)


def test_out_where_workers_of_a_machine_hold_each_other_up() -> None:
    seen = found(by_law(4.0, serial=4.0))
    assert seen.answer.startswith("out, if workers wait for what each machine has of its own")
    assert "2 machines are 2 x as fast, where twice the cores in one are 1.1 x" in seen.answer


def test_coherency_gives_the_whole_job_a_peak() -> None:
    seen = found(by_law(64.0, pairs=1.0, counts=(1, 2, 4, 8, 16), busy=0.1))
    assert seen.fits.best is seen.fits.usl
    assert seen.outlook is not None
    assert seen.outlook.peak.value == 8
    assert up_or_out(seen.outlook).startswith("out")
    seconds = [way.seconds.value for way in ways(seen.outlook)]
    assert seconds == sorted(seconds)  # 16 workers are beyond it


def test_intervals_hold_what_the_other_law_allows() -> None:
    noisy = [replace(one, work=one.work * (1 + 0.02 * (-1) ** i)) for i, one in enumerate(by_law(8.0, serial=0.5))]
    seen = found(noisy)
    assert seen.fits.best is seen.fits.amdahl and seen.outlook is not None and seen.outlook.wide is not None
    there = seen.outlook.seconds(64)
    assert there.low is not None and there.high is not None and there.low <= there.value < there.high


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"load": 9.0}, "this machine was busy before it began (load 9.0, 4 cores)"),
        ({}, "three numbers of workers fit three parameters"),
    ],
)
def test_remarks(change: dict[str, float], words: str) -> None:
    assert any(words in remark for remark in found(by_law(8.0), about=replace(ABOUT, **change)).remarks)  # type: ignore[arg-type]


def test_a_short_sample_is_said() -> None:
    assert any("the sample is short (5 ms at best)" in remark for remark in found(by_law(0.02)).remarks)


def test_one_number_of_workers_has_no_outlook() -> None:
    seen = found([measured(2, 4.0)])
    assert (seen.outlook, seen.ways, seen.answer) == (None, (), "")
    assert seen.rows[0].speed_up is None
    assert "a law needs at least two numbers of workers" in seen.remarks[-1]
    json.dumps(seen.to_json(), allow_nan=False)


def test_as_json_never_is_null() -> None:
    document = json.loads(json.dumps(found(by_law(8.0)).to_json(), allow_nan=False))
    assert document["whole"]["peak"]["value"] is None
    assert [row["workers"] for row in document["rows"]] == [1, 2, 4]
    assert len(document["measured"]) == 9
    assert document["measured"][0]["seconds"] == pytest.approx(8.1)


def test_the_tables_have_a_row_for_each() -> None:
    seen = found(by_law(8.0))
    assert len(measured_table(seen.rows).splitlines()) == 2 + 3
    assert len(ways_table(seen).splitlines()) == 2 + 6
