"""Where a module comes from: the standard library, an installed distribution (which has a version), or the user's
own files (which have source)."""

from __future__ import annotations

import builtins
import dis
import functools
import importlib.metadata
import importlib.util
import site
import sys
import sysconfig
from pathlib import Path
from types import CodeType

from shardwise._version import __version__

_OURS = "shardwise"
_SUFFIXES = frozenset({".py", ".so"})


@functools.cache
def is_standard(top: str) -> bool:
    """Whether a top-level module is Python's own."""
    return top in sys.stdlib_module_names or top == "builtins"


@functools.cache
def local_files(top: str) -> tuple[Path, ...]:
    """The source files of a top-level module or package that is not installed; empty for all others.

    Nothing is imported to find out.
    """
    if is_standard(top) or top in (_OURS, "__main__", "__mp_main__"):
        return ()
    places = _places(top)
    if not places or any(_is_installed(place) for place in places):
        return ()
    files = [file for place in places for file in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    return tuple(file for file in files if file.suffix in _SUFFIXES)


@functools.cache
def is_absent(top: str) -> bool:
    """Whether there is no such module (an optional library that is not installed)."""
    return top not in sys.modules and not is_standard(top) and not _places(top)


def is_sourceless(top: str) -> bool:
    """Whether a module was made in this process, from no file."""
    return not is_standard(top) and top != _OURS and not _places(top)


def version(top: str) -> str:
    """Version of an installed library, by the name that is imported."""
    if top == _OURS:
        return __version__
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        names = _distributions().get(top, [])
    if names:
        return importlib.metadata.version(names[0])
    return str(getattr(sys.modules.get(top), "__version__", "unknown"))


def is_library(module: str) -> bool:
    """Whether what a module defines is known by its version: standard library, installed, or ours."""
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return False
    return is_standard(top) or top == _OURS or (bool(_places(top)) and not local_files(top))


def is_builtin(name: str, value: object) -> bool:
    """Whether a global name means what Python says it means."""
    return getattr(builtins, name, None) is value


def imports(code: CodeType) -> set[str]:
    """Top-level names of the modules that code imports, nested functions included; ``""`` for its own package."""
    found = set()
    level = 0
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("LOAD_") and isinstance(instruction.argval, int):
            level = instruction.argval
        elif instruction.opname == "IMPORT_NAME":
            found.add("" if level else instruction.argval.partition(".")[0])
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= imports(constant)
    return found


@functools.cache
def _places(top: str) -> tuple[Path, ...]:
    """The file of a module, or the directories of a package."""
    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None) if module is not None else None
    if module is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return ()
    directories = getattr(module, "__path__", None) or (spec.submodule_search_locations if spec else None)
    if directories:
        return tuple(Path(directory).resolve() for directory in directories)
    file = getattr(module, "__file__", None) or (spec.origin if spec and spec.has_location else None)
    return (Path(file).resolve(),) if file else ()


@functools.cache
def _installed_roots() -> tuple[Path, ...]:
    named = [sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    named += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(Path(path).resolve() for path in named)


def _is_installed(place: Path) -> bool:
    return any(place.is_relative_to(root) for root in _installed_roots())


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())
