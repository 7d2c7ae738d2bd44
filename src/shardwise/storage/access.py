"""Storage options by place: given once, known to all that opens stores in this process, never written anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Trusted:
    """Options that travel to another process: whoever prints what holds them, does not print them.

    Examples
    --------
    >>> Trusted({"s3://bucket/runs": {"secret": "word"}})
    Trusted(1 place)
    """

    def __init__(self, options: dict[str, dict[str, Any]]) -> None:
        self._options = options

    def __repr__(self) -> str:
        return f"Trusted({len(self._options)} place{'s' * (len(self._options) != 1)})"

    def remember(self) -> None:
        """Use them in this process from now on."""
        for place, options in self._options.items():
            remember(place, options)


_KNOWN: dict[str, dict[str, Any]] = {}


def remember(place: str, options: dict[str, Any] | None) -> None:
    """Use these options from now on for all that lies at or below a URL; ``None`` says nothing."""
    if options is not None and "://" in place:
        _KNOWN[place.rstrip("/")] = dict(options)


def options_for(url: str) -> dict[str, Any]:
    """The options of the closest place that a URL lies at or below; none where nothing was said.

    Examples
    --------
    >>> remember("s3://bucket/runs", {"anon": True})
    >>> options_for("s3://bucket/runs/1"), options_for("s3://bucket/runs-2")
    ({'anon': True}, {})
    """
    places = [place for place in _KNOWN if url == place or url.startswith(place + "/")]
    return dict(_KNOWN[max(places, key=len)]) if places else {}


def entrusted(places: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What another process has to remember to work in these places."""
    found = {place: options_for(place) for place in places}
    return {place: options for place, options in found.items() if options}
