"""How values of a type are kept in states, so that they come back as they were: DuckDB's types are not all of Arrow's.

DuckDB gives times of s and ms as us, dates of ms as days, timestamps with a zone as UTC, views and large strings as
strings: those are cast back, and lose nothing. Durations it turns into intervals, so they are kept as microseconds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.numbers import plain
from shardwise.compute.exact.sql import quoted
from shardwise.data.buffers import is_valid


def storable(kind: pa.DataType) -> bool:
    """Whether values of the type can be kept, compared and given back unchanged."""
    kind, types = plain(kind), pa.types
    if types.is_duration(kind):
        return bool(kind.unit != "ns")
    if types.is_decimal(kind):
        return bool(kind.precision <= 38)
    return not (types.is_nested(kind) or types.is_float16(kind) or isinstance(kind, pa.ExtensionType))


STORABLE = "booleans, numbers, decimals (to 38 digits), text, bytes, dates, times, timestamps and durations (not of ns)"


def stored(column: str, kind: pa.DataType) -> str:
    """SQL of a column as it is kept: one zero, durations as integers. The one NaN comes with `one_nan`."""
    name, kind = quoted(column), plain(kind)
    if pa.types.is_float32(kind):
        return f"({name} + 0::FLOAT)"  # -0.0 + 0.0 is 0.0
    if pa.types.is_float64(kind):
        return f"({name} + 0::DOUBLE)"
    return f"epoch_us({name})" if pa.types.is_duration(kind) else name


def one_nan(sql: str, kind: pa.DataType) -> str:
    """The value with all NaNs made one; their signs and payloads depend on the machine."""
    if not pa.types.is_floating(plain(kind)):
        return sql
    return (
        f"CASE WHEN isnan({sql}) THEN 'nan'::{'FLOAT' if pa.types.is_float32(plain(kind)) else 'DOUBLE'} ELSE {sql} END"
    )


def restored(values: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Kept values in their Arrow type (a dictionary's values: as plain values)."""
    kind = plain(kind)
    array = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) and values.num_chunks else values
    if isinstance(array, pa.ChunkedArray):
        return pa.array([], kind)
    if array.type == kind:
        return array
    if pa.types.is_duration(kind):
        import pyarrow.compute as pc

        return pc.divide(array, 10**6 // {"s": 1, "ms": 10**3, "us": 10**6}[kind.unit]).cast(kind)
    return array.cast(kind)


def without_garbage(table: pa.Table) -> pa.Table:
    """The same table with zeros below its nulls, in one chunk: equal tables are then equal bytes."""
    columns = [_clean(column.combine_chunks()) for column in table.columns]
    return pa.table(columns, names=table.column_names).replace_schema_metadata(None)


def _clean(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_nested(array.type):
        return pa.array(array.to_pylist(), array.type)
    width = _width(array.type)
    if not array.null_count or not width:
        return array
    valid = is_valid(array)
    if pa.types.is_boolean(array.type):
        bits = np.unpackbits(np.frombuffer(array.buffers()[1], np.uint8), bitorder="little")
        bits = bits[array.offset : array.offset + len(array)] & valid
        packed = [pa.py_buffer(np.packbits(one, bitorder="little")) for one in (valid, bits)]
        return pa.Array.from_buffers(array.type, len(array), packed)
    cells = np.frombuffer(array.buffers()[1], np.uint8).reshape(-1, width)[array.offset : array.offset + len(array)]
    zeroed = np.where(valid[:, None], cells, np.uint8(0))
    bitmap = np.packbits(valid, bitorder="little")
    return pa.Array.from_buffers(array.type, len(array), [pa.py_buffer(bitmap), pa.py_buffer(zeroed)])


def _width(kind: pa.DataType) -> int:
    """Bytes of a value of fixed width (of booleans: 1), else 0: text has nothing below a null."""
    return 0 if kind.num_buffers != 2 else max(1, int(kind.bit_width) // 8)
