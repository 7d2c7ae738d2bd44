"""Types of JSON columns, nested ones included, and SQL that fills them without bending a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shardwise.data.text.sql import identifier, literal
from shardwise.data.text.strict import checked, is_checked


@dataclass(frozen=True, slots=True)
class Kind:
    """A type as DuckDB names it; ``parts`` are the fields of a STRUCT, or what a LIST or MAP holds."""

    name: str
    parts: tuple[tuple[str, Kind], ...] = ()

    def __str__(self) -> str:
        inner = [(name, str(part)) for name, part in self.parts]
        if self.name == "STRUCT":
            return f"STRUCT({', '.join(f'{identifier(name)} {part}' for name, part in inner)})"
        if self.name == "LIST":
            return f"{inner[0][1]}[]"
        if self.name == "MAP":
            return f"MAP({inner[0][1]}, {inner[1][1]})"
        return self.name

    @property
    def is_exact(self) -> bool:
        """Whether DuckDB's JSON reader refuses by itself what does not fit."""
        return not is_checked(self.name) and all(part.is_exact for _, part in self.parts)

    def as_read(self) -> Kind:
        """The type to read: text where the value is to be checked."""
        if is_checked(self.name):
            return TEXT
        return Kind(self.name, tuple((name, part.as_read()) for name, part in self.parts))

    def convert(self, value: str, depth: int = 0) -> str:
        """SQL that makes this type of a ``value`` that was read as `as_read` says."""
        if self.is_exact:
            return value
        if is_checked(self.name):
            return checked(value, self.name)
        inner = f"x{depth}"
        if self.name == "LIST":
            return f"list_transform({value}, lambda {inner}: {self.parts[0][1].convert(inner, depth + 1)})"
        if self.name == "MAP":
            key, held = (part.convert(f"{inner}.{name}", depth + 1) for name, part in self.parts)
            entries = f"list_transform(map_entries({value}), lambda {inner}: {{'k': {key}, 'v': {held}}})"
            return f"map_from_entries({entries})"
        fields = (
            f"{literal(name)}: {part.convert(f'struct_extract({value}, {literal(name)})', depth + 1)}"
            for name, part in self.parts
        )
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE {{{', '.join(fields)}}} END"


TEXT = Kind("VARCHAR")


def kind_of(duckdb_type: Any) -> Kind:
    """Take over a type of DuckDB's Python API; what has no type of its own is text."""
    if duckdb_type.id == "struct":
        return Kind("STRUCT", tuple((name, kind_of(part)) for name, part in duckdb_type.children))
    if duckdb_type.id == "list":
        return Kind("LIST", (("item", kind_of(duckdb_type.children[0][1])),))
    if duckdb_type.id == "map":
        return Kind("MAP", tuple((name, kind_of(part)) for name, part in duckdb_type.children))
    name = str(duckdb_type)
    return TEXT if name in ("JSON", '"NULL"', "NULL") else Kind(name)
