"""NDJSON files (one JSON object a line) as a source."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from shardwise.data.text.kinds import TEXT, Kind
from shardwise.data.text.misfit import Misfit
from shardwise.data.text.records import UNQUOTED, QuoteRules
from shardwise.data.text.source import TextSource
from shardwise.data.text.sql import call, identifier, struct
from shardwise.errors import InputError

_REASON = re.compile(r"in (?:line|record/value) \d+: (.+?)\s*(?:Try |If this error|$)", re.DOTALL)
Kinds = tuple[tuple[str, Kind], ...]


@dataclass(frozen=True, kw_only=True)
class NdjsonSource(TextSource):
    """NDJSON files of one schema. ``kinds`` are the types of all columns."""

    kinds: Kinds

    @property
    def rules(self) -> QuoteRules:
        """A JSON text in one line holds no newline, so every newline ends a record."""
        return UNQUOTED

    def prefix(self, newline: bytes) -> bytes:
        """Nothing: all lines are alike."""
        return b""

    def query(self, url: str, columns: list[str], largest: int) -> str:
        """SQL of DuckDB's own reader; what it would bend is read as text and checked."""
        return ndjson_query(self.kinds, url, columns, largest)

    def as_text(self) -> NdjsonSource:
        """The same source with all columns as VARCHAR: strings as they are, all else as JSON."""
        return replace(self, kinds=tuple((name, TEXT) for name, _ in self.kinds))

    def describe(self, misfit: Misfit) -> InputError:
        """Name the value and column where a value does not fit, and what is wrong with the line otherwise."""
        if misfit.column is not None:
            kind = dict(self.kinds)[misfit.column]
            return InputError(
                f"{misfit.where}, column {misfit.column!r}: the value {misfit.value!r} is not {kind}.",
                f"read the column as text, schema={{{misfit.column!r}: 'VARCHAR'}} (or another type that fits), "
                "or mend the record",
            )
        return unparsable(misfit)

    def options(self) -> dict[str, Any]:
        """The types."""
        return {"format": "ndjson", "types": [[name, str(kind)] for name, kind in self.kinds]}


def unparsable(misfit: Misfit) -> InputError:
    """Say why a line is not a JSON object."""
    found = _REASON.search(misfit.reason)
    reason = found.group(1).rstrip(". ") if found else misfit.reason.splitlines()[0]
    return InputError(
        f"{misfit.where} cannot be parsed: {reason}: {misfit.text!r}.", "mend the line: it must be one JSON object"
    )


def ndjson_query(kinds: Kinds, url: str, columns: list[str], largest: int) -> str:
    """SQL that parses lines no longer than ``largest``."""
    options = {
        "columns": struct((name, str(kind.as_read())) for name, kind in kinds if name in columns),
        "format": "'newline_delimited'",
        "records": "'true'",
        "auto_detect": "false",
        "compression": "'none'",
        "hive_partitioning": "false",
        "maximum_object_size": str(largest),
    }
    by_name = dict(kinds)
    selected = (f"{by_name[name].convert(identifier(name))} AS {identifier(name)}" for name in columns)
    return f"SELECT {', '.join(selected)} FROM {call('read_json', url, options)}"
