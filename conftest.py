"""What all tests and doctests share: a cache of their own, and small real files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from clusters import Clusters

# The same cases on every machine; SHARDWISE_EXPLORE=1 draws new ones, as `make explore` does.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("SHARDWISE_EXPLORE") else "same")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a test are kept where no other test, and no person, sees them."""
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("SHARDWISE_DEBUG", raising=False)


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    """Dask, Ray and Spark as separate processes, each started when a test first asks for it."""
    started = Clusters()
    yield started
    started.close()


@pytest.fixture
def trips(tmp_path: Path) -> str:
    """A directory with three Parquet files of taxi-like trips."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    directory = tmp_path / "trips"
    directory.mkdir()
    for number in range(3):
        rows = 1000
        table = pa.table(
            {
                "zone": pa.array(rng.choice(["north", "south", "east"], rows)),
                "distance": rng.gamma(2.0, 3.0, rows),
                "hours": rng.uniform(0.1, 2.0, rows),
                "fare": rng.gamma(3.0, 5.0, rows),
            }
        )
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=250)
    return str(directory)
