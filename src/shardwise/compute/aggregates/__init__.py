"""Built-in aggregates: exact in any cut and order. `sum`, `min` and `max` are also `total`, `minimum` and `maximum`."""

from shardwise.compute.aggregates.base import Builtin, known_aggregates, register
from shardwise.compute.aggregates.distinct import approx_n_unique
from shardwise.compute.aggregates.functions import (
    argmax,
    argmin,
    corr,
    count,
    count_null,
    cov,
    histogram,
    maximum,
    mean,
    minimum,
    std,
    top_k,
    total,
    var,
)
from shardwise.compute.aggregates.parsing import parse_aggregate
from shardwise.compute.aggregates.quantile import approx_quantile

sum = total  # noqa: A001
min = minimum  # noqa: A001
max = maximum  # noqa: A001

__all__ = [
    "Builtin",
    "approx_n_unique",
    "approx_quantile",
    "argmax",
    "argmin",
    "corr",
    "count",
    "count_null",
    "cov",
    "histogram",
    "known_aggregates",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "parse_aggregate",
    "register",
    "std",
    "sum",
    "top_k",
    "total",
    "var",
]
