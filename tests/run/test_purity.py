"""The scheduler, and all of ours that it imports, is arithmetic: no clock, no chance, no input or output."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

PURE = {"__future__", "bisect", "collections", "collections.abc", "dataclasses", "enum", "graphlib", "heapq", "typing"}


def imports(path: Path) -> set[str]:
    """All that a file imports, anywhere in it; ``from a import b`` counts as both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def source_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a name in a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def reachable(module: str) -> dict[str, set[str]]:
    """The modules of ours that a module imports, directly or not (itself included), and what each of them imports."""
    seen: dict[str, set[str]] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        path = source_of(name)
        if name in seen or path is None:
            continue
        seen[name] = imports(path)
        todo += [imported for imported in seen[name] if imported.startswith("shardwise.")]
    return seen


def test_the_scheduler_imports_no_clock_no_chance_and_nothing_heavy() -> None:
    found = reachable("shardwise.run.scheduler")
    assert {"shardwise.run.policies", "shardwise.run.tasks", "shardwise.compute.task"} <= found.keys()
    for module, imported in found.items():
        foreign = {name for name in imported if not name.startswith("shardwise")}
        modules = {name for name in foreign if name in PURE or name.rpartition(".")[0] not in PURE}
        assert modules <= PURE, f"{module} imports {modules - PURE}"


def test_the_scheduler_calls_nothing_that_reads_or_writes() -> None:
    for module in reachable("shardwise.run.scheduler"):
        path = source_of(module)
        assert path is not None
        called = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        impure = called & {"open", "input", "print", "hash", "id", "exec", "eval", "__import__"}
        assert impure <= ({"print"} if module.endswith(".transitions") else set()), f"{module} calls {impure}"
