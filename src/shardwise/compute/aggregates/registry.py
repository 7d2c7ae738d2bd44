"""All built-in aggregates by name: where each one's constructor and binding stand. They are imported when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from shardwise.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from shardwise.compute.aggregates.base import Builtin
    from shardwise.compute.aggregates.kernel import Kernel

    Bind = Callable[[Builtin, pa.Schema, str, str], Kernel]

_PACKAGE = "shardwise.compute.aggregates"


@dataclass(frozen=True, slots=True)
class Entry:
    """An aggregate: its public constructor and how it is bound, both as ``module:function``."""

    constructor: str
    binding: str

    @property
    def construct(self) -> Callable[..., Builtin]:
        """The public constructor."""
        return cast("Callable[..., Builtin]", _find(self.constructor))

    @property
    def bind(self) -> Bind:
        """What makes a kernel of a `Builtin`, the schema, a prefix of state columns and a name."""
        return cast("Bind", _find(self.binding))


_ENTRIES = {
    "approx_n_unique": Entry("distinct:approx_n_unique", "distinct:bind_distinct"),
    "approx_quantile": Entry("quantile:approx_quantile", "quantile:bind_quantile"),
    "argmax": Entry("functions:argmax", "chosen:bind_arg"),
    "argmin": Entry("functions:argmin", "chosen:bind_arg"),
    "corr": Entry("functions:corr", "moments:bind_moment"),
    "count": Entry("functions:count", "counts:bind_count"),
    "count_null": Entry("functions:count_null", "counts:bind_count_null"),
    "cov": Entry("functions:cov", "moments:bind_moment"),
    "histogram": Entry("functions:histogram", "histograms:bind_histogram"),
    "max": Entry("functions:maximum", "extremes:bind_extreme"),
    "mean": Entry("functions:mean", "totals:bind_mean"),
    "min": Entry("functions:minimum", "extremes:bind_extreme"),
    "std": Entry("functions:std", "moments:bind_moment"),
    "sum": Entry("functions:total", "totals:bind_sum"),
    "top_k": Entry("functions:top_k", "chosen:bind_top"),
    "var": Entry("functions:var", "moments:bind_moment"),
}


def entry(function: str) -> Entry:
    """Look an aggregate up.

    Raises
    ------
    UsageError
        There is none of that name; the message lists all.
    """
    if function not in _ENTRIES:
        raise UsageError(f"there is no aggregate {function!r}", f"choose one of: {', '.join(known_aggregates())}")
    return _ENTRIES[function]


def known_aggregates() -> list[str]:
    """Names of all built-in aggregates, sorted.

    Examples
    --------
    >>> known_aggregates()[:2]
    ['approx_n_unique', 'approx_quantile']
    """
    return sorted(_ENTRIES)


def _find(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
