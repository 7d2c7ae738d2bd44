"""The law of the house: imports go down only; engines are named in their room alone; importing the package is cheap;
what is public is what is listed."""

from __future__ import annotations

import ast
import importlib
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shardwise
from shardwise import errors

ROOT = Path(shardwise.__file__).parent
FLOORS = ["cli", "api", "report", "plan", "run", "engines", "models", "compute", "data", "storage"]
"""From the top down. ``errors``, ``records``, ``sizes`` and ``_version`` lie below all of them."""

GROUND = {"errors", "records", "sizes", "_version"}
SPECIAL = {("engines", "compute")}
DOORS = {"__init__", "joblib"}
"""What a person imports; they lead to the rooms."""


def floor_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "shardwise" else [node.module]
            )
            found += [(name, node.lineno) for name in names]
    return [(name, line) for name, line in found if name.split(".")[0] == "shardwise"]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    relative = path.relative_to(ROOT)
    here = relative.parts[0].removesuffix(".py")
    if here in DOORS:
        return
    for name, line in imports(path):
        there = floor_of(name)
        if there in GROUND or name == "shardwise":
            continue
        assert here not in GROUND, f"{relative}:{line} imports {name}: {here} imports nothing of ours"
        assert there in FLOORS, f"{relative}:{line} imports {name}, which is in no room"
        assert FLOORS.index(there) >= FLOORS.index(here), f"{relative}:{line} imports {name}: that goes up"


def test_engines_import_only_the_workers_entry() -> None:
    """An adapter knows tasks and how one is executed, nothing of what they compute."""
    allowed = {
        "shardwise.compute." + name
        for name in (
            "execute",
            "fork_server",
            "footprint",
            "machine",
            "task",
            "wire",
            "worker",
            "program",
            "logs",
            "connection",
        )
    }
    for path in sorted((ROOT / "engines").glob("*.py")):
        for name, line in imports(path):
            if name == "shardwise.compute":  # from shardwise.compute import worker: the entry itself
                continue
            if floor_of(name) == "compute":
                assert name in allowed, f"{path.name}:{line} imports {name}"
            assert floor_of(name) not in ("data", "run"), f"{path.name}:{line} imports {name}"


# --- engines are known to their room alone ---------------------------------------------------------------------------

LENDERS = {"dask", "distributed", "ray", "spark", "pyspark", "yarn", "joblib", "loky"}
JOBLIB_RUNS_ON_US = {"joblib.py", "api/joblib_backend.py"}  # joblib calls these, which know of no engine but by URL
ADAPTERS = ["dask", "ray", "spark", "pool", "joblib_pool"]


def lenders_named(source: str) -> list[tuple[int, str]]:
    """Lines where code, and not documentation, names what lends slots."""
    found = []
    tree = ast.parse(source)
    told = {id(node) for node in documentation(tree)}
    for node in ast.walk(tree):
        for text in () if id(node) in told else texts(node):
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)}
            found += [(node.lineno, name) for name in sorted(words & LENDERS)]  # type: ignore[attr-defined]
    return found


def documentation(tree: ast.AST) -> Iterator[ast.AST]:
    """Docstrings, and what the command line says of its options."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg == "help":
            yield from ast.walk(node.value)


def texts(node: ast.AST) -> list[str]:
    """What a node of code names or says itself."""
    match node:
        case ast.Import(names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module, names):
            return [module or "", *(alias.name for alias in names)]
        case ast.Constant(str(text)) | ast.Name(text) | ast.Attribute(attr=text):
            return [text]
        case ast.arg(text) | ast.keyword(str(text)):
            return [text]
        case ast.FunctionDef(text) | ast.AsyncFunctionDef(text) | ast.ClassDef(text):
            return [text]
    return []


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import pyspark.sql", 1),
        ("from shardwise.engines.dask import connect", 1),
        ("from shardwise.engines import ray", 1),
        ("x = 1\nif name == 'dask': pass", 2),
        ("if url.startswith('spark+yarn'): pass", 1),
        ("def f(ray_address): pass", 1),
        ("class RayJob: pass", 1),
        ("find(f'{x} on Dask')", 1),
        ("def dask_options(): pass", 1),
        ("engine.spark()", 1),
        ("make(joblib=True)", 1),
    ],
)
def test_code_that_names_an_engine_is_found(code: str, line: int) -> None:
    assert line in [found for found, _ in lenders_named(code)]


def test_documentation_and_other_words_name_none() -> None:
    code = '"""Runs on Dask."""\narray = sparkle = 1\n"""As Ray does."""\n@option("--x", help="Or ray: " + "spark")\n'
    assert lenders_named(code + "def f():\n    'for joblib'") == []


def test_engines_are_named_in_their_room_only() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT)
        if relative.parts[0] != "engines" and str(relative) not in JOBLIB_RUNS_ON_US:
            assert lenders_named(path.read_text()) == [], f"{relative} names engines: ask the registry instead"


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_are_short(name: str) -> None:
    lines = (ROOT / "engines" / f"{name}.py").read_text().count("\n")
    assert lines <= 160, f"{name}.py has {lines} lines: what engines have in common belongs into lending.py"


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ["duckdb", "numpy", "pyarrow", "pandas", "polars", "rich", "click", "fsspec", "cloudpickle"]
    code = f"import sys, shardwise; print([m for m in {heavy!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_public_names_are_those_listed() -> None:
    for name in shardwise.__all__:
        assert getattr(shardwise, name) is not None
    assert set(dir(shardwise)) == set(shardwise.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = shardwise.nonsense


def test_every_public_object_has_a_docstring() -> None:
    missing = [n for n in shardwise.__all__ if not n.startswith("__") and not getattr(shardwise, n).__doc__]
    assert missing == []


def tree(cls: type[errors.ShardwiseError]) -> list[type[errors.ShardwiseError]]:
    return [cls, *(c for sub in cls.__subclasses__() for c in tree(sub))]


@pytest.mark.parametrize("cls", tree(errors.ShardwiseError), ids=lambda c: c.__name__)
def test_errors_survive_pickling_and_are_drawn_in_the_tree(cls: type[errors.ShardwiseError]) -> None:
    again = pickle.loads(pickle.dumps(cls("what", "how to mend it")))
    assert type(again) is cls
    assert str(again) == "what\n  fix: how to mend it"
    assert cls.__module__ != "shardwise.errors" or cls.__name__ in (errors.__doc__ or "")
    assert cls.__doc__


def test_error_codes_are_unique() -> None:
    codes = [cls.code for cls in tree(errors.ShardwiseError)]
    assert len(codes) == len(set(codes))


def test_every_module_can_be_imported() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        name = "shardwise." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
