"""All engines that can be named on this host, and what they lack."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points

from shardwise.engines.needs import Need, module
from shardwise.engines.registry import GROUP, built_in_engines, make_engine


@dataclass(frozen=True, slots=True)
class Listed:
    """An engine that can be named here.

    Parameters
    ----------
    version : str
        Of the library behind it, or of the package that provides it; empty where there is none.
    needs : tuple of Need
        What it takes on this host. Of engines of other packages only their module is known.
    provider : str
        The package that provides it; empty: it is one of ours.
    """

    name: str
    version: str
    needs: tuple[Need, ...]
    provider: str = ""


def list_engines() -> list[Listed]:
    """All engines that can be named here, ours first. No library is imported for that, nor the code of other
    packages."""
    found = []
    for name in built_in_engines():
        engine = make_engine(name)
        needs = tuple(engine.needs()) if hasattr(engine, "needs") else ()
        found.append(Listed(name, needs[0].found if needs else "", needs))
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        provider, version = (point.dist.name, point.dist.version) if point.dist else (point.module, "")
        needs = (module(point.module, provider),)
        found.append(Listed(point.name, version, needs, provider))
    return found
