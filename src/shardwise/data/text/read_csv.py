"""``read_csv``: find out how CSV files are written, see that all agree, and make the source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import duckdb
import pyarrow as pa

from shardwise.data.base import check_batch_rows
from shardwise.data.paths import Options, PathLike, expand
from shardwise.data.schema import check_names, choose, plain
from shardwise.data.source import BATCH_ROWS
from shardwise.data.text.csv_source import CsvSource, csv_prefix, csv_query
from shardwise.data.text.dialect import Dialect, check_dialect
from shardwise.data.text.encoding import codec_for
from shardwise.data.text.files import TextFile
from shardwise.data.text.heads import Head, first_records, mean_record_size, read_head
from shardwise.data.text.infer import Types, infer_dialect, infer_types, named_types
from shardwise.data.text.ranges import Parser
from shardwise.data.text.source import fragment_of, step_for
from shardwise.errors import InputError, UsageError

SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
_HEAD_THREADS = 16


def read_csv(
    paths: PathLike | Iterable[PathLike],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    quote: str | None = '"',
    escape: str | None = None,
    null_values: str | Sequence[str] = ("",),
    decimal: str = ".",
    encoding: str = "utf-8",
    schema: Mapping[str, str | pa.DataType] | pa.Schema | None = None,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: Options | None = None,
) -> CsvSource:
    """Read CSV files with DuckDB's strict parser.

    Delimiter, header and types are found out once, from the first 10 000 records of the first file that has any, and
    hold for all files: a later value that does not fit is an error, never another value.

    Parameters
    ----------
    paths : path, glob, directory, URL, or list of those
        Files ending in ``.gz``, ``.zst``, ``.bz2`` or ``.xz`` are decompressed, and read in order.
    delimiter : str, optional
        One ASCII character; found out where it is not given.
    header : bool, optional
        Whether the first record of each file names the columns; found out where it is not given.
    quote, escape : str or None
        Characters that quote a field, and that escape a quote in it (by default the quote itself).
    null_values : sequence of str
        Fields that are null, quoted or not.
    decimal : {".", ","}
        The decimal point.
    encoding : str
        Any text encoding that Python knows.
    schema : mapping of column to type, or pyarrow.Schema, optional
        Types (DuckDB's names or Arrow's) of some or all columns; where there is no header, one of all columns names
        them.
    columns : sequence of str, optional
        The columns to keep; all by default.
    batch_rows : int
        About how many rows a batch has: it holds the records that start within so many mean records' bytes.
    storage_options : dict, optional
        Options of the fsspec file system, for URLs.

    Raises
    ------
    InputError
        No file, no columns, or files whose headers differ.
    UsageError
        Options that contradict each other, or the files.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("name,age\\nTaro,20\\nHana,30\\n")
    >>> source = read_csv(path)
    >>> [batch.data.to_pylist() for batch in source.read(0, 1)]
    [[{'name': 'Taro', 'age': 20}, {'name': 'Hana', 'age': 30}]]
    """
    check_batch_rows(batch_rows)
    dialect = check_dialect(delimiter, quote, escape, header, null_values, decimal, encoding)
    infos = expand(paths, SUFFIXES, storage_options)
    codec = codec_for(encoding, dialect.special)
    files = tuple(TextFile(info, codec, storage_options or {}) for info in infos)
    with Parser() as parser:
        given = named_types(parser, schema)
        dialect = infer_dialect(parser, files, dialect)
        codec = codec_for(encoding, dialect.special)
        files = tuple(replace(file, codec=codec) for file in files)
        heads = _read_heads(files, dialect)
        _check_headers(files, heads)
        sample = _first_with_rows(files, heads, dialect)
        complete = isinstance(schema, pa.Schema)
        dialect, types = infer_types(parser, files[sample], heads[sample], dialect, given, complete)
        full = _arrow_schema(parser, dialect, types)
    check_names(files[sample].name, full)
    step = step_for(batch_rows, mean_record_size(files[sample], heads[sample], dialect.rules))
    return CsvSource(
        fragments=tuple(fragment_of(file, head, step) for file, head in zip(files, heads, strict=True)),
        batch_rows=batch_rows,
        files=files,
        heads=heads,
        step=step,
        schema=choose(full, columns),
        dialect=dialect,
        types=types,
    )


def _read_heads(files: Sequence[TextFile], dialect: Dialect) -> tuple[Head, ...]:
    with ThreadPoolExecutor(min(len(files), _HEAD_THREADS)) as threads:
        return tuple(threads.map(lambda file: read_head(file, dialect.rules, dialect.header is True), files))


def _check_headers(files: Sequence[TextFile], heads: Sequence[Head]) -> None:
    """All files must have the columns of the first one, in the same order."""
    found = [(file.name, head.header) for file, head in zip(files, heads, strict=True) if head.header is not None]
    for name, header in found[1:]:
        first_name, first = found[0]
        if header == first:
            continue
        missing = [column for column in first if column not in header]
        extra = [column for column in header if column not in first]
        if missing or extra:
            lacks = f"lacks column {missing[0]!r}" if missing else f"has the extra column {extra[0]!r}"
            raise InputError(
                f"{name}: its header {lacks} compared with {first_name}: {list(header)} instead of {list(first)}.",
                "make the headers equal, read the files apart, or give header=False if there are none",
            )
        raise InputError(
            f"{name}: its columns {list(header)} are in another order than in {first_name}, {list(first)}.",
            "put them in the same order, or read the files apart",
        )


def _first_with_rows(files: Sequence[TextFile], heads: Sequence[Head], dialect: Dialect) -> int:
    """The first file that has more than a header; failing that, more than nothing."""
    for number, (file, head) in enumerate(zip(files, heads, strict=True)):
        if not head.blank and (file.in_order or head.start < file.info.size):
            text = first_records(file, dialect.rules, 2)
            if not dialect.header or text.strip(b"\r\n").count(head.newline) > 0:
                return number
    return next((number for number, head in enumerate(heads) if not head.blank), 0)


def _arrow_schema(parser: Parser, dialect: Dialect, types: Types) -> pa.Schema:
    text = csv_prefix(dialect, len(types), b"\n")
    names = [name for name, _ in types]
    try:
        return plain(parser.table(lambda url: csv_query(dialect, types, url, names, 1 << 16), text).schema)
    except duckdb.Error as error:
        raise UsageError(
            f"these types cannot be read: {dict(types)}: {str(error).splitlines()[0]}",
            "give DuckDB's types, such as 'BIGINT', 'DOUBLE', 'DATE' or 'VARCHAR'",
        ) from error
