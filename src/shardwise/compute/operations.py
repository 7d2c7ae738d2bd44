"""What can be done to a dataset, one frozen record each. How they are carried out: ``pipeline`` and ``native``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardwise.compute.function import Function
from shardwise.data.source import Kind

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Select:
    """Keep these columns, in this order."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Keep the rows for which a row-wise SQL expression is true (neither false nor null)."""

    expression: str


@dataclass(frozen=True, slots=True)
class WithColumns:
    """Add or replace columns; every expression sees the columns as they were before."""

    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """Keep a row when the hash of (seed, position) is below ``fraction``."""

    fraction: float
    seed: int


@dataclass(frozen=True, slots=True)
class Map:
    """A function of a batch. ``schema`` and ``kind`` of its result are given by the person, or settled."""

    function: Function
    schema: pa.Schema | None = None
    kind: Kind = "table"


@dataclass(frozen=True, slots=True)
class MapItems:
    """A function of one item, which may yield any number of results."""

    function: Function


@dataclass(frozen=True, slots=True)
class Tabulate:
    """Items become rows. Put in where something that needs columns follows items."""

    schema: pa.Schema | None = None


Operation = Select | Filter | WithColumns | Sample | Map | MapItems | Tabulate
Relational = (Select, Filter, WithColumns)


def describe(operation: Operation) -> str:
    """One line for plans."""
    match operation:
        case Select(columns):
            return f"select {', '.join(columns)}"
        case Filter(expression):
            return f"filter {expression}"
        case WithColumns(columns):
            return "with " + ", ".join(f"{name} = {expression}" for name, expression in columns)
        case Sample(fraction, seed):
            return f"sample {fraction:g} (seed {seed})"
        case Map(function):
            return f"map {function.name}"
        case MapItems(function):
            return f"map_items {function.name}"
        case Tabulate():
            return "items to rows"


def functions(operations: tuple[Operation, ...]) -> list[Any]:
    """The user's functions among the operations."""
    return [op.function for op in operations if isinstance(op, (Map, MapItems))]
