"""Parquet files: one row group for each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shardwise.data.sinks.writer import Target, Writer, decoded, refuse
from shardwise.data.source import Kind
from shardwise.errors import UsageError

COMPRESSIONS = ("zstd", "snappy", "gzip", "lz4", "none")

# Spelled out although most are defaults: another release of PyArrow must not change what is written.
_PINNED: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "data_page_size": 1 << 20,
    "dictionary_pagesize_limit": 1 << 20,
    "write_batch_size": 1024,
    "use_dictionary": True,
    "write_statistics": True,
    "write_page_index": False,
    "write_page_checksum": False,
    "use_compliant_nested_type": True,
    "store_schema": True,
    "use_deprecated_int96_timestamps": False,
}
_ZSTD_LEVEL = 3


@dataclass(frozen=True, slots=True)
class ParquetSink:
    """Parquet, compressed with zstd at level 3 unless another codec is named."""

    compression: str = "zstd"
    suffix: str = ".parquet"
    kind: Kind = "table"

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise UsageError(
                f"Parquet has no compression {self.compression!r}", f"choose from {', '.join(COMPRESSIONS)}"
            )

    def check(self, schema: pa.Schema) -> None:
        """Refuse structs without fields."""
        for field in schema:
            if pa.types.is_struct(field.type) and not field.type.num_fields:
                raise refuse(field.name, field.type, "Parquet", "drop the column, or write NDJSON")

    def open(self, target: Target, schema: pa.Schema) -> ParquetFileWriter:
        """Begin a file."""
        self.check(schema)
        return ParquetFileWriter(target, decoded(schema), self.compression)


class ParquetFileWriter(Writer):
    """Writes row groups."""

    def __init__(self, target: Target, schema: pa.Schema, compression: str) -> None:
        super().__init__(target)
        self._schema = schema
        level = _ZSTD_LEVEL if compression == "zstd" else None
        self._parquet = pq.ParquetWriter(
            pa.PythonFile(self.file, mode="w"), schema, compression=compression, compression_level=level, **_PINNED
        )

    def _append(self, batch: pa.Table) -> None:
        # In one chunk: where chunks end would decide where pages end.
        table = batch.cast(self._schema).combine_chunks()
        self._parquet.write_table(table, row_group_size=len(table))

    def _finish(self) -> None:
        self._parquet.close()

    def _abandon(self) -> None:
        self._parquet.is_open = False  # its destructor would write a footer
