"""Every case runs at a tiny size, and all peers that are installed give the same answer."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from benchmarks.case import NAMES, Clock, Figures, Memory, Overhead, Rate, Ratio, load, same
from benchmarks.clusters import SlotsUp
from benchmarks.coverage import COUNTS, covered, seconds
from benchmarks.measure import run_once
from benchmarks.pieces import PIECES
from benchmarks.report import Finding, document, table
from benchmarks.run import main

import shardwise as sw
from shardwise.engines.local import LocalEngine

SERVERS = ("dask", "distributed", "joblib", "pyspark", "ray")  # slow to start, and no part of the test environment


@pytest.mark.parametrize("name", NAMES)
def test_all_peers_of_a_case_give_the_same_answer(name: str, tmp_path: Path) -> None:
    case = load(name)
    here = [peer for peer in case.peers.values() if not peer.missing and not set(peer.needs) & set(SERVERS)]
    if not here:
        pytest.skip("all of its peers start clusters: python -m benchmarks compares their answers")
    case.generate(tmp_path, 0.001)
    answers = {}
    for peer in here:
        clock = Clock()
        answers[peer.name] = peer.work(tmp_path, clock)
        assert clock.seconds > 0
    ours = [answer for peer, answer in answers.items() if peer.startswith("shardwise")]
    assert ours and len(answers) > len(ours)
    known = [answer for answer in answers.values() if answer is not None]
    assert all(same(answer, known[0], case.tolerance) for answer in known), answers


@pytest.mark.parametrize("name", NAMES)
def test_targets_name_peers_that_there_are(name: str) -> None:
    case = load(name)
    named = {t.ours for t in case.targets} | {
        t.peer for t in case.targets if isinstance(t, (Ratio, Overhead)) and t.peer
    }
    assert case.targets and named <= case.peers.keys()


def test_slots_that_are_up_serve_one_job_after_another(tmp_path: Path) -> None:
    with SlotsUp(LocalEngine(), 2) as engine:
        pids = set()
        for number in range(2):
            job = sw.from_items(list(range(6))).map_items(process_of).collect()
            done = job.run(engine=engine, workers=2, shard_size=1, run_dir=str(tmp_path / str(number)))
            assert done.run.tasks == 6
            pids |= set(done.to_list())
    assert len(pids) <= 2 and os.getpid() not in pids


@pytest.mark.parametrize("name", PIECES)
def test_each_piece_says_what_it_costs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.pieces.BEST_OF", 1)
    lines = list(PIECES[name](0.001))
    assert lines and all(re.match(r"\d+\.\d+ (s|ns|microseconds) ", line) for line in lines), lines


def test_intervals_of_an_exact_law_hold_it() -> None:
    times = np.array([seconds(n, 0.1, 0.005) for n in COUNTS])
    assert covered(times * (1 + 1e-3 * np.resize([1, -1], len(times))), 0.1, 0.005) == (True, True, True)
    assert covered(times, 0.5, 0.005)[0] is False


def process_of(_: int) -> int:
    return os.getpid()


def test_another_answer_is_seen() -> None:
    assert same({"a": [1.0, 2]}, {"a": [1.0 + 1e-12, 2]}, 1e-9)
    assert not same({"a": [1.0, 2]}, {"a": [1.001, 2]}, 1e-9)
    assert not same([1.0], [1.0, 2.0], 1e-9)
    assert not same({"a": 1}, {"b": 1}, 1e-9)


def test_a_run_is_a_process_whose_memory_is_seen(tmp_path: Path) -> None:
    load("tiny_tasks").generate(tmp_path, 0.001)
    once = run_once("tiny_tasks", "Pool", tmp_path, sample=True)
    assert once.answer == run_once("tiny_tasks", "list comprehension", tmp_path, sample=False).answer
    assert once.whole > once.job > 0


def test_the_page_has_the_figures_and_the_targets() -> None:
    case = load("tiny_tasks")
    figures = {
        "shardwise, auto": Figures([0.5, 0.4, 0.6], [0.05, 0.04, 0.02], 50_000_000),
        "Pool": Figures([0.2, 0.1, 0.3], [0.02, 0.02, 0.02], 30_000_000),
    }
    finding = Finding("tiny_tasks", case, figures, {"Ray": "ray is not installed"})
    text = document([finding], "python -m benchmarks tiny_tasks", 3, 1.0)
    assert "| shardwise, auto | 0.1.0 | 0.500 (0.400 to 0.600) | 0.040 (0.020 to 0.050) | 50 | 3 |" in text
    assert "| Ray | | ray is not installed | | | 0 |" in text
    assert "| shardwise, auto at least 200,000 items/s (job) | 250,000 | met |" in text
    assert not any("target" in line for line in table(Finding("tiny_tasks", case, figures, {}, 0.1)))


def test_targets_tell_met_from_missed() -> None:
    figures = {"ours": (2.0, 1.0, 600_000_000), "peer": (1.0, 2.0, 0)}
    for target, measured, met in (
        (Ratio("ours", "peer", 1.5), 0.5, True),
        (Ratio("ours", "peer", 1.5, "whole"), 2.0, False),
        (Rate("ours", 1000, 900), 1000, True),
        (Memory("ours", 500), 600, False),
        (Overhead("ours", 1000, 0.0, at_most=2.0), 1.0, True),
        (Overhead("ours", 100, 0.5, at_most=2.0), 5.0, False),
        (Overhead("ours", 100, 0.5, peer="peer"), 1 / 3, True),
        (Overhead("peer", 100, 0.5, peer="ours"), 3.0, False),
    ):
        assert target.measured(figures) == pytest.approx(measured)
        assert target.holds(measured) is met
    assert Ratio("ours", "absent", 1.0).measured(figures) is None


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    main(
        ["tiny_tasks", "--runs", "1", "--scale", "0.001", "--peers", "list", "Pool", "--data", str(tmp_path / "data")]
        + ["--output", str(page)]
    )
    assert "| list comprehension |" in capsys.readouterr().out
    assert "Scale 0.001" in page.read_text() and "Pool.map" in page.read_text()
