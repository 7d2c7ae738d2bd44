"""``approx_n_unique``: HyperLogLog registers in a side table, one row for each that has seen a value."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin, column_name
from shardwise.compute.aggregates.kernel import GROUP_ROW, REGISTERS, Bounds, Kernel, Made, Part, Value
from shardwise.compute.expressions import quote
from shardwise.compute.hashing import hash_array
from shardwise.compute.hyperloglog import RANKS, estimate, register_and_rank
from shardwise.data.buffers import from_numpy, to_numpy

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.summary import Summary

_ROWS_AT_ONCE = 1 << 20
_GROUPS_AT_ONCE = 1 << 12


def approx_n_unique(column: str) -> Builtin:
    """Estimate how many different values a column has.

    Parameters
    ----------
    column : str
        Of any type but unions.

    Returns
    -------
    Builtin
        For ``aggregate``. The result is an int64.

    Notes
    -----
    HyperLogLog with 16384 registers: the standard error is 0.81 %, so two thirds of the estimates are within that and
    19 of 20 within 1.6 %. Up to a hundred values the estimate is nearly always the exact number. A group takes about 20
    bytes per register that it uses: at most as many as it has values, and at most 16384.

    Nulls are skipped. NaN is a value (one), and -0.0 and 0.0 are one value. The estimate depends on the set of values
    alone; their hashes are MurmurHash3 over canonical bytes.

    References
    ----------
    P. Flajolet, E. Fusy, O. Gandouet, F. Meunier: HyperLogLog (AofA 2007). O. Ertl: New cardinality estimation
    algorithms for HyperLogLog sketches (arXiv:1702.01284, 2017).

    Examples
    --------
    >>> approx_n_unique("user").name
    'approx_n_unique_user'
    """
    return Builtin("approx_n_unique", (column_name(column, "approx_n_unique"),))


def bind_distinct(asked: Builtin, schema: pa.Schema, key: str, name: str) -> Kernel:
    return DistinctKernel(key, name, asked.columns[0])


@dataclass(frozen=True)
class DistinctKernel:
    """The greatest rank per register. Hashing is ours, not DuckDB's, so rows pass through NumPy."""

    key: str
    name: str
    column: str
    needs_position = False

    @property
    def type(self) -> pa.DataType:
        return pa.int64()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def parts(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str], bounds: Bounds) -> tuple[Part, ...]:
        hashed = f"__{self.key}_hashed"
        con.register(hashed, self._hashed(con, relation, keys))
        return (self._part(hashed),)

    def merge_parts(self, columns: Mapping[str, list[str]]) -> tuple[Part, ...]:
        return (self._part(""),)

    def _part(self, relation: str) -> Part:
        register, rank = f"{self.key}_register", f"{self.key}_rank"
        ranks = Value(rank, f"max({rank})", f"max({rank})")
        return Part(f"{self.key}_registers", (ranks,), {register: register}, relation=relation)

    def _hashed(self, con: duckdb.DuckDBPyConnection, relation: str, keys: list[str]) -> pa.Table:
        """Keys, register and rank of the rows, thinned out batch by batch so that strings need not stay in memory."""
        register, rank = f"{self.key}_register", f"{self.key}_rank"
        listed, column = "".join(f"{quote(key)}, " for key in keys), quote(self.column)
        thinned = f"SELECT {listed}{register}, max({rank}) AS {rank} FROM __rows GROUP BY {listed}{register}"
        rows = con.sql(f"SELECT {listed}{column} AS __value FROM {relation} WHERE {column} IS NOT NULL")
        reader = rows.to_arrow_reader(_ROWS_AT_ONCE)
        columns = [pa.nulls(0, field.type) for field in reader.schema]
        nothing = pa.record_batch(columns, reader.schema)  # tells the types where there are no rows
        aside = con.cursor()  # con itself has an open result
        pieces = []
        for batch in itertools.chain([nothing], reader):
            registers, ranks = register_and_rank(hash_array(batch.column(len(keys))))
            arrays = [*batch.columns[: len(keys)], from_numpy(registers), from_numpy(ranks)]
            aside.register("__rows", pa.table(arrays, [*keys, register, rank]))
            pieces.append(aside.sql(thinned).to_arrow_table())
        aside.close()
        return pa.concat_tables(pieces)

    def ingredients(self) -> frozenset[str]:
        return frozenset({REGISTERS})

    def of_summary(self, found: Summary) -> Made:
        ranks = found.registers if found.registers is not None else np.zeros(0, np.uint8)
        seen = np.flatnonzero(ranks)
        arrays = [from_numpy(seen.astype(np.uint16)), from_numpy(ranks[seen])]
        names = [f"{self.key}_register", f"{self.key}_rank"]
        return Made(sides={f"{self.key}_registers": pa.table(arrays, names=names)})

    def finish(self, groups: pa.Table, sides: Mapping[str, pa.Table]) -> pa.Array:
        side = sides[f"{self.key}_registers"]
        owner = to_numpy(side[GROUP_ROW]).astype(np.int64)
        ranks = to_numpy(side[f"{self.key}_rank"]).astype(np.int64)
        order = np.argsort(owner, kind="stable")
        owner, ranks = owner[order], ranks[order]
        firsts = range(0, groups.num_rows, _GROUPS_AT_ONCE)
        found = [_estimates(owner, ranks, first, min(first + _GROUPS_AT_ONCE, groups.num_rows)) for first in firsts]
        return from_numpy(np.concatenate([*found, np.empty(0, np.int64)]))


def _estimates(
    owner: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64], first: int, last: int
) -> npt.NDArray[np.int64]:
    begin, end = np.searchsorted(owner, [first, last])
    cells = (owner[begin:end] - first) * RANKS + ranks[begin:end]
    histogram = np.bincount(cells, minlength=(last - first) * RANKS).reshape(last - first, RANKS)
    return np.rint(estimate(histogram)).astype(np.int64)
