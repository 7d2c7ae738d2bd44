"""What engines need on a host, and what is said of what is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shardwise.engines import needs
from shardwise.engines.listing import list_engines
from shardwise.engines.registry import make_engine
from shardwise.errors import MissingExtra

EXTRAS = {"dask": "distributed", "ray": "ray", "spark": "pyspark"}


def java_that_says(directory: Path, text: str) -> None:
    (directory / "bin").mkdir()
    command = directory / "bin" / "java"
    command.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    command.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "lack"),
    [
        ('openjdk version "17.0.15" 2025-04-15', ""),
        ('java version "21" 2023-09-19', ""),
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11.0.2, which is too old"),
        ('java version "1.8.0_402"', "is Java 1.8.0_402, which is too old"),
        ("nonsense", "does not tell its version"),
    ],
)
def test_java_is_asked_for_its_version(text: str, lack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java_that_says(tmp_path, text)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = needs.java(17)
    assert lack in found.lack
    assert bool(found.lack) == bool(lack)


def test_no_java_is_told_with_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = needs.java(17)
    assert "there is no Java" in found.lack
    assert "apt install openjdk-17-jre-headless" in found.fix
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert "does not run" in needs.java(17).lack


def test_an_old_library_is_refused_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.5.1")
    found = needs.library("pyspark", "4.0", "spark")
    assert found.found == "3.5.1"
    with pytest.raises(MissingExtra, match=r"pyspark 3\.5\.1 is too old\n.*shardwise\[spark\]"):
        needs.refuse_without([found], "spark")


@pytest.mark.parametrize("name", EXTRAS)
def test_the_oldest_version_is_that_of_the_extra(name: str) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    engine = make_engine(name)
    (wanted,) = project["project"]["optional-dependencies"][name]
    assert wanted.replace("[client]", "") == f"{EXTRAS[name]}>={engine.oldest}"  # type: ignore[attr-defined]


def test_listing_imports_no_library() -> None:
    code = """
import sys
from shardwise.engines.listing import list_engines
print(*(engine.name for engine in list_engines()))
print({"distributed", "dask", "ray", "pyspark", "numpy", "pyarrow", "duckdb"} & set(sys.modules) or "none")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, imported = done.stdout.splitlines()
    assert re.match("inline local dask ray spark", names)
    assert imported == "none"


def test_an_engine_of_another_package_is_listed_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in (("there", "mine"), ("gone", "nowhere")):
        about = tmp_path / f"{name}_engines-2.5.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-engines\nVersion: 2.5\n")
        (about / "entry_points.txt").write_text(f"[shardwise.engines]\n{name} = {module}.engine:make\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {engine.name: engine for engine in list_engines()}
    assert (found["there"].provider, found["there"].version) == ("there-engines", "2.5")
    assert [need.lack for need in found["there"].needs] == [""]
    assert [need.lack for need in found["gone"].needs] == ["its module nowhere is not here"]
