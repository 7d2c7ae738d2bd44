"""Modules that the hosts of a cluster lack: they are sent there by the cluster's own means, before slots are."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from shardwise.errors import UsageError

SHIP_OURS = "or send this one along (--ship shardwise)"
"""Ends the advice about a host that has no Shardwise, or another one."""

_LEFT_OUT = ("__pycache__", ".git", ".venv")


def located(names: Iterable[str]) -> tuple[Path, ...]:
    """Where modules and packages lie that are named, or given as paths.

    Parameters
    ----------
    names : iterable of str
        ``shardwise``, ``helpers`` (as in ``import helpers``), ``lib/helpers.py``, ``lib/package``.

    Raises
    ------
    UsageError
        There is no such module, or it is none of Python source.

    Examples
    --------
    >>> [path.name for path in located(["shardwise", "json"])]
    ['shardwise', 'json']
    """
    return tuple(_locate(name) for name in names)


def packed(paths: Iterable[Path], directory: str | Path) -> Path:
    """Put modules and packages into a zip that can be imported from, named by what is in it; the same, every time.

    Parameters
    ----------
    paths : iterable of Path
        As `located` gives them.
    directory : str or Path
        Where to put it.
    """
    made = Path(directory, "shardwise-ship.zip")
    known = hashlib.blake2b(digest_size=8)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            for file in _files(path):
                is_directory = file.is_dir()  # what has no __init__.py can be imported from a zip if it is named there
                entry = zipfile.ZipInfo(f"{file.relative_to(path.parent)}{'/' * is_directory}")  # without a time
                data = b"" if is_directory else file.read_bytes()
                known.update(f"{entry.filename}\0{len(data)}\0".encode() + data)
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return made.rename(made.with_stem(f"{made.stem}-{known.hexdigest()}"))


def _locate(name: str) -> Path:
    if name.isidentifier() and (found := _module(name)) is not None:
        return found
    path = Path(name).expanduser().absolute()
    if path.suffix == ".py" and path.is_file():
        return path
    if path.is_dir() and path.name.isidentifier():
        return path
    raise UsageError(
        f"{name!r} cannot be shipped: it is no module or package that can be imported here, and no path of one",
        "name it as in an import statement, or give the path of a .py file or of a package's directory",
    )


def _module(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if len(places) == 1 and places[0].is_dir():
        return places[0]
    if not places and spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin)
    raise UsageError(f"{name!r} cannot be shipped: it is not Python source in one place", "install it in the cluster")


def _files(path: Path) -> Iterator[Path]:
    yield path
    for below in sorted(path.rglob("*")) if path.is_dir() else ():
        if not set(_LEFT_OUT) & set(below.relative_to(path).parts):
            yield below
