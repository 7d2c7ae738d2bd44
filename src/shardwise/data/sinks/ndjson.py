"""NDJSON files: one JSON object (RFC 8259) on each line."""

from __future__ import annotations

import json
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from shardwise.data.sinks.writer import Target, Writer, decoded, refuse
from shardwise.data.source import Kind

_FIX = "write Parquet, or turn it into text or numbers first"


@dataclass(frozen=True, slots=True)
class NdjsonSink:
    """NDJSON in UTF-8, keys in the order of the columns.

    Nulls are written as null. JSON has no NaN and no infinities: they are the texts ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``, and bytes are base64, both as the JSON mapping of Protocol Buffers has them. Other floats have the
    fewest digits that read back as the same number; decimals keep all of theirs. Dates and times are ISO 8601, in UTC
    with ``Z`` where they have a zone. Maps are objects, their keys text.
    """

    suffix: str = ".ndjson"
    kind: Kind = "table"

    def check(self, schema: pa.Schema) -> None:
        """Refuse durations, extension types and numbers that DuckDB does not know."""
        for number, field in enumerate(decoded(schema)):
            if json_sql(f"c{number}", _readable(field.type)) is None:
                raise refuse(field.name, field.type, "NDJSON", _FIX)

    def open(self, target: Target, schema: pa.Schema) -> NdjsonFileWriter:
        """Begin a file."""
        self.check(schema)
        return NdjsonFileWriter(target, decoded(schema))


class NdjsonFileWriter(Writer):
    """Lets DuckDB write the text of each line, and passes its buffer on as it is."""

    def __init__(self, target: Target, schema: pa.Schema) -> None:
        super().__init__(target)
        self._types = pa.schema([pa.field(f"c{n}", _readable(field.type)) for n, field in enumerate(schema)])
        pairs = [
            f"{_text(json.dumps(name, ensure_ascii=False) + ':')} || {json_sql(field.name, field.type)}"
            for name, field in zip(schema.names, self._types)
        ]
        joined = " || ',' || ".join(pairs) or "''"
        self._sql = f"SELECT '{{' || {joined} || '}}' || chr(10) AS line FROM batch"
        self._con = duckdb.connect(config={"threads": 1, "arrow_large_buffer_size": True})

    def _append(self, batch: pa.Table) -> None:
        table = batch.rename_columns(self._types.names).cast(self._types) if len(self._types) else _rows_only(batch)
        self._con.register("batch", table)
        for chunk in self._con.sql(self._sql).to_arrow_table().column(0).chunks:
            _, offsets, text = chunk.buffers()
            bounds = memoryview(offsets).cast("q")[chunk.offset : chunk.offset + len(chunk) + 1]
            self.file.write(memoryview(text)[bounds[0] : bounds[-1]])
        self._con.unregister("batch")

    def _finish(self) -> None:
        self._con.close()

    def _abandon(self) -> None:
        self._con.close()


def json_sql(value: str, kind: pa.DataType, depth: int = 0) -> str | None:
    """Write an SQL expression for the JSON text of ``value``, never NULL; None where a type has no form."""
    text = _scalar_sql(value, kind) if not pa.types.is_nested(kind) else _nested_sql(value, kind, depth)
    return text and f"CASE WHEN {value} IS NULL THEN 'null' ELSE {text} END"


def _scalar_sql(value: str, kind: pa.DataType) -> str | None:
    is_type = pa.types
    if is_type.is_null(kind):
        return "'null'"
    if is_type.is_boolean(kind) or is_type.is_integer(kind) or (is_type.is_decimal(kind) and kind.bit_width <= 128):
        return f"{value}::VARCHAR"
    if is_type.is_floating(kind) and kind != pa.float16():
        special = f"WHEN isnan({value}) THEN '\"NaN\"' WHEN isinf({value}) AND {value} > 0 THEN '\"Infinity\"'"
        return f"CASE {special} WHEN isinf({value}) THEN '\"-Infinity\"' ELSE {value}::VARCHAR END"
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return f"to_json({value})::VARCHAR"
    if kind in (pa.binary(), pa.large_binary(), pa.binary_view()) or is_type.is_fixed_size_binary(kind):
        return f"'\"' || base64({value}) || '\"'"
    if is_type.is_date(kind) or is_type.is_time(kind):
        return f"'\"' || {value}::VARCHAR || '\"'"
    return _timestamp_sql(value, kind) if is_type.is_timestamp(kind) else None


def _timestamp_sql(value: str, kind: pa.DataType) -> str:
    if kind.tz is None:
        return f"'\"' || replace({value}::VARCHAR, ' ', 'T') || '\"'"
    utc = f"make_timestamp_ns(epoch_ns({value}))" if kind.unit == "ns" else f"make_timestamp(epoch_us({value}))"
    return f"'\"' || replace({utc}::VARCHAR, ' ', 'T') || 'Z\"'"


def _nested_sql(value: str, kind: pa.DataType, depth: int) -> str | None:
    item = f"e{depth}"
    if pa.types.is_struct(kind):
        fields = [(kind.field(i).name, kind.field(i).type) for i in range(kind.num_fields)]
        parts = [(name, json_sql(f"{value}.{_name(name)}", child, depth)) for name, child in fields]
        if not parts or any(sql is None for _, sql in parts):
            return None
        pairs = [f"{_text(json.dumps(name, ensure_ascii=False) + ':')} || {sql}" for name, sql in parts]
        return f"'{{' || {' || chr(44) || '.join(pairs)} || '}}'"
    if pa.types.is_map(kind):
        inner = json_sql(f"{item}.value", kind.item_type, depth + 1)
        pair = f"to_json({item}.key::VARCHAR)::VARCHAR || ':' || {inner}"
        return inner and _joined(f"map_entries({value})", item, pair, "{}")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = json_sql(item, kind.value_type, depth + 1)
        return inner and _joined(value, item, inner, "[]")
    return None


def _joined(items: str, item: str, text: str, brackets: str) -> str:
    joined = f"coalesce(array_to_string(list_transform({items}, lambda {item}: {text}), ','), '')"
    return f"'{brackets[0]}' || {joined} || '{brackets[1]}'"


def _readable(kind: pa.DataType) -> pa.DataType:
    """Give the type under which DuckDB can take a column from Arrow."""
    return pa.float32() if kind == pa.float16() else kind


def _rows_only(batch: pa.Table) -> pa.Table:
    return pa.table({"rows": pa.nulls(len(batch))})


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
