"""From what a person asks to aggregate, to the way it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.grouped import GroupedAggregation
from shardwise.compute.aggregation import Aggregation, TableAggregation, known_bounds
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.shape import unknown_column
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.compute.custom import Aggregate, CustomAggregation


def named_aggregates(
    given: Sequence[Any], named: Mapping[str, Any], keys: Sequence[str]
) -> tuple[tuple[str, Builtin | Aggregate[Any]], ...]:
    """Aggregates with the names of their result columns.

    Raises
    ------
    UsageError
        There is none, one is no aggregate, or two columns would have one name.
    """
    pairs = [(_default_name(a), a) for a in given] + [(name, a) for name, a in named.items()]
    if not pairs:
        raise UsageError("aggregate() needs at least one aggregate", 'for example sw.count() or avg=sw.mean("speed")')
    taken = set(keys)
    for name, aggregate in pairs:
        if not isinstance(aggregate, Builtin) and not _is_custom(aggregate):
            raise UsageError(f"{aggregate!r} is not an aggregate", 'for example sw.mean("speed")')
        if name in taken:
            raise UsageError(f"two result columns would be called {name!r}", "name one: other=sw.mean(...)")
        taken.add(name)
    return tuple(pairs)


def _is_custom(aggregate: Any) -> bool:
    from shardwise.compute.custom import Aggregate

    return isinstance(aggregate, Aggregate)


def _default_name(aggregate: Any) -> str:
    if isinstance(aggregate, Builtin):
        return aggregate.name
    return type(aggregate).__name__.lower()


def choose(
    pipeline: Pipeline, keys: Sequence[str], aggregates: Sequence[tuple[str, Builtin | Aggregate[Any]]]
) -> Aggregation:
    """The aggregation bound to the pipeline's columns.

    Raises
    ------
    UsageError
        A column does not exist or has a type that an aggregate cannot take.
    """
    shape = pipeline.shape
    customs = tuple((name, _custom(a, keys)) for name, a in aggregates if not isinstance(a, Builtin))
    builtins = [(name, a) for name, a in aggregates if isinstance(a, Builtin)]
    if shape.schema is not None:
        for name in [*keys, *(column for _, a in builtins for column in a.columns)]:
            if name not in shape.schema.names and not (shape.kind == "array" and _is_all(name)):
                raise unknown_column(name, shape.schema.names)
    if shape.kind == "array" and shape.schema is not None and not keys and not customs:
        from shardwise.compute.array_face import ArrayFace

        if ArrayFace.can(builtins):
            return ArrayFace.of(builtins, shape.schema)
    grouped = GroupedAggregation(list(keys), builtins, shape.schema) if builtins or keys else None
    if customs:
        from shardwise.compute.mixed import MixedAggregation

        return MixedAggregation(grouped, tuple(keys), customs, tuple(name for name, _ in aggregates))
    assert grouped is not None
    return TableAggregation(grouped, known_bounds(pipeline, grouped.columns))


def _is_all(name: str) -> bool:
    from shardwise.compute.arrays.aggregation import ALL

    return name == ALL


def _custom(aggregate: Aggregate[Any], keys: Sequence[str]) -> CustomAggregation:
    from shardwise.compute.custom import CustomAggregation
    from shardwise.compute.mixed import ByGroup

    return CustomAggregation(ByGroup(aggregate, tuple(keys)) if keys else aggregate)
