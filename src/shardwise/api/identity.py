"""What makes two jobs the same: sources, operations, code, options that change the answer, version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from shardwise._version import __version__
from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.operations import Filter, Map, MapItems, Operation, Sample, Select, Tabulate, WithColumns
from shardwise.data.source import Source
from shardwise.plan.work import AggregateTo, CollectTo, DescribeTo, Target, Work, WriteTo


def job_document(work: Work, title: str, source: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """JSON that changes when the answer might; None where the data lives in memory and has no identity (then
    ``source`` may stand for it)."""
    source = source or source_document(work.pipeline.source)
    if source is None:
        return None
    return {
        "summary": title,
        "version": __version__,
        "source": source,
        "operations": [_operation(op) for op in work.pipeline.operations],
        "target": _target(work.target, work.part_batches),
        "options": {
            "seed": work.pipeline.seed if work.pipeline.has_functions else 0,
            **({"on_error": "quarantine"} if work.guarded else {}),
        },
    }


def source_document(source: Source) -> dict[str, Any] | None:
    """Identity of a source, with the code of its function where it has one."""
    identity = source.identity()
    function = getattr(source, "function", None)
    if identity is not None and function is not None:
        identity = {**identity, "function": _code(function)}
    return identity


def content_document(source: Source) -> dict[str, Any]:
    """Identity of data in memory by a digest of all of it, for runs that are kept all the same."""
    import cloudpickle

    from shardwise.storage import digest

    if hasattr(source, "token"):  # of a FrameSource: drawn anew for each object
        source = replace(cast(Any, source), token="")
    return {"memory": digest(cloudpickle.dumps(source))}


def _operation(op: Operation) -> dict[str, Any]:
    match op:
        case Select(columns):
            return {"select": list(columns)}
        case Filter(expression):
            return {"filter": expression}
        case WithColumns(columns):
            return {"with_columns": [list(pair) for pair in columns]}
        case Sample(fraction, seed):
            return {"sample": fraction, "seed": seed}
        case Map(function, schema):
            return {"map": _code(function.call), "schema": None if schema is None else str(schema)}
        case MapItems(function):
            return {"map_items": _code(function.call)}
        case Tabulate():
            return {"tabulate": True}


def _code(made: Any) -> dict[str, Any]:
    from shardwise.run.code import describe_code  # here, as jobs without functions need none of it

    return describe_code(made)


def _target(target: Target, part_batches: int) -> dict[str, Any]:
    match target:
        case AggregateTo(keys, aggregates):
            return {"keys": list(keys), "aggregates": {name: _aggregate(a) for name, a in aggregates}}
        case DescribeTo():
            return {"describe": True}
        case CollectTo():
            return {"collect": True}
        case WriteTo(directory, form):
            return {"write": form, "to": directory, "file_batches": part_batches}


def _aggregate(aggregate: Any) -> Any:
    if isinstance(aggregate, Builtin):
        return aggregate.identity()
    return {"class": _code(type(aggregate)), "state": _code(aggregate)}
