"""Built-in aggregates: exact in any cut and order. `sum`, `min` and `max` are also `total`, `minimum` and `maximum`.

Each is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.registry import entry, known_aggregates

if TYPE_CHECKING:
    from shardwise.compute.aggregates.distinct import approx_n_unique as approx_n_unique
    from shardwise.compute.aggregates.functions import argmax as argmax
    from shardwise.compute.aggregates.functions import argmin as argmin
    from shardwise.compute.aggregates.functions import corr as corr
    from shardwise.compute.aggregates.functions import count as count
    from shardwise.compute.aggregates.functions import count_null as count_null
    from shardwise.compute.aggregates.functions import cov as cov
    from shardwise.compute.aggregates.functions import histogram as histogram
    from shardwise.compute.aggregates.functions import maximum as maximum
    from shardwise.compute.aggregates.functions import mean as mean
    from shardwise.compute.aggregates.functions import minimum as minimum
    from shardwise.compute.aggregates.functions import std as std
    from shardwise.compute.aggregates.functions import top_k as top_k
    from shardwise.compute.aggregates.functions import total as total
    from shardwise.compute.aggregates.functions import var as var
    from shardwise.compute.aggregates.parsing import parse_aggregate as parse_aggregate
    from shardwise.compute.aggregates.quantile import approx_quantile as approx_quantile

    sum, min, max = total, minimum, maximum  # noqa: A001

_LONG_NAMES = {"maximum": "max", "minimum": "min", "total": "sum"}

__all__ = ["Builtin", "known_aggregates", "parse_aggregate", *known_aggregates(), *_LONG_NAMES]


def __getattr__(name: str) -> Any:
    if name == "parse_aggregate":
        return importlib.import_module(f"{__name__}.parsing").parse_aggregate
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return entry(_LONG_NAMES.get(name, name)).construct
