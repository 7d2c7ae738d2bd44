"""Executors and joblib's calls on clusters of separate processes, with workers killed under way."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import shardwise as sw
from clusters import SLOTS, Clusters
from processes import PATIENCE
from shardwise.run.calls import CallLost

cloudpickle.register_pickle_by_value(sys.modules[__name__])

ENGINES = ["dask-cluster", "ray-cluster", "spark-cluster"]


def dying_once(mark: Path) -> Callable[[int], int]:
    """A function whose worker is killed by the first call of it."""

    def square(n: int) -> int:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return n * n
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    return square


@pytest.mark.parametrize("name", ENGINES)
def test_calls_come_back_and_a_death_costs_one_another_try(name: str, clusters: Clusters, tmp_path: Path) -> None:
    with sw.Executor(clusters.url(name), workers=2) as executor:
        assert executor.submit(divmod, 17, 5).result(PATIENCE) == (3, 2)
        there = executor.submit(os.getpid).result(PATIENCE)
        assert there != os.getpid()
        with pytest.raises(ZeroDivisionError):
            executor.submit(lambda: 1 / 0).result(PATIENCE)
        square = dying_once(tmp_path / "mapped")
        assert list(executor.map(square, range(20), chunksize=3, timeout=PATIENCE)) == [n * n for n in range(20)]
        assert executor.submit(dying_once(tmp_path / "submitted"), 7).result(PATIENCE) == 49
        assert {path.name for path in tmp_path.iterdir()} == {"mapped", "submitted"}


@pytest.mark.parametrize("name", ENGINES)
def test_a_call_that_kills_its_workers_is_lost_alone(name: str, clusters: Clusters) -> None:
    with sw.Executor(clusters.url(name), workers=2, retries=1) as executor:
        lost = executor.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        others = [executor.submit(pow, n, 2) for n in range(10)]
        with pytest.raises(CallLost, match="2 times in a row"):
            lost.result(PATIENCE)
        assert [other.result(PATIENCE) for other in others] == [n * n for n in range(10)]


@pytest.mark.parametrize("name", ENGINES)
def test_as_many_workers_as_the_cluster_has(name: str, clusters: Clusters) -> None:
    joblib = pytest.importorskip("joblib")
    import shardwise.joblib

    assert shardwise.joblib.NAME == "shardwise"
    url = clusters.url(name)
    executor = sw.Executor(url)
    assert executor.workers >= SLOTS
    with joblib.parallel_config("shardwise", engine=url):
        assert joblib.effective_n_jobs(-1) == executor.workers


@pytest.mark.parametrize("name", ["dask-cluster", "spark-cluster"])  # Ray takes modules only before one is connected
def test_modules_are_sent_to_where_they_lack(
    name: str, clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = clusters.url(name)
    path = tmp_path / f"shipped_to_{name.partition('-')[0]}.py"
    path.write_text("def triple(n):\n    return 3 * n\n")
    spec = importlib.util.spec_from_file_location(path.stem, path)  # sys.path, which workers are told, has it not
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    with sw.Executor(url, workers=1) as executor, pytest.raises(ModuleNotFoundError, match=path.stem):
        executor.submit(module.triple, 2).result(PATIENCE)
    with sw.Executor(url, workers=1, ship=[str(path)]) as executor:
        assert executor.submit(module.triple, 2).result(PATIENCE) == 6


@pytest.mark.parametrize("name", ENGINES)
def test_a_grid_search_gives_the_same_scores_though_a_worker_dies(
    name: str, clusters: Clusters, tmp_path: Path
) -> None:
    joblib = pytest.importorskip("joblib")
    tree = pytest.importorskip("sklearn.tree")
    import shardwise.joblib

    assert shardwise.joblib.NAME == "shardwise"
    mark, driver = tmp_path / "killed", os.getpid()

    class Mortal(tree.DecisionTreeClassifier):  # type: ignore[misc, name-defined]
        """Kills its worker in the middle of the search, once."""

        def fit(self, x: Any, y: Any, *more: Any, **options: Any) -> Any:
            if self.max_depth == 3 and os.getpid() != driver and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().fit(x, y, *more, **options)

    here = search(1, Mortal(random_state=0))
    with joblib.parallel_config("shardwise", engine=clusters.url(name)):
        there = search(2, Mortal(random_state=0))
    assert mark.exists()
    assert scores(there) == scores(here)
    assert there.best_params_ == here.best_params_


def search(jobs: int, estimator: Any) -> Any:
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV

    x, y = make_classification(200, 12, random_state=3)
    return GridSearchCV(estimator, {"max_depth": [2, 3], "min_samples_leaf": [1, 5]}, cv=3, n_jobs=jobs).fit(x, y)


def scores(found: Any) -> dict[str, list[float]]:
    return {name: each.tolist() for name, each in found.cv_results_.items() if name.endswith("test_score")}
