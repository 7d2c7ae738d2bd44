"""CSV files as RFC 4180 has them, with a header."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shardwise.data.sinks.writer import Target, Writer, decoded, refuse
from shardwise.data.source import Kind

_OPTIONS = {"include_header": True, "delimiter": ",", "quoting_style": "needed", "batch_size": 1024}
_FIX = "write Parquet or NDJSON, or turn it into text first"


@dataclass(frozen=True, slots=True)
class CsvSink:
    """CSV in UTF-8, a line feed after each record.

    Text is quoted, so that empty text (``""``) differs from null (nothing). Floats have the fewest digits that read
    back as the same number; ``nan``, ``inf`` and ``-inf`` are written so. Times with a zone end with ``Z`` or an
    offset. In a file of one column null is ``""`` too, because readers skip empty lines.
    """

    suffix: str = ".csv"
    kind: Kind = "table"

    def check(self, schema: pa.Schema) -> None:
        """Refuse columns that are nested or bytes."""
        for field in decoded(schema):
            if pa.types.is_nested(field.type) or _is_bytes(field.type) or isinstance(field.type, pa.BaseExtensionType):
                raise refuse(field.name, field.type, "CSV", _FIX)

    def open(self, target: Target, schema: pa.Schema) -> CsvFileWriter:
        """Begin a file."""
        self.check(schema)
        return CsvFileWriter(target, pa.schema([_written(field) for field in decoded(schema)]))


class CsvFileWriter(Writer):
    """Writes records."""

    def __init__(self, target: Target, schema: pa.Schema) -> None:
        super().__init__(target)
        self._schema = pa.schema([pa.field(schema.names[0], pa.string())]) if len(schema) == 1 else schema
        options = pyarrow.csv.WriteOptions(**_OPTIONS)
        self._csv = pyarrow.csv.CSVWriter(pa.PythonFile(self.file, mode="w"), self._schema, write_options=options)

    def _append(self, batch: pa.Table) -> None:
        table = batch.cast(self._schema)
        if len(self._schema) == 1:
            table = pa.table([pc.fill_null(table.column(0), "")], schema=self._schema)
        self._csv.write_table(table.combine_chunks())

    def _finish(self) -> None:
        self._csv.close()


def _written(field: pa.Field) -> pa.Field:
    return pa.field(field.name, pa.large_string()) if field.type == pa.string_view() else field


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or kind == pa.binary_view()
    )
