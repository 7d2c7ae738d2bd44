"""Writing batches as files: Parquet, CSV, NDJSON, Arrow IPC, NumPy. The bytes depend on the batches alone."""

from __future__ import annotations

from shardwise.data.sinks.csv import CsvSink
from shardwise.data.sinks.ipc import IpcSink
from shardwise.data.sinks.ndjson import NdjsonSink
from shardwise.data.sinks.npy import NpySink
from shardwise.data.sinks.parquet import ParquetSink
from shardwise.data.sinks.writer import Sink, Writer
from shardwise.errors import UsageError

FORMATS: dict[str, type[ParquetSink] | type[CsvSink] | type[NdjsonSink] | type[IpcSink] | type[NpySink]] = {
    "parquet": ParquetSink,
    "csv": CsvSink,
    "ndjson": NdjsonSink,
    "ipc": IpcSink,
    "npy": NpySink,
}


def sink(format: str, compression: str | None = None) -> Sink:  # noqa: A002
    """Choose how to write.

    Parameters
    ----------
    format : str
        ``"parquet"``, ``"csv"``, ``"ndjson"``, ``"ipc"`` or ``"npy"``.
    compression : str, optional
        For Parquet ``"zstd"`` (the default), ``"snappy"``, ``"gzip"``, ``"lz4"`` or ``"none"``; for IPC ``"none"``
        (the default), ``"zstd"`` or ``"lz4"``.

    Returns
    -------
    Sink

    Raises
    ------
    UsageError
        If there is no such format, or it has no such compression.

    Examples
    --------
    >>> sink("parquet").suffix
    '.parquet'
    """
    if format not in FORMATS:
        raise UsageError(f"no output format {format!r}", f"choose from {', '.join(FORMATS)}")
    kind = FORMATS[format]
    if kind is ParquetSink or kind is IpcSink:
        return kind(compression) if compression is not None else kind()
    if compression is not None:
        raise UsageError(f"{format} has no compression option", "leave it out, or write Parquet")
    return kind()


__all__ = ["FORMATS", "CsvSink", "IpcSink", "NdjsonSink", "NpySink", "ParquetSink", "Sink", "Writer", "sink"]
