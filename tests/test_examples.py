"""Every script in examples/ runs, checks its own answer, and prints something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "500"],
        env={**os.environ, "SHARDWISE_CACHE": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


SIDE_BY_SIDE = sorted((Path(__file__).parents[1] / "examples" / "side_by_side").glob("with_*.py"))
LIBRARIES = {"with_dask": "dask.dataframe", "with_joblib": "joblib", "with_ray": "ray", "with_spark": "pyspark"}


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the trips of the README in it."""
    directory = tmp_path_factory.mktemp("trips")
    run(directory, SIDE_BY_SIDE[0].parents[1] / "readme" / "make_trips.py")
    return directory


def run(directory: Path, script: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "SHARDWISE_CACHE": str(directory / "cache")},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def means(text: str) -> dict[str, float]:
    return {zone: float(mean) for zone, mean in (line.split() for line in text.splitlines())}


@pytest.mark.parametrize("script", SIDE_BY_SIDE, ids=lambda path: path.stem)
def test_the_same_job_by_everybody(script: Path, trips: Path) -> None:
    library = LIBRARIES.get(script.stem)
    if library in ("dask.dataframe", "ray", "pyspark") and not os.environ.get("SHARDWISE_CLUSTERS"):
        pytest.skip(f"starts a cluster of {library}: make clusters")
    if library is not None:
        pytest.importorskip(library)
    exact = means(run(trips, SIDE_BY_SIDE[0].with_name("with_shardwise.py"), "inline"))
    assert means(run(trips, script)) == pytest.approx(exact, rel=1e-12)
    assert len(exact) == 4
