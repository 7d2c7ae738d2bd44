"""``approx_quantile``: counts in buckets that are fixed beforehand, so that no cut and no order can matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, column_name, refuse_type
from shardwise.compute.aggregates.kernel import BUCKETS, GROUP_ROW, Bounds, Kernel, Made, Part, Value
from shardwise.compute.aggregates.numbers import plain
from shardwise.compute.aggregates.scales import Scale, scale_of
from shardwise.compute.buckets import Longs, between, lowest_level, nearest_rank, pick_ranks
from shardwise.compute.expressions import quote
from shardwise.data.buffers import from_numpy, to_numpy
from shardwise.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary

_SAMPLE_ROWS = 65_536


def approx_quantile(column: str, q: float | list[float] | tuple[float, ...]) -> Builtin:
    """Estimate quantiles: values that a share ``q`` of the others do not exceed.

    Parameters
    ----------
    column : str
        Of numbers, durations, dates, times or timestamps.
    q : float or list of float
        From 0 (the minimum) to 1 (the maximum). For a list the result is a list, in the same order.

    Returns
    -------
    Builtin
        For ``aggregate``. The result has the column's type; null where there is no value.

    Raises
    ------
    UsageError
        A quantile is not a number from 0 to 1.

    Notes
    -----
    The exact quantile meant is the one at the nearest rank, ``ceil(q * n)``, as DuckDB's ``quantile_disc`` has it. The
    extremes are exact. Anything between is estimated from counts in buckets, with a bound on the error of the value:

    - floats, integers, decimals, durations: within 1/256 (0.4 %) of the exact quantile, and rounded to the column's
      type. (Subnormal floats below 1e-309: within 1e-309. Nanoseconds of durations are rounded to microseconds.)
    - dates: exact.
    - times and timestamps: within half a bucket, where buckets have the least power of two of the column's unit as
      width at which the data fill at most 4096 of them. For evenly spread data that is 1/4096 of their range or less.

    A value that is alone in its bucket is given exactly: integers up to 256, columns of few different values. Nulls are
    skipped. NaN is a value, greater than infinity. The estimate depends on the data alone.

    References
    ----------
    R. J. Hyndman, Y. Fan: Sample quantiles in statistical packages (The American Statistician 50, 1996), definition 1.

    Examples
    --------
    >>> approx_quantile("speed", 0.95).name
    'approx_quantile_speed'
    """
    quantiles = check_quantiles(q)
    one = quantiles if isinstance(q, (list, tuple)) else quantiles[0]
    return Builtin("approx_quantile", (column_name(column, "approx_quantile"),), (("q", one),))


def bind_quantile(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    column, q = asked.columns[0], asked.option("q")
    kind = plain(schema.field(column).type)
    if scale_of(kind) is None:
        raise refuse_type("approx_quantile", column, kind, "numbers, durations, dates, times and timestamps")
    return QuantileKernel(key, name, column, kind, q if isinstance(q, tuple) else (q,), isinstance(q, tuple))


@dataclass(frozen=True)
class QuantileKernel:
    """Per bucket, in a side table: how many values, the least and the greatest of them."""

    key: str
    name: str
    column: str
    kind: pa.DataType  # of the column
    quantiles: tuple[float, ...]
    is_list: bool
    needs_position = False

    @property
    def type(self) -> pa.DataType:
        return pa.list_(self.kind) if self.is_list else self.kind

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def _scale(self) -> Scale:
        scale = scale_of(self.kind)
        assert scale is not None, "refused when it was bound"
        return scale

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        scale, column = self._scale, quote(self.column)
        level = self._part_level(con, relation) if scale.has_levels else 0
        subkeys = {f"{self.key}_bucket": scale.bucket_sql(column, level)}
        if scale.has_levels:
            subkeys[f"{self.key}_level"] = f"CAST({level} AS TINYINT)"  # a bare number would be a position
        return (self._part(scale.value_sql(column), subkeys, f"{column} IS NOT NULL"),)

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        names = [f"{self.key}_bucket"] + ([f"{self.key}_level"] if self._scale.has_levels else [])
        return (self._part("", {name: name for name in names}, ""),)

    def _part(self, value: str, subkeys: Mapping[str, str], where: str) -> Part:
        low, high, count = (f"{self.key}_{word}" for word in ("low", "high", "count"))
        values = (
            Value(count, "count(*)", f"CAST(sum({count}) AS BIGINT)"),
            Value(low, f"min({value})", f"min({low})"),
            Value(high, f"max({value})", f"max({high})"),
        )
        return Part(f"{self.key}_buckets", values, subkeys, where)

    def _part_level(self, con: duckdb.DuckDBPyConnection, relation: str) -> int:
        """A level that the whole data need too. Any of the rows would do to find one; these are picked by value, so
        that the same rows give the same level again."""
        column = quote(self.column)
        ticks = f"SELECT CAST({self._scale.value_sql(column)} AS BIGINT) AS ticks FROM {relation}"
        rows = con.sql(f"SELECT count({column}) FROM {relation}").fetchall()[0][0]
        one_in = max(1, rows // _SAMPLE_ROWS)
        found = con.sql(f"SELECT DISTINCT ticks FROM ({ticks}) WHERE ticks IS NOT NULL AND hash(ticks) % {one_in} = 0")
        return lowest_level(np.sort(to_numpy(found.to_arrow_table()["ticks"])))

    def ingredients(self) -> frozenset[str]:
        return frozenset({BUCKETS})

    def of_summary(self, found: Summary) -> Made:
        filled = found.buckets
        kept = pa.int64() if pa.types.is_temporal(self.kind) else self.kind
        kept = pa.float64() if pa.types.is_floating(self.kind) else kept
        columns = {} if filled is None else {"bucket": filled.places, "count": filled.counts}
        columns |= {} if filled is None else {"low": filled.lows, "high": filled.highs}
        kinds = {"bucket": pa.int64(), "level": pa.int8(), "count": pa.int64(), "low": kept, "high": kept}
        if not self._scale.has_levels:
            kinds.pop("level")
        elif filled is not None:
            columns["level"] = np.full(len(filled.places), filled.level, np.int8)
        schema = pa.schema([(f"{self.key}_{word}", kind) for word, kind in kinds.items()])
        arrays = [from_numpy(columns[word]) for word in kinds if columns]
        return Made(sides={f"{self.key}_buckets": pa.table(arrays, schema=schema) if columns else schema.empty_table()})

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        table = _Buckets.read(sides[f"{self.key}_buckets"], self.key, groups.num_rows)
        picked = [table.pick(q, self._scale) for q in self.quantiles]
        if not self.is_list:
            return self._scale.array(picked[0])
        flat = self._scale.array([wholes[group] for group in range(groups.num_rows) for wholes in picked])
        offsets = from_numpy(np.arange(groups.num_rows + 1, dtype=np.int32) * np.int32(len(self.quantiles)))
        return pa.ListArray.from_arrays(offsets, flat, mask=pa.array(table.totals == 0)).cast(self.type)


@dataclass(frozen=True)
class _Buckets:
    """The buckets of all groups, by group and value."""

    buckets: Longs
    counts: Longs
    lows: pa.Array
    highs: pa.Array
    starts: Longs  # of each group
    totals: Longs  # of each group

    @classmethod
    def read(cls, side: pa.Table, key: str, groups: int) -> _Buckets:
        owner, buckets, counts = (
            to_numpy(side[name]).astype(np.int64) for name in (GROUP_ROW, f"{key}_bucket", f"{key}_count")
        )
        lows, highs = (side[f"{key}_{end}"].combine_chunks() for end in ("low", "high"))
        if f"{key}_level" in side.column_names and len(side):
            levels = to_numpy(side[f"{key}_level"]).astype(np.int64)
            buckets = buckets >> (levels.max() - levels)
            buckets = buckets >> lowest_level(np.sort(buckets))
        order = np.lexsort((buckets, owner))
        owner, buckets, counts, lows, highs = (column.take(order) for column in (owner, buckets, counts, lows, highs))
        if f"{key}_level" in side.column_names and len(side):
            owner, buckets, counts, lows, highs = _joined(owner, buckets, counts, lows, highs)
        ends = np.searchsorted(owner, np.arange(groups + 1))
        sums = np.concatenate([[0], np.cumsum(counts)])
        return cls(buckets, counts, lows, highs, ends[:-1], np.diff(sums[ends]))

    def pick(self, q: float, scale: Scale) -> list[int | None]:
        """The value at the nearest rank of every group: an extreme, or half-way between those of its bucket."""
        filled = np.flatnonzero(self.totals)
        ranks = np.array([nearest_rank(q, total) for total in self.totals.tolist()], np.int64)
        rows = pick_ranks(self.starts, self.counts, ranks)[filled]
        wholes: list[int | None] = [None] * len(self.totals)
        lows, highs = self.lows.take(rows).to_pylist(), self.highs.take(rows).to_pylist()
        for group, bucket, low, high in zip(filled.tolist(), self.buckets[rows].tolist(), lows, highs):
            ends = scale.whole(low, bucket), scale.whole(high, bucket)
            wholes[group] = between(*ends, int(ranks[group]), int(self.totals[group]))
        return wholes


def _joined(owner: Longs, buckets: Longs, counts: Longs, lows: pa.Array, highs: pa.Array) -> tuple[Any, ...]:
    """Make one of neighbours in the same bucket of the same group, which were counted at different levels."""
    firsts = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (buckets[1:] != buckets[:-1])])
    least = pa.array(np.minimum.reduceat(lows.to_numpy(), firsts))
    greatest = pa.array(np.maximum.reduceat(highs.to_numpy(), firsts))
    return owner[firsts], buckets[firsts], np.add.reduceat(counts, firsts), least, greatest


def check_quantiles(q: float | list[float] | tuple[float, ...]) -> tuple[float, ...]:
    """Accept one or several quantiles.

    Parameters
    ----------
    q : float or list of float
        Each from 0 to 1.

    Returns
    -------
    tuple of float
        As given.

    Raises
    ------
    UsageError
        None is given, or one is not from 0 to 1.

    Examples
    --------
    >>> check_quantiles([0.25, 0.5])
    (0.25, 0.5)
    """
    quantiles = tuple(q) if isinstance(q, (list, tuple)) else (q,)
    if not quantiles:
        raise UsageError("approx_quantile got an empty list of quantiles", "give at least one, as in [0.25, 0.5, 0.75]")
    for one in quantiles:
        if isinstance(one, bool) or not isinstance(one, (int, float)) or not 0 <= one <= 1:
            raise UsageError(f"{one!r} is not a quantile", "give a number from 0 to 1, such as 0.95 for 95 percent")
    return tuple(float(one) for one in quantiles)
