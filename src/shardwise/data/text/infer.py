"""What a CSV file does not say: delimiter, header, and types, found by DuckDB's sniffer in its first records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa

from shardwise.data.text.csv_source import csv_prefix, csv_query
from shardwise.data.text.dialect import DELIMITERS, Dialect
from shardwise.data.text.files import TextFile
from shardwise.data.text.heads import Head, first_records, read_head
from shardwise.data.text.misfit import find_misfit
from shardwise.data.text.ranges import Parser
from shardwise.data.text.sql import call
from shardwise.errors import InputError, UsageError

SAMPLE_RECORDS = 10_000
Types = tuple[tuple[str, str], ...]


def named_types(parser: Parser, schema: Mapping[str, str | pa.DataType] | pa.Schema | None) -> dict[str, str]:
    """Write the types that a person gave in DuckDB's words. Raises UsageError."""
    if schema is None:
        return {}
    pairs = [(field.name, field.type) for field in schema] if isinstance(schema, pa.Schema) else list(schema.items())
    arrow = pa.schema([(name, kind) for name, kind in pairs if isinstance(kind, pa.DataType)])
    try:
        translated = parser.types(arrow) if len(arrow) else {}
        return {name: translated.get(name) or parser.type_name(str(kind)) for name, kind in pairs}
    except duckdb.Error as error:
        raise UsageError(
            f"schema {dict(pairs)} has a type that is not known: {str(error).splitlines()[0]}",
            "give DuckDB's types, such as 'BIGINT' or 'DECIMAL(10,2)', or pyarrow's",
        ) from error


def infer_dialect(parser: Parser, files: Sequence[TextFile], dialect: Dialect) -> Dialect:
    """Find delimiter and header, where they were not given, in the first file that is not blank."""
    if dialect.delimiter is not None and dialect.header is not None:
        return dialect
    file = next((file for file in files if not read_head(file, dialect.rules, False).blank), None)
    if file is None:
        return replace(dialect, delimiter=dialect.delimiter or ",", header=dialect.header or False)
    sample = first_records(file, dialect.rules, SAMPLE_RECORDS)
    head = read_head(file, dialect.rules, False)
    found = _sniff(parser, dialect, sample)
    likely = dialect.delimiter or _likely_delimiter(sample, dialect.quote)
    if found is None or (len(found["Columns"]) == 1 and likely and found["Delimiter"] != likely):
        raise _unreadable(parser, file, replace(dialect, delimiter=likely or ",", header=True), head.newline, sample)
    header = found["HasHeader"] if dialect.header is None else dialect.header
    return replace(dialect, delimiter=dialect.delimiter or found["Delimiter"], header=header)


def infer_types(
    parser: Parser, file: TextFile, head: Head, dialect: Dialect, given: Mapping[str, str], complete: bool
) -> tuple[Dialect, Types]:
    """Name and type all columns: as given (``complete``: for all of them, in order), or as the sniffer says."""
    if complete and not dialect.header:
        return dialect, tuple(given.items())
    if head.header is not None and set(head.header) == set(given) and len(head.header) == len(given):
        return dialect, tuple((name, given[name]) for name in head.header)
    if head.blank:
        if given:
            return dialect, tuple(given.items())
        raise InputError(f"{file.name}: there is neither a header nor a record.", "give the columns with schema={...}")
    sample = first_records(file, dialect.rules, SAMPLE_RECORDS + bool(dialect.header))
    found = _sniff(parser, dialect, sample)
    if found is None:
        raise _unreadable(parser, file, dialect, head.newline, sample)
    types = tuple((column["name"], column["type"]) for column in found["Columns"])
    if not dialect.header and given and len(given) == len(types) and not set(given) & {name for name, _ in types}:
        return dialect, tuple(given.items())
    unknown = [name for name in given if name not in dict(types)]
    if unknown:
        raise UsageError(
            f"schema names the column {unknown[0]!r}, which {file.name} does not have.",
            f"choose from {', '.join(name for name, _ in types)}",
        )
    dialect = replace(dialect, date_format=found["DateFormat"], timestamp_format=found["TimestampFormat"])
    return dialect, tuple((name, given.get(name, kind)) for name, kind in types)


def _sniff(parser: Parser, dialect: Dialect, sample: bytes) -> dict[str, Any] | None:
    """The sniffer's only row, or None where it finds no dialect."""
    largest = str(max(len(sample), 1 << 16))
    options = {**dialect.options(), "sample_size": "-1", "max_line_size": f"'{largest}'", "buffer_size": largest}
    try:
        rows = parser.table(lambda url: f"SELECT * FROM {call('sniff_csv', url, options)}", sample).to_pylist()
    except duckdb.Error:
        return None
    return dict(rows[0])


def _unreadable(parser: Parser, file: TextFile, dialect: Dialect, newline: bytes, sample: bytes) -> InputError:
    """Say which of the first records is not like the others."""
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        line = sample.count(b"\n", 0, error.start) + 1
        return InputError(
            f"{file.name}: the byte {sample[error.start]:02x} in line {line} is not UTF-8.",
            'give the encoding that the file was written in, such as encoding="cp932"',
        )
    fields = first_records(file, dialect.rules, 1)
    width = _width(parser, dialect, fields)
    types = tuple((f"column{number}", "VARCHAR") for number in range(width))
    names = [name for name, _ in types]
    prefix = csv_prefix(dialect, width, newline)

    def parse(first: int, last: int, names: list[str], as_text: bool = False) -> pa.Table:
        part = prefix + sample[first:last]
        return parser.table(lambda url: csv_query(dialect, types, url, names, max(len(part), 1 << 16)), part)

    fix = "mend it, or say how the file is written: delimiter=, quote=, escape=, header=, encoding="
    try:
        parse(0, len(sample), names)
    except duckdb.Error:
        misfit = find_misfit(sample, dialect.rules, newline[-1:], parse, names)
        return InputError(
            f"{file.name}: the record that starts in line {misfit.line} does not fit the {width} columns of the first "
            f"one with delimiter {dialect.delimiter!r}: {misfit.text!r}.",
            fix,
        )
    return InputError(f"{file.name}: it cannot be found out how its first records are written.", fix)


def _width(parser: Parser, dialect: Dialect, record: bytes) -> int:
    alone = replace(dialect, header=False)
    found = _sniff(parser, alone, record)
    return len(found["Columns"]) if found else 1


def _likely_delimiter(sample: bytes, quote: str) -> str | None:
    """The delimiter that the first line has most of. Where it has any, the sniffer's answer "one column" is a guess."""
    line = sample.split(b"\n", 1)[0].decode("utf-8", "replace")
    first = "".join(line.split(quote)[::2]) if quote else line  # what stands outside quotes
    likely = max(DELIMITERS, key=first.count)
    return likely if likely in first else None
