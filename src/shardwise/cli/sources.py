"""Sources as typed on the command line, opened as one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.api.dataset import Dataset
    from shardwise.cli.options import ReadOptions

SUFFIXES = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv", ".txt"),
    "ndjson": (".ndjson", ".jsonl"),
    "ipc": (".arrow", ".feather", ".ipc"),
    "npy": (".npy",),
}
_CSV_ONLY = ("delimiter", "header", "quote", "null_value", "decimal", "encoding")
_TEXT_ONLY = ("column",)


def open_sources(sources: Sequence[str], reading: ReadOptions, batch_rows: int | None) -> Dataset:
    """Open files, directories, globs and URLs as one dataset.

    Raises
    ------
    UsageError
        The format cannot be told, or an option does not belong to it.
    InputError
        Nothing is there, or it cannot be read.
    """
    kind = reading.format or _format_of(sources)
    options = _options(kind, sources, reading)
    if batch_rows is not None:
        options["batch_rows"] = batch_rows
    import shardwise as sw

    dataset: Dataset = getattr(sw, f"read_{kind}")(list(sources), **options)
    return dataset


def _format_of(sources: Sequence[str]) -> str:
    """The format that the suffixes of all files say."""
    from shardwise.data.paths import expand

    known = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}
    found: dict[str, str] = {}
    for file in expand(list(sources), tuple(known)):
        suffix = _suffix(file.url)
        if suffix not in known:
            raise UsageError(f"{file.url}: the name does not say the format", "say it: --format csv, parquet ...")
        found.setdefault(known[suffix], file.url)
    if len(found) > 1:
        listed = ", ".join(f"{kind} ({url})" for kind, url in found.items())
        raise UsageError(f"the sources have several formats: {listed}", "give files of one format, or --format")
    return next(iter(found))


def _suffix(url: str) -> str:
    from shardwise.data.paths import COMPRESSED_SUFFIXES

    name = url.lower().rpartition("/")[2]
    for packed in COMPRESSED_SUFFIXES:
        name = name.removesuffix(packed)
    return "." + name.rpartition(".")[2]


def _options(kind: str, sources: Sequence[str], reading: ReadOptions) -> dict[str, Any]:
    _refuse_strangers(kind, reading)
    options: dict[str, Any] = {}
    if kind == "csv":
        options |= _csv_options(reading)
        if "delimiter" not in options and all(_suffix(source) == ".tsv" for source in sources):
            options["delimiter"] = "\t"
    if reading.encoding is not None:
        options["encoding"] = reading.encoding
    if reading.column:
        options["schema"] = dict(_column_type(text) for text in reading.column)
    return options


def _refuse_strangers(kind: str, reading: ReadOptions) -> None:
    foreign = _CSV_ONLY + _TEXT_ONLY if kind not in ("csv", "ndjson") else _CSV_ONLY if kind == "ndjson" else ()
    for name in foreign:
        if getattr(reading, name) not in (None, ()):
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} says nothing about {kind} files", f"leave {flag} out, or say --format csv")


def _csv_options(reading: ReadOptions) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if reading.delimiter is not None:
        options["delimiter"] = "\t" if reading.delimiter in ("\\t", "tab") else reading.delimiter
    if reading.header is not None:
        options["header"] = reading.header
    if reading.quote is not None:
        options["quote"] = "" if reading.quote == "none" else reading.quote
    if reading.null_value:
        options["null_values"] = list(reading.null_value)
    if reading.decimal is not None:
        options["decimal"] = reading.decimal
    return options


def _column_type(text: str) -> tuple[str, str]:
    name, equals, kind = text.rpartition("=")
    if not equals or not name or not kind:
        raise UsageError(f"--column {text!r} does not say NAME=TYPE", "write for example --column 'zip=string'")
    return name, kind
