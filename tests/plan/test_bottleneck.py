"""A constructed job for each bottleneck gets its strategy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shardwise.plan.bottleneck import Measures, bottleneck

PLAIN = Measures(reading=1.0, computing=9.0, workers=2, memory=100, limit=1000)


@pytest.mark.parametrize(
    ("measures", "name", "strategy"),
    [
        (PLAIN, "computation", "data parallelism"),
        (replace(PLAIN, memory=2000), "data size", "chunks"),
        (replace(PLAIN, model=600), "model size", "model parallelism"),
        (replace(PLAIN, reading=4.0, computing=4.0, writing=3.0), "stages", "pipeline parallelism"),
        (replace(PLAIN, starting=20.0), "latency", "inline"),
        (replace(PLAIN, between=20.0), "latency", "larger shards"),
        (replace(PLAIN, reading=9.0, computing=1.0), "I/O", "columnar"),
        (replace(PLAIN, computing=1.0, reading=0.5, writing=9.0), "I/O", "fewer columns"),
        (replace(PLAIN, merging=30.0), "communication", "keep the data where it is"),
        (replace(PLAIN, carrying=30.0, carried=1 << 30), "communication", "files that workers read"),
        (replace(PLAIN, interpreted=12.0, factor=30.0), "interpreter", "vectorise before you add workers"),
        (replace(PLAIN, waiting=8.0), "latency", "more workers than cores"),
        (replace(PLAIN, crowding=0.9), "memory bandwidth", "fewer workers"),
        (Measures(), "nothing", "none"),
    ],
)
def test_each_has_its_strategy(measures: Measures, name: str, strategy: str) -> None:
    found = bottleneck(measures)
    assert found.name == name
    assert strategy in found.strategy


def test_the_measured_factor_is_told() -> None:
    found = bottleneck(replace(PLAIN, interpreted=12.0, factor=30.0))
    assert "30.0 x the cost of reading" in found.why and "12 lines of Python" in found.why


def test_one_line_of_python_is_one_line() -> None:
    assert "about 1 line of Python for each row" in bottleneck(replace(PLAIN, interpreted=1.2, factor=30.0)).why


def test_storage_is_not_read_sooner_by_workers_beside_kernels_that_use_all_threads() -> None:
    reads = replace(PLAIN, reading=9.0, computing=1.0)
    assert bottleneck(reads).strategy.endswith("then more workers")
    assert "more workers" not in bottleneck(replace(reads, native=True)).strategy
