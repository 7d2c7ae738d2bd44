"""Modules that hosts lack are sent there."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import shardwise as sw
from clusters import dask_cluster, ray_cluster, skip_where_missing, spark_cluster
from shardwise.compute.execute import PickledProgram
from shardwise.engines import handshake
from shardwise.engines.shipping import located, packed
from shardwise.errors import EngineError, FunctionError, UsageError

HELPER = "from helper_package.inner import factor\n\ndef times(x):\n    return x * factor\n"

BLINDERS = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {hidden!r}
NAMES = ("shardwise", "helper_module", "helper_package")


class Blinders:
    def find_spec(self, name, path=None, target=None):
        if name not in NAMES:
            return None
        found = PathFinder.find_spec(name, [entry for entry in sys.path if entry not in HIDDEN])
        if found is None:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return found


sys.meta_path.insert(0, Blinders())
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module and a package that only this process and those that it tells of them can import."""
    place = tmp_path / "helpers"
    (place / "helper_package" / "__pycache__").mkdir(parents=True)
    (place / "helper_module.py").write_text(HELPER)
    (place / "helper_package" / "deeper").mkdir()  # a package without __init__.py, in one that has one
    (place / "helper_package" / "deeper" / "number.py").write_text("factor = 3\n")
    (place / "helper_package" / "__init__.py").write_text("")
    (place / "helper_package" / "inner.py").write_text("from helper_package.deeper.number import factor\n")
    (place / "helper_package" / "__pycache__" / "inner.pyc").write_bytes(b"old")
    monkeypatch.syspath_prepend(str(place))
    return place


def test_names_and_paths_are_found(helpers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers)
    assert located(["helper_module", "helper_package"]) == located(["helper_module.py", "./helper_package"])
    assert located(["shardwise"]) == (Path(sw.__file__).parent,)


@pytest.mark.parametrize("name", ["no_such_module", "nowhere/lib.py", "sys", "_struct", "a b"])
def test_what_cannot_be_shipped_is_refused_before_work(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be shipped"):
        sw.from_items([1]).map_items(str).collect().run(engine="local:1", ship=[name])
    with pytest.raises(UsageError, match=r"give a list: \['helpers'\]"):
        sw.Options(ship="helpers")


def test_the_parcel_is_a_zip_that_can_be_imported_from(helpers: Path, tmp_path: Path) -> None:
    parcel = packed(located(["helper_module", "helper_package"]), tmp_path)
    assert not any("__pycache__" in name for name in zipfile.ZipFile(parcel).namelist())
    code = "import helper_module; print(helper_module.times(7))"
    environment = {"PYTHONPATH": str(parcel)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "21\n"


def test_the_parcel_is_named_by_what_is_in_it(helpers: Path, tmp_path: Path) -> None:
    first = packed(located(["helper_module"]), tmp_path)
    assert packed(located(["helper_module"]), tmp_path) == first
    (helpers / "helper_module.py").write_text("def times(x):\n    return x\n")
    assert packed(located(["helper_module"]), tmp_path) != first


def test_what_is_missing_is_told_with_how_to_ship_it() -> None:
    here = handshake.about_this_host()
    with pytest.raises(EngineError, match="--ship shardwise"):
        handshake.refuse_if_different({**here, "versions": {**here["versions"], "shardwise": "0.0"}})
    with pytest.raises(EngineError) as other:
        handshake.refuse_if_different({**here, "versions": {**here["versions"], "shardwise": "0.0", "numpy": "1"}})
    assert "--ship" not in str(other.value)
    program = PickledProgram(b"cno_such_module.inner\nf\n.")
    with pytest.raises(FunctionError, match="--ship no_such_module"):
        program.execute(None)  # type: ignore[arg-type]


CLUSTERS = {
    "dask": dask_cluster,
    "ray": functools.partial(ray_cluster, joins=False),  # other tests have this process in a cluster already
    "spark": functools.partial(spark_cluster, joins=False),
}

SCRIPT = """
import sys
import helper_module
import shardwise as sw

engine, run_dir, *ship = sys.argv[1:]
job = sw.from_items(list(range(20))).map_items(helper_module.times).collect()
done = job.run(engine=engine, workers=1, run_dir=run_dir, ship=ship, progress=False)
print(done.to_list() == [3 * n for n in range(20)])
"""


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_that_has_neither_shardwise_nor_the_modules(
    name: str, helpers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes cannot import them from where they lie; what they are sent they can."""
    skip_where_missing(name)
    hidden = {entry for entry in sys.path if Path(entry, "shardwise").is_dir()} | {str(helpers)}
    blinders = tmp_path / "blinders"
    blinders.mkdir()
    (blinders / "sitecustomize.py").write_text(BLINDERS.format(hidden=hidden))
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def run(engine: str, *ship: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", SCRIPT, engine, str(tmp_path / f"run-{len(ship)}"), *ship]
        return subprocess.run(command, env=there, capture_output=True, text=True, timeout=240, check=False)

    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(blinders))
        with CLUSTERS[name]() as cluster:
            there |= {variable: os.environ[variable] for variable in os.environ if variable.startswith("RAY_")}
            without = run(cluster.url)
            assert "--ship shardwise" in without.stderr, without.stderr
            done = run(cluster.url, "shardwise", "helper_module", "helper_package")
            assert done.stdout.endswith("True\n"), done.stderr + cluster.log()
