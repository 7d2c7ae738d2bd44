"""From an engine's URL to the engine."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points

from shardwise.engines.protocol import Engine
from shardwise.errors import UsageError

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


def make_engine(url: str) -> Engine:
    """Make the engine that a URL names; it lends nothing before it is opened.

    Parameters
    ----------
    url : str
        ``inline``, ``local``, ``local:4``, or the name of an engine that an installed package provides (entry point
        group ``shardwise.engines``: a function of the text after the first colon).

    Raises
    ------
    UsageError
        There is no such engine, or its arguments make no sense.

    Examples
    --------
    >>> make_engine("local:4").name
    'local'
    """
    name, arguments = parse_engine(url)
    if name in _BUILT_IN:
        return _BUILT_IN[name](arguments)
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UsageError(f"there is no engine {url!r}", _suggestion(name))
    factory: Callable[[str], Engine] = next(iter(found)).load()
    return factory(arguments)


def known_engines() -> list[str]:
    """Names of the engines that can be made here, sorted."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def _suggestion(name: str) -> str:
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


_BUILT_IN: dict[str, Callable[[str], Engine]] = {
    "inline": _inline,
    "local": _local,
    "dask": _dask,
    "ray": _ray,
    "spark": _spark,
    "spark+yarn": _yarn,
}
