"""SQL with which DuckDB itself reads rows of Parquet files, where it gives what PyArrow gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from shardwise.data.source import POSITION

ROW_NUMBER = "file_row_number"

# DuckDB takes bounds from Parquet statistics, which leave NaN out; unless told that NaN may be there, its max(x) and
# x > 5 are wrong. A path such as k=1/f.parquet must not add a column k.
_OPTIONS = "can_have_nan=true, hive_partitioning=false, union_by_name=false"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows [start, stop) of one file; ``whole`` where they are all it has."""

    fragment: int
    path: str
    start: int
    stop: int
    whole: bool


def column_sql(name: str, kind: pa.DataType) -> str | None:
    """Write the expression that gives a column as DuckDB takes it from Arrow; None where there is none."""
    if kind in (pa.timestamp("s"), pa.timestamp("ms")):
        return f"CAST({quoted(name)} AS TIMESTAMP_MS) AS {quoted(name)}"
    return quoted(name) if _same_in_duckdb(kind) else None


def scan_sql(parts: list[Rows], expressions: list[str], positions: bool) -> str:
    """Write a SELECT of these rows: one read for all whole files where no positions are wanted, else one a file."""
    if positions:
        return _union(_one_file(part, [*expressions, position_sql(part.fragment)]) for part in parts)
    whole = [part for part in parts if part.whole]
    selects = [_one_file(part, expressions) for part in parts if not part.whole]
    if whole:
        selects.append(f"SELECT {', '.join(expressions)} FROM {_reader([part.path for part in whole])}")
    return _union(selects)


def position_sql(fragment: int) -> str:
    """Write the position of a row: in one file its number orders rows as (batch, row in batch) does."""
    return f"({fragment}::BIGINT << 43) + {ROW_NUMBER}::BIGINT AS {POSITION}"


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _union(selects: Iterable[str]) -> str:
    return " UNION ALL ".join(selects)


def _one_file(part: Rows, expressions: list[str]) -> str:
    select = f"SELECT {', '.join(expressions)} FROM {_reader([part.path])}"
    if part.whole:
        return select
    return f"{select} WHERE {ROW_NUMBER} >= {part.start} AND {ROW_NUMBER} < {part.stop}"


def _reader(paths: list[str]) -> str:
    literals = ", ".join("'" + _no_glob(path).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{literals}], {_OPTIONS})"


def _no_glob(path: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", path)


def _same_in_duckdb(kind: pa.DataType) -> bool:
    """Whether DuckDB's types and values are the same from Parquet and from Arrow. Found by trying every type."""
    is_type = pa.types
    if is_type.is_dictionary(kind):
        return _same_in_duckdb(kind.value_type)
    if is_type.is_struct(kind):
        return bool(kind.num_fields) and all(_same_in_duckdb(kind.field(i).type) for i in range(kind.num_fields))
    if is_type.is_list(kind) or is_type.is_large_list(kind):
        return _same_in_duckdb(kind.value_type)
    if is_type.is_map(kind):
        return _same_in_duckdb(kind.key_type) and _same_in_duckdb(kind.item_type)
    if is_type.is_timestamp(kind):
        return kind.tz is not None or kind.unit in ("us", "ns")
    return bool(
        is_type.is_boolean(kind)
        or is_type.is_integer(kind)
        or kind in (pa.float32(), pa.float64(), pa.date32())
        or is_type.is_time(kind)
        or (is_type.is_decimal(kind) and kind.bit_width <= 128)
        or is_type.is_string(kind)
        or is_type.is_large_string(kind)
        or kind in (pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
        or is_type.is_fixed_size_binary(kind)
    )
