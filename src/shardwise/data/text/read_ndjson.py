"""``read_ndjson``: find the types of NDJSON files in their first records, and make the source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import duckdb
import pyarrow as pa

from shardwise.data.base import check_batch_rows
from shardwise.data.paths import Options, PathLike, expand
from shardwise.data.schema import check_names, choose, plain
from shardwise.data.source import BATCH_ROWS
from shardwise.data.text.encoding import codec_for
from shardwise.data.text.files import TextFile
from shardwise.data.text.heads import Head, first_records, mean_record_size
from shardwise.data.text.infer import SAMPLE_RECORDS, named_types
from shardwise.data.text.kinds import TEXT
from shardwise.data.text.misfit import find_misfit
from shardwise.data.text.ndjson_source import Kinds, NdjsonSource, ndjson_query, unparsable
from shardwise.data.text.ranges import Parser
from shardwise.data.text.records import UNQUOTED
from shardwise.data.text.source import fragment_of, step_for
from shardwise.data.text.sql import call
from shardwise.errors import InputError, UsageError

SUFFIXES = (".ndjson", ".jsonl", ".json")
_HEAD_BYTES = 64 << 10
_HEAD_THREADS = 16


def read_ndjson(
    paths: PathLike | Iterable[PathLike],
    *,
    schema: Mapping[str, str | pa.DataType] | pa.Schema | None = None,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: Options | None = None,
) -> NdjsonSource:
    """Read files of one JSON object a line (NDJSON, JSON Lines) with DuckDB's parser.

    Columns and types are found out once, from the first 10 000 records of the first file that has any, and hold for all
    files: a later value that does not fit is an error. A key that a record lacks is null. A key that none of the first
    records has is not read, unless ``schema`` names it.

    Parameters
    ----------
    paths : path, glob, directory, URL, or list of those
        Files ending in ``.gz``, ``.zst``, ``.bz2`` or ``.xz`` are decompressed, and read in order.
    schema : mapping of column to type, or pyarrow.Schema, optional
        Types (DuckDB's names or Arrow's) of some columns, or of columns that come later; a ``pyarrow.Schema`` is all
        the columns there are.
    columns : sequence of str, optional
        The columns to keep; all by default.
    batch_rows : int
        About how many rows a batch has: it holds the records that start within so many mean records' bytes.
    storage_options : dict, optional
        Options of the fsspec file system, for URLs.

    Raises
    ------
    InputError
        No file, no columns, or records that are not JSON objects.
    UsageError
        Types that are not known.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"name": "Taro", "tags": ["a", "b"]}\\n{"name": "Hana"}\\n')
    >>> source = read_ndjson(path)
    >>> [batch.data.to_pylist() for batch in source.read(0, 1)]
    [[{'name': 'Taro', 'tags': ['a', 'b']}, {'name': 'Hana', 'tags': None}]]
    """
    check_batch_rows(batch_rows)
    codec = codec_for("utf-8", b"\n")
    files = tuple(TextFile(info, codec, storage_options or {}) for info in expand(paths, SUFFIXES, storage_options))
    with ThreadPoolExecutor(min(len(files), _HEAD_THREADS)) as threads:
        heads = tuple(threads.map(_read_head, files))
    sample = next((number for number, head in enumerate(heads) if not head.blank), 0)
    with Parser() as parser:
        given = tuple((name, parser.kind(kind)) for name, kind in named_types(parser, schema).items())
        kinds = given if isinstance(schema, pa.Schema) else _infer(parser, files[sample], given)
        full = _arrow_schema(parser, kinds)
    check_names(files[sample].name, full)
    step = step_for(batch_rows, mean_record_size(files[sample], heads[sample], UNQUOTED))
    return NdjsonSource(
        fragments=tuple(fragment_of(file, head, step) for file, head in zip(files, heads, strict=True)),
        batch_rows=batch_rows,
        files=files,
        heads=heads,
        step=step,
        schema=choose(full, columns),
        kinds=kinds,
    )


def _read_head(file: TextFile) -> Head:
    """Where the first line starts, and whether any does."""
    offset, start = 0, None
    for chunk in file.chunks(_HEAD_BYTES):
        start = file.text_start(chunk) if start is None else start
        text = chunk[start:] if offset == 0 else chunk
        if text.strip():
            line = text.lstrip().partition(b"\n")[0]
            return Head(start, b"\r\n" if line.endswith(b"\r") else b"\n", None, False)
        offset += len(chunk)
    return Head(offset, b"\n", None, True)


def _infer(parser: Parser, file: TextFile, given: Kinds) -> Kinds:
    sample = first_records(file, UNQUOTED, SAMPLE_RECORDS, b"\n")
    found = _sniff(parser, file, sample) if sample.strip() else ()
    named = dict(given)
    later = tuple((name, kind) for name, kind in given if name not in dict(found))
    kinds = tuple((name, named.get(name, kind)) for name, kind in found) + later
    if not kinds:
        raise InputError(f"{file.name}: no record has any key.", "give the columns with schema={...}")
    return kinds


def _sniff(parser: Parser, file: TextFile, sample: bytes) -> Kinds:
    options = {
        "format": "'newline_delimited'",
        "records": "'true'",
        "sample_size": "-1",
        "compression": "'none'",
        "maximum_object_size": str(max(len(sample), 1 << 16)),
    }
    try:
        found = parser.kinds(lambda url: f"SELECT * FROM {call('read_json', url, options)}", sample)
        _check_keys(parser, file, sample)
    except duckdb.Error:
        _refuse_bad_lines(parser, file, sample)
        return ()  # objects without any key
    return found


def _refuse_bad_lines(parser: Parser, file: TextFile, sample: bytes) -> None:
    def parse(first: int, last: int, names: list[str], as_text: bool = False) -> pa.Table:
        query = partial(ndjson_query, (("key", TEXT),), columns=names, largest=max(len(sample), 1 << 16))
        return parser.table(query, sample[first:last])

    try:
        parse(0, len(sample), ["key"])
    except duckdb.Error:
        misfit = find_misfit(sample, UNQUOTED, b"\n", parse, ["key"])
        raise unparsable(replace(misfit, file=file.name)) from None


def _check_keys(parser: Parser, file: TextFile, sample: bytes) -> None:
    """DuckDB, which ignores case in names, would read one of two such keys as null."""
    objects = "SELECT DISTINCT unnest(json_keys(json)) AS key FROM read_ndjson_objects('{}', compression='none')"
    keys = parser.table(objects.format, sample)["key"].to_pylist()
    seen: dict[str, str] = {}
    for key in keys:
        other = seen.setdefault(key.lower(), key)
        if other != key:
            raise InputError(
                f"{file.name}: the keys {other!r} and {key!r} differ in case only.",
                "rename one of them, or give the columns to read as a pyarrow.Schema",
            )


def _arrow_schema(parser: Parser, kinds: Kinds) -> pa.Schema:
    names = [name for name, _ in kinds]
    try:
        return plain(parser.table(lambda url: ndjson_query(kinds, url, names, 1 << 16), b"").schema)
    except duckdb.Error as error:
        raise UsageError(
            f"these types cannot be read: { {name: str(kind) for name, kind in kinds} }: {str(error).splitlines()[0]}",
            "give DuckDB's types, such as 'BIGINT', 'VARCHAR[]' or 'STRUCT(a BIGINT)'",
        ) from error
