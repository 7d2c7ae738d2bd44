"""``approx_quantile``: counts in buckets that are fixed beforehand, so that no cut and no order can matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, column_name, refuse_type, register
from shardwise.compute.aggregates.kernel import GROUP_ROW, GROUPS, Bounds, Kernel, Part, Value
from shardwise.compute.aggregates.numbers import plain
from shardwise.compute.aggregates.scales import Scale, scale_of
from shardwise.compute.buckets import Longs, lowest_level, pick_ranks
from shardwise.compute.expressions import quote
from shardwise.errors import UsageError

if TYPE_CHECKING:
    import duckdb

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
      type. Integers up to 256 and every other value that has a bucket of its own are exact. (Subnormal floats below
      1e-309 count as zero; nanoseconds of durations are rounded to microseconds.)
    - dates: exact.
    - times and timestamps: within half a bucket, where buckets have the least power of two of the column's unit as
      width at which the data fill at most 4096 of them. For evenly spread data that is 1/4096 of their range or less.

    Nulls are skipped. NaN is a value, greater than infinity. The estimate depends on the data alone.

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


def _bind(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    column, q = asked.columns[0], asked.option("q")
    kind = plain(schema.field(column).type)
    if scale_of(kind) is None:
        raise refuse_type("approx_quantile", column, kind, "numbers, durations, dates, times and timestamps")
    return QuantileKernel(key, name, column, kind, q if isinstance(q, tuple) else (q,), isinstance(q, tuple))


@dataclass(frozen=True)
class QuantileKernel:
    """Counts per bucket (a side table) and the exact extremes (in the main one)."""

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
        extreme = scale.extreme_sql(column)
        subkeys = {f"{self.key}_bucket": scale.bucket_sql(column, level)}
        if scale.has_levels:
            subkeys[f"{self.key}_level"] = f"CAST({level} AS TINYINT)"  # a bare number would be a position
        return self._parts(extreme, subkeys, f"{column} IS NOT NULL")

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        names = [f"{self.key}_bucket"] + ([f"{self.key}_level"] if self._scale.has_levels else [])
        return self._parts("", {name: name for name in names}, "")

    def _parts(self, extreme: str, subkeys: Mapping[str, str], where: str) -> tuple[Part, ...]:
        low, high, count = f"{self.key}_low", f"{self.key}_high", f"{self.key}_count"
        extremes = (Value(low, f"min({extreme})", f"min({low})"), Value(high, f"max({extreme})", f"max({high})"))
        counts = Value(count, "count(*)", f"CAST(sum({count}) AS BIGINT)")
        return Part(GROUPS, extremes), Part(f"{self.key}_buckets", (counts,), subkeys, where)

    def _part_level(self, con: duckdb.DuckDBPyConnection, relation: str) -> int:
        """A level that the whole data need too: any rows would do to find one, a random sample gives a good one."""
        column = quote(self.column)
        ticks = self._scale.extreme_sql(column)
        sample = (
            f"SELECT {column} FROM {relation} WHERE {column} IS NOT NULL USING SAMPLE reservoir({_SAMPLE_ROWS} ROWS)"
        )
        found = con.sql(f"SELECT CAST({ticks} AS BIGINT) AS ticks FROM ({sample})").to_arrow_table()["ticks"]
        return lowest_level(np.sort(found.to_numpy().astype(np.int64)))

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        table = _Buckets.read(sides[f"{self.key}_buckets"], self.key, groups.num_rows)
        lows = self._extremes(groups[f"{self.key}_low"], table, table.starts)
        highs = self._extremes(groups[f"{self.key}_high"], table, table.ends - 1)
        picked = [self._pick(table, q, lows, highs) for q in self.quantiles]
        if not self.is_list:
            return self._scale.array(picked[0])
        flat = self._scale.array([values[group] for group in range(groups.num_rows) for values in picked])
        offsets = np.arange(groups.num_rows + 1, dtype=np.int32) * len(self.quantiles)
        is_null = np.append(table.totals == 0, False)
        return pa.ListArray.from_arrays(pa.array(offsets, mask=is_null), flat).cast(self.type)

    def _extremes(self, found: pa.ChunkedArray, table: _Buckets, rows: Longs) -> list[Any]:
        scale = self._scale
        return [
            None if value is None else scale.exact(value, int(table.buckets[row]))
            for value, row in zip(found.to_pylist(), rows.tolist())
        ]

    def _pick(self, table: _Buckets, q: float, lows: list[Any], highs: list[Any]) -> list[Any]:
        """The value at the nearest rank of every group: the least that at least ``q`` of its values do not exceed."""
        exact, scale = Fraction(repr(q)), self._scale  # 0.1 means a tenth
        totals = table.totals.tolist()
        ranks = [max(1, -(-total * exact.numerator // exact.denominator)) for total in totals]
        rows = pick_ranks(table.starts, table.counts, np.array(ranks, np.int64))
        picked: list[Any] = []
        for rank, total, row, low, high in zip(ranks, totals, rows.tolist(), lows, highs):
            if total == 0:
                picked.append(None)
            elif rank == 1 or rank == total:
                picked.append(low if rank == 1 else high)
            else:
                picked.append(min(max(scale.middle(int(table.buckets[row]), table.level), low), high))
        return picked


@dataclass(frozen=True)
class _Buckets:
    """Counts of all groups, by group and bucket, all at one level."""

    level: int
    buckets: Longs
    counts: Longs
    starts: Longs  # of each group
    ends: Longs
    totals: Longs  # of each group

    @classmethod
    def read(cls, side: pa.Table, key: str, groups: int) -> _Buckets:
        owner, buckets, counts = (
            side[name].to_numpy().astype(np.int64) for name in (GROUP_ROW, f"{key}_bucket", f"{key}_count")
        )
        level = 0
        if f"{key}_level" in side.column_names and len(side):
            levels = side[f"{key}_level"].to_numpy().astype(np.int64)
            level = int(levels.max())
            buckets = buckets >> (level - levels)
            more = lowest_level(np.sort(buckets))
            level, buckets = level + more, buckets >> more
        order = np.lexsort((buckets, owner))
        ends = np.searchsorted(owner[order], np.arange(groups + 1))
        sums = np.concatenate([[0], np.cumsum(counts[order])])
        return cls(level, buckets[order], counts[order], ends[:-1], ends[1:], np.diff(sums[ends]))


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


register("approx_quantile", approx_quantile, _bind)
