"""joblib's calls on our engines, and scikit-learn's through them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

joblib = pytest.importorskip("joblib")

import shardwise.joblib  # noqa: E402
from shardwise.api.joblib_backend import ShardwiseBackend, _Lent  # noqa: E402
from shardwise.compute.calling import RemoteTraceback, pack  # noqa: E402
from shardwise.engines.local import LocalEngine  # noqa: E402
from shardwise.engines.protocol import Reach  # noqa: E402

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module", autouse=True)
def backend() -> Any:
    """One for all, so that workers are started once."""
    with joblib.parallel_config(ShardwiseBackend("local"), n_jobs=2) as config:
        yield config["backend"]
        config["backend"].abort_everything(ensure_ready=False)  # pytest may hold it for longer than its workers should


def each(function: Any, given: Any, **options: Any) -> list[Any]:
    return list(joblib.Parallel(**options)(joblib.delayed(function)(one) for one in given))


def test_results_come_in_order() -> None:
    assert each(abs, range(-50, 50)) == [abs(n) for n in range(-50, 50)]
    assert each(lambda n: n + 1, range(3), return_as="generator") == [1, 2, 3]
    assert sorted(each(abs, range(9), return_as="generator_unordered")) == list(range(9))


def test_workers_stay_for_the_next_calls() -> None:
    first = set(each(lambda _: os.getpid(), range(20)))
    assert os.getpid() not in first
    assert first >= set(each(lambda _: os.getpid(), range(20)))


def test_it_is_found_by_name() -> None:
    shardwise.joblib.register()
    with joblib.parallel_config("shardwise", engine="local:3", n_jobs=None) as config:
        assert isinstance(config["backend"], ShardwiseBackend)
        assert joblib.effective_n_jobs(-1) == 3
        assert joblib.effective_n_jobs(-2) == 2
        assert joblib.Parallel().n_jobs == -1
    assert joblib.Parallel(n_jobs=2, backend="shardwise")(joblib.delayed(abs)(-n) for n in range(3)) == [0, 1, 2]


def test_a_cluster_is_asked_once_how_many_calls_run_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def slots(engine: object) -> int:
        asked.append(engine)
        return 100

    monkeypatch.setattr("shardwise.api.joblib_backend.workers_of", slots)
    backend = ShardwiseBackend("dask://10.0.0.1:8786", ship=["joblib"])
    assert [backend.effective_n_jobs(n) for n in (None, 7)] == [1, 7] and asked == []
    assert [backend.effective_n_jobs(n) for n in (-1, -2, -200)] == [100, 99, 1]
    assert asked == ["dask://10.0.0.1:8786"]
    assert backend._options["ship"] == ["joblib"]


def test_one_job_is_done_here() -> None:
    assert set(each(lambda _: os.getpid(), range(3), n_jobs=1)) == {os.getpid()}
    with pytest.raises(ValueError, match="n_jobs == 0"):
        each(abs, [1], n_jobs=0)


def test_calls_that_use_joblib_themselves_get_threads() -> None:
    def inner(_: int) -> tuple[int, bool]:
        pids = joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(4))
        return len(set(pids)), pids[0] == os.getpid()

    assert each(inner, range(4)) == [(1, True)] * 4


def test_an_error_is_that_of_the_call_and_the_next_calls_go_on() -> None:
    def fail(n: int) -> None:
        raise KeyError(n)

    with pytest.raises(KeyError, match="7") as told:
        each(fail, [7] * 10, batch_size=1)
    assert isinstance(told.value.__cause__, RemoteTraceback)
    assert each(abs, [-1]) == [1]


def test_what_cannot_be_pickled_is_an_error_and_no_hang() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        each(len, [(n for n in range(3))] * 30, batch_size=1)


def test_a_worker_that_dies_costs_its_batch_another_try(tmp_path: Path) -> None:
    def die_once(n: int) -> int:
        mark = tmp_path / str(n)
        if n % 5 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    assert each(die_once, range(12)) == list(range(12))
    assert len(list(tmp_path.iterdir())) == 3


def test_large_arrays_are_lent_once_and_small_ones_travel() -> None:
    large, small = np.arange(400_000.0), np.arange(10.0)
    lent = _Lent("host", 1 << 20)
    try:
        freights = [pack(((large, large[:200_000], small), {"n": n}), lent) for n in range(3)]
        assert {len(freight) < 10_000 for freight, _ in freights} == {True}
        assert len({shared.key for _, needs in freights for shared in needs}) == 2
        assert pack(np.asfortranarray(large.reshape(400, -1)), lent)[1] != pack(large, lent)[1]
    finally:
        lent.close()
    assert not pack(large, _Lent("host", None))[1]


class Distant(LocalEngine):
    reach: Reach = "network"


@pytest.mark.parametrize("engine", [LocalEngine, Distant])
def test_large_arrays_arrive_and_nothing_is_shared_between_calls(engine: type[LocalEngine]) -> None:
    given = np.arange(400_000.0)

    def call(array: Any, n: int) -> float:
        total = float(array.sum()) + n
        array[:] = 0
        return total

    backend = ShardwiseBackend(engine())
    with joblib.parallel_config(backend, n_jobs=2):
        found = joblib.Parallel(batch_size=1)(joblib.delayed(call)(given, n) for n in range(6))
    assert found == [float(np.arange(400_000.0).sum()) + n for n in range(6)]
    assert given[1] == 1


# --- scikit-learn --------------------------------------------------------------------------------------------------


def search(jobs: int | None, estimator: Any) -> Any:
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV

    x, y = make_classification(200, 12, random_state=3)
    return GridSearchCV(estimator, {"max_depth": [2, 3], "min_samples_leaf": [1, 5]}, cv=3, n_jobs=jobs).fit(x, y)


def test_a_grid_search_gives_the_same_scores_also_with_a_worker_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = pytest.importorskip("sklearn.tree")

    class Mortal(tree.DecisionTreeClassifier):  # type: ignore[misc, name-defined]
        """Kills its worker in the middle of the search, once."""

        def fit(self, x: Any, y: Any, *more: Any, **options: Any) -> Any:
            mark = Path(os.environ.get("MARK", os.devnull))
            if self.max_depth == 3 and os.getpid() != driver and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().fit(x, y, *more, **options)

    driver = os.getpid()
    whole = search(1, Mortal(random_state=0))
    assert scores(search(2, Mortal(random_state=0))) == scores(whole)
    mark = tmp_path / "killed"
    monkeypatch.setenv("MARK", str(mark))
    with joblib.parallel_config("shardwise", engine="local"):  # workers that know the variable
        killed = search(2, Mortal(random_state=0))
    assert mark.exists()
    assert scores(killed) == scores(whole)
    assert killed.best_params_ == whole.best_params_


def scores(found: Any) -> list[float]:
    names = [name for name in sorted(found.cv_results_) if name.endswith("_score") and "split" in name]
    assert names
    return [score for name in [*names, "mean_test_score"] for score in found.cv_results_[name].tolist()]
