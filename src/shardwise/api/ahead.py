"""Starts what workers are forked from before this process has imported what a run needs, and planned it: both go on
side by side."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from shardwise.compute.machine import usable_cores
from shardwise.compute.operations import functions
from shardwise.engines.registry import engine_label, parse_engine

if TYPE_CHECKING:
    from shardwise.api.dataset import Later
    from shardwise.api.options import Options
    from shardwise.compute.operations import Operation
    from shardwise.data.source import Source


def workers_ahead(
    source: Source | Later, operations: tuple[Operation, ...], options: Options
) -> contextlib.AbstractContextManager[None]:
    """A context in which a run begins: with workers on the way, if it may want some of this host."""
    name, argument = parse_engine(engine_label(options.engine))
    slots = options.workers or (int(argument) if argument.isdecimal() else usable_cores())
    wanted = name == "local" or (name == "auto" and slots > 1 and bool(functions(operations)))
    if not wanted or slots < 1:
        return contextlib.nullcontext()
    from shardwise.engines.children import beginning  # here, as jobs that only DuckDB works on need none of it

    heavy = () if getattr(source, "kind", "") == "items" else ("numpy", "pyarrow")
    modules = ("shardwise.compute.programs.collect", *heavy, type(source).__module__)
    return beginning(max(1, usable_cores() // slots), modules)
