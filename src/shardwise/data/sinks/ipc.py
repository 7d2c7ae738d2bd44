"""Arrow IPC files: one record batch for each batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shardwise.data.sinks.writer import Target, Writer, decoded
from shardwise.data.source import Kind
from shardwise.errors import UsageError

COMPRESSIONS = ("none", "zstd", "lz4")


@dataclass(frozen=True, slots=True)
class IpcSink:
    """Arrow IPC, uncompressed unless a codec is named, so that files can be mapped."""

    compression: str = "none"
    suffix: str = ".arrow"
    kind: Kind = "table"

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise UsageError(f"IPC has no compression {self.compression!r}", f"choose from {', '.join(COMPRESSIONS)}")

    def check(self, schema: pa.Schema) -> None:
        """Every type can be written."""

    def open(self, target: Target, schema: pa.Schema) -> IpcFileWriter:
        """Begin a file."""
        return IpcFileWriter(target, decoded(schema), self.compression)


class IpcFileWriter(Writer):
    """Writes record batches."""

    def __init__(self, target: Target, schema: pa.Schema, compression: str) -> None:
        super().__init__(target)
        self._schema = schema
        options = pa.ipc.IpcWriteOptions(
            metadata_version=pa.ipc.MetadataVersion.V5,
            compression=None if compression == "none" else compression,
            use_threads=False,
        )
        self._ipc = pa.ipc.new_file(pa.PythonFile(self.file, mode="w"), schema, options=options)

    def _append(self, batch: pa.Table) -> None:
        columns = [canonical(_one_array(column)) for column in batch.cast(self._schema).columns]
        self._ipc.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _finish(self) -> None:
        self._ipc.close()


def canonical(array: pa.Array) -> pa.Array:
    """Copy an array so that equal arrays have equal buffers: what lies under nulls or around a slice is cleared."""
    if pa.types.is_struct(array.type):
        fields = [canonical(child) for child in array.flatten()]
        return pa.StructArray.from_arrays(fields, fields=list(array.type), mask=array.is_null())
    return array.take(pa.array(np.arange(len(array))))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
