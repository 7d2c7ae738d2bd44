"""Write a job for one shard; run it over all of your data, on one core, on every core, or on a cluster.

Importing this is cheap: DuckDB, NumPy and PyArrow are imported when the first dataset is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shardwise._version import __version__

if TYPE_CHECKING:
    from shardwise import errors as errors
    from shardwise.api.dataset import Dataset as Dataset
    from shardwise.api.executor import Executor as Executor
    from shardwise.api.growth import growth as growth
    from shardwise.api.job import Job as Job
    from shardwise.api.options import Options as Options
    from shardwise.api.reading import from_array as from_array
    from shardwise.api.reading import from_frame as from_frame
    from shardwise.api.reading import from_items as from_items
    from shardwise.api.reading import generate as generate
    from shardwise.api.reading import read_csv as read_csv
    from shardwise.api.reading import read_database as read_database
    from shardwise.api.reading import read_ipc as read_ipc
    from shardwise.api.reading import read_ndjson as read_ndjson
    from shardwise.api.reading import read_npy as read_npy
    from shardwise.api.reading import read_parquet as read_parquet
    from shardwise.api.result import Result as Result
    from shardwise.compute.aggregates import approx_n_unique as approx_n_unique
    from shardwise.compute.aggregates import approx_quantile as approx_quantile
    from shardwise.compute.aggregates import argmax as argmax
    from shardwise.compute.aggregates import argmin as argmin
    from shardwise.compute.aggregates import corr as corr
    from shardwise.compute.aggregates import count as count
    from shardwise.compute.aggregates import count_null as count_null
    from shardwise.compute.aggregates import cov as cov
    from shardwise.compute.aggregates import histogram as histogram
    from shardwise.compute.aggregates import max as max  # noqa: A004
    from shardwise.compute.aggregates import mean as mean
    from shardwise.compute.aggregates import min as min  # noqa: A004
    from shardwise.compute.aggregates import std as std
    from shardwise.compute.aggregates import sum as sum  # noqa: A004
    from shardwise.compute.aggregates import top_k as top_k
    from shardwise.compute.aggregates import var as var
    from shardwise.compute.context import Context as Context
    from shardwise.compute.custom import Aggregate as Aggregate

_AGGREGATES = (
    "approx_n_unique",
    "approx_quantile",
    "argmax",
    "argmin",
    "corr",
    "count",
    "count_null",
    "cov",
    "histogram",
    "max",
    "mean",
    "min",
    "std",
    "sum",
    "top_k",
    "var",
)
_READERS = (
    "from_array",
    "from_frame",
    "from_items",
    "generate",
    "read_csv",
    "read_database",
    "read_ipc",
    "read_ndjson",
    "read_npy",
    "read_parquet",
)
_HOMES = {
    **dict.fromkeys(_AGGREGATES, "shardwise.compute.aggregates"),
    **dict.fromkeys(_READERS, "shardwise.api.reading"),
    "Aggregate": "shardwise.compute.custom",
    "Context": "shardwise.compute.context",
    "Dataset": "shardwise.api.dataset",
    "Executor": "shardwise.api.executor",
    "Job": "shardwise.api.job",
    "Options": "shardwise.api.options",
    "Result": "shardwise.api.result",
    "growth": "shardwise.api.growth",
}

__all__ = ["__version__", "errors", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("shardwise.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'shardwise' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # found once
    return value


def __dir__() -> list[str]:
    return list(__all__)
