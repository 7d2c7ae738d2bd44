"""CSV files as a source."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from shardwise.data.text.dialect import Dialect
from shardwise.data.text.misfit import Misfit, first_match
from shardwise.data.text.records import QuoteRules, mixes_newlines
from shardwise.data.text.source import TextSource
from shardwise.data.text.sql import call, identifier, literal, struct
from shardwise.data.text.strict import checked_column, is_checked
from shardwise.errors import InputError

_SENTENCES = {
    r"Expected Number of Columns: (\d+) Found: (\d+)": "has {1} fields where {0} are expected",
    r"unterminated quote": "has a quote that is not closed, or text after a closing quote",
    r"invalid state": "mixes kinds of newlines, or has a quote that is not closed or text after a closing quote",
    r"(?i)invalid unicode|not utf-8": "is not UTF-8",
    r"(the bytes .+ are not \S+ text)": "has what cannot be decoded: {0}",
    r"Maximum line size of (\d+)": "is longer than {0} bytes",
}


@dataclass(frozen=True, kw_only=True)
class CsvSource(TextSource):
    """CSV files of one dialect and one schema. ``types`` are DuckDB's, of all columns in the order of the files."""

    dialect: Dialect
    types: tuple[tuple[str, str], ...]

    @property
    def rules(self) -> QuoteRules:
        """What is quoted."""
        return self.dialect.rules

    @property
    def counts_blank_lines(self) -> bool:
        """An empty line is an empty value where there is but one column."""
        return len(self.types) == 1

    def prefix(self, newline: bytes) -> bytes:
        """A header line: what follows it is parsed as the middle of a file, without regard to byte order marks."""
        return csv_prefix(self.dialect, len(self.types), newline)

    def query(self, url: str, columns: list[str], largest: int) -> str:
        """SQL of DuckDB's own reader, strict, on one thread for each text."""
        return csv_query(self.dialect, self.types, url, columns, largest)

    def check_newlines(self, text: bytes, newline: bytes, starts_file: bool) -> None:
        """DuckDB 2.0 refuses most mixtures, reads some, and loses records of others. Any newline may come first."""
        if starts_file and text.startswith((b"\r", b"\n")) and not text.startswith(newline):
            text = text[1:]
        if mixes_newlines(text, newline, self.rules):
            raise InputError("invalid state: another kind of newline.", "write all newlines alike")

    def as_text(self) -> CsvSource:
        """The same source with all columns as VARCHAR."""
        return replace(self, types=tuple((name, "VARCHAR") for name, _ in self.types))

    def describe(self, misfit: Misfit) -> InputError:
        """Name the value and column where a value does not fit, and what is wrong with the record otherwise."""
        if misfit.column is not None:
            kind = dict(self.types)[misfit.column]
            return InputError(
                f"{misfit.where}, column {misfit.column!r}: the value {misfit.value!r} is not {kind}.",
                f"read the column as text, schema={{{misfit.column!r}: 'VARCHAR'}} (or another type that fits), "
                "or mend the record",
            )
        what = first_match(_SENTENCES, misfit.reason) or f"cannot be parsed: {misfit.reason.splitlines()[0]}"
        return InputError(f"{misfit.where} {what}: {misfit.text!r}.", self._fix(what))

    def options(self) -> dict[str, Any]:
        """The dialect and the types."""
        return {"format": "csv", **asdict(self.dialect), "types": [list(pair) for pair in self.types]}

    def _fix(self, what: str) -> str:
        if "UTF-8" in what or "decoded" in what:
            return 'give the encoding that the file was written in, such as encoding="cp932"'
        if "quote" in what:
            return "mend the record, or give quote=None where the file quotes nothing"
        return f"mend the record, or give the delimiter if it is not {self.dialect.delimiter!r}"


def csv_prefix(dialect: Dialect, columns: int, newline: bytes) -> bytes:
    """A header line of so many columns."""
    delimiter = (dialect.delimiter or ",").encode()
    return delimiter.join([b"x"] * columns) + newline


def csv_query(dialect: Dialect, types: tuple[tuple[str, str], ...], url: str, columns: list[str], largest: int) -> str:
    """SQL that parses texts which start with ``csv_prefix`` and are no longer than ``largest``."""
    read = tuple((name, "VARCHAR" if _is_text_first(dialect, kind) else kind) for name, kind in types)
    kinds = dict(types)
    options = {
        **dialect.options(),
        "header": "true",
        "columns": struct(read),
        "auto_detect": "false",
        "null_padding": "false",
        "parallel": "false",
        "hive_partitioning": "false",
        "max_line_size": literal(str(largest)),
        "buffer_size": str(largest),
    }
    selected = [
        checked_column(name, kinds[name]) if _is_text_first(dialect, kinds[name]) else identifier(name)
        for name in columns
    ]
    return f"SELECT {', '.join(selected)} FROM {call('read_csv', url, options)}"


def _is_text_first(dialect: Dialect, kind: str) -> bool:
    """Where a format is known, DuckDB insists on it; its words for true and false are its own."""
    given = {"DATE": dialect.date_format, "TIMESTAMP": dialect.timestamp_format}.get(kind)
    return is_checked(kind) and kind != "BOOLEAN" and not given
