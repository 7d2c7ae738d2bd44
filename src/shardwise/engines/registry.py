"""From an engine's URL to the engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from shardwise.errors import EngineError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from joblib.parallel import ParallelBackendBase

    from shardwise.engines.protocol import Engine, Reach

    Place: TypeAlias = str | Engine | Executor | ParallelBackendBase
    """What a person may give as an engine."""

CLUSTER_URLS = ("dask://...", "ray://...", "spark://...", "spark+yarn")
"""How those of our own are named that lend the workers of a cluster which is there."""

GROUP = "shardwise.engines"
"""Entry points of this group are engines of other packages: functions of the arguments in a URL."""


def parse_engine(url: str) -> tuple[str, str]:
    """Split an engine's URL into its name and arguments.

    Examples
    --------
    >>> parse_engine("local"), parse_engine("local:4"), parse_engine("dask://host:8786")
    (('local', ''), ('local', '4'), ('dask', '//host:8786'))
    """
    name, _, arguments = url.strip().partition(":")
    return name, arguments


def make_engine(url: Place) -> Engine:
    """Make the engine that a URL names, or a pool is; it lends nothing before it is opened.

    Parameters
    ----------
    url : str, Engine, Executor or ParallelBackendBase
        ``inline``, ``local``, ``local:4``; ``dask``, ``ray`` or ``spark`` (a cluster of their own on this machine);
        ``dask://host:8786``, ``ray://host:10001``, ``ray://auto``, ``spark://host:7077``, ``spark+yarn``; ``joblib``
        (the backend that is active), ``joblib:loky``; or the name of an engine that an installed package provides
        (entry point group ``shardwise.engines``: a function of the text after the first colon). Of an executor or a
        backend of joblib's slots are borrowed. An engine is taken as it is.

    Raises
    ------
    UsageError
        There is no such engine, or its arguments make no sense.

    Examples
    --------
    >>> make_engine("local:4").name
    'local'
    """
    if not isinstance(url, str):
        return _lent_by(url)
    name, arguments = parse_engine(url)
    if name in _BUILT_IN:
        return _BUILT_IN[name](arguments)
    from importlib.metadata import entry_points  # here, as it takes longer to import than a small job does

    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UsageError(f"there is no engine {url!r}", _suggestion(name))
    factory: Callable[[str], Engine] = next(iter(found)).load()
    return factory(arguments)


def refuse_what_lends_nothing(given: Any) -> None:
    """Refuse what a person gave as an engine, if it is none.

    Raises
    ------
    UsageError
        It is no URL, no pool, and has not what engines have.
    """
    if not isinstance(given, str) and not all(hasattr(_lent_by(given), name) for name in ("open", "send", "wait")):
        raise UsageError(
            f"engine is of type {type(given).__name__}, which lends no slots",
            "give a URL ('local:4', 'dask://host:8786'), a concurrent.futures.Executor, or an engine made of a client "
            "or session of yours, such as shardwise.engines.dask.DaskEngine(client)",
        )


def engine_label(engine: Place) -> str:
    """The URL of an engine, or the name of one that a person made."""
    return engine if isinstance(engine, str) else make_engine(engine).name


def engine_reach(engine: Place) -> Reach:
    """How far the workers of an engine are; ``auto`` stays on this host.

    Examples
    --------
    >>> engine_reach("local:4"), engine_reach("dask://10.0.0.7:8786")
    ('host', 'network')
    """
    if engine == "auto":
        return "host"
    reach: Reach = getattr(make_engine(engine), "reach", "network")
    return reach


def engine_room(engine: Place) -> int | None:
    """How many slots a cluster could lend; None where it cannot be asked before it is opened, or does not answer."""
    ask = getattr(make_engine(engine), "room", None)
    try:
        room = ask() if ask is not None else None
    except EngineError:  # opening it will say why
        return None
    return room.slots if room is not None and room.slots else None


def known_engines() -> list[str]:
    """Names of the engines that can be made here, sorted."""
    from importlib.metadata import entry_points

    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def built_in_engines() -> list[str]:
    """Names of our own, in the order in which they are told."""
    return list(_BUILT_IN)


def _suggestion(name: str) -> str:
    import difflib

    known = known_engines()
    near = difflib.get_close_matches(name, known, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"engines here: {', '.join(known)}"


def _inline(arguments: str) -> Engine:
    from shardwise.engines.inline import InlineEngine

    if arguments:
        raise UsageError(f"the engine 'inline' takes no arguments, not {arguments!r}", "write 'inline', or 'local:4'")
    return InlineEngine()


def _local(arguments: str) -> Engine:
    from shardwise.engines.local import LocalEngine

    if arguments and not (arguments.isascii() and arguments.isdigit() and int(arguments) > 0):
        raise UsageError(
            f"the number of workers in 'local:{arguments}' is not a whole number from 1", "write for example 'local:4'"
        )
    return LocalEngine(int(arguments) if arguments else None)


def _dask(arguments: str) -> Engine:
    from shardwise.engines.dask import DaskEngine

    return DaskEngine("tcp:" + arguments if arguments.startswith("//") else None)


def _ray(arguments: str) -> Engine:
    from shardwise.engines.ray import RayEngine

    if arguments.startswith("//"):
        return RayEngine("auto" if arguments == "//auto" else "ray:" + arguments)
    return RayEngine()


def _spark(arguments: str) -> Engine:
    from shardwise.engines.spark import SparkEngine

    return SparkEngine("spark:" + arguments if arguments.startswith("//") else "local")


def _yarn(arguments: str) -> Engine:
    from shardwise.engines.spark import SparkEngine

    return SparkEngine("yarn")


def _joblib(arguments: str) -> Engine:
    from shardwise.engines.joblib_pool import JoblibEngine

    return JoblibEngine(arguments or None)


def _lent_by(found: Any) -> Engine:
    """The engine that an object is, or that borrows from it. Who has a pool has imported what it is made of."""
    if _is_a(found, "concurrent.futures", "Executor"):
        from shardwise.engines.pool import PoolEngine

        return PoolEngine(found)
    if _is_a(found, "joblib.parallel", "ParallelBackendBase"):
        from shardwise.engines.joblib_pool import JoblibEngine

        return JoblibEngine(found)
    engine: Engine = found
    return engine


def _is_a(found: Any, module: str, name: str) -> bool:
    return module in sys.modules and isinstance(found, getattr(sys.modules[module], name))


_BUILT_IN: dict[str, Callable[[str], Engine]] = {
    "inline": _inline,
    "local": _local,
    "dask": _dask,
    "ray": _ray,
    "spark": _spark,
    "spark+yarn": _yarn,
    "joblib": _joblib,
}
