"""Every case runs at a tiny size, and all peers that are installed give the same answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.case import NAMES, Clock, Figures, Memory, Rate, Ratio, load, same
from benchmarks.measure import run_once
from benchmarks.report import Finding, document, table
from benchmarks.run import main

SERVERS = ("dask", "distributed", "joblib", "pyspark", "ray")  # slow to start, and no part of the test environment


@pytest.mark.parametrize("name", NAMES)
def test_all_peers_of_a_case_give_the_same_answer(name: str, tmp_path: Path) -> None:
    case = load(name)
    case.generate(tmp_path, 0.001)
    answers = {}
    for peer in case.peers.values():
        if not peer.missing and not set(peer.needs) & set(SERVERS):
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
    named = {t.ours for t in case.targets} | {t.peer for t in case.targets if isinstance(t, Ratio)}
    assert case.targets and named <= case.peers.keys()


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
    ):
        assert target.measured(figures) == measured
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
