"""Small pieces of SQL text: names, powers of two, derived columns in layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

_STEP = 1000  # binades that one multiplication may move: its factor must be a normal double


def quoted(name: str) -> str:
    """A name as an SQL identifier.

    Examples
    --------
    >>> quoted("a b")
    '"a b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(number: float) -> str:
    """A finite double as an SQL literal that reads back the same."""
    return f"{number!r}::DOUBLE"


def power(exponent: int) -> str:
    """2**exponent as an SQL literal; -1074 <= exponent <= 1023."""
    return literal(math.ldexp(1.0, exponent))


def scaled(sql: str, exponent: int) -> str:
    """SQL of ``sql * 2**exponent``, in steps whose factors are doubles; exact unless the product is out of range."""
    while exponent:
        step = max(-_STEP, min(_STEP, exponent))
        sql = f"({sql} * {power(step)})"
        exponent -= step
    return sql


@dataclass(slots=True)
class Layers:
    """Derived columns, each computed once: those of a level may use the relation's and those of lower levels.

    Nested text instead would double with each level.
    """

    prefix: str
    levels: list[dict[str, str]] = field(default_factory=list)

    def put(self, level: int, sql: str) -> str:
        """Add ``sql`` as a column of ``level``; the name it got."""
        while len(self.levels) <= level:
            self.levels.append({})
        for name, known in self.levels[level].items():
            if known == sql:
                return name
        name = f"__{self.prefix}_{level}_{len(self.levels[level])}"
        self.levels[level][name] = sql
        return name


def layered(relation: str, parts: Iterable[tuple[dict[str, str], ...]]) -> str:
    """``relation`` with the derived columns of several kernels, as text usable after FROM."""
    stacks = list(parts)
    for level in range(max((len(stack) for stack in stacks), default=0)):
        columns = {name: sql for stack in stacks if level < len(stack) for name, sql in stack[level].items()}
        if columns:
            relation = f"(SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in columns.items())} FROM {relation})"
    return relation
