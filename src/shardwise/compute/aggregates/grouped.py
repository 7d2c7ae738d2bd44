"""Built-in aggregates over tables, by any number of keys: partial states in SQL, merged in any tree, finished once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.kernel import GROUP_ROW, GROUPS, HEAVY, Bounds, Columnar, Kernel, Part, State
from shardwise.compute.aggregates.look import Experience, Look
from shardwise.compute.aggregates.numbers import plain
from shardwise.compute.aggregates.states import load_state, save_state
from shardwise.compute.aggregates.storing import STORABLE, one_nan, restored, storable, stored, without_garbage
from shardwise.compute.exact.limbs import settle
from shardwise.compute.exact.sql import layered, quoted
from shardwise.data.buffers import from_numpy
from shardwise.data.source import POSITION
from shardwise.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from shardwise.compute.columns.aggregate import ColumnPass


@dataclass(slots=True)
class GroupedAggregation:
    """Aggregates bound to a schema. Checked when made; picklable.

    Parameters
    ----------
    keys : list of str
        Columns whose equal values make a group; none: all rows are one group. Nulls are a group, so are all NaN, and
        the two zeros are one value.
    aggregates : list of (str, Builtin)
        Names of result columns and what is in them.
    schema : pyarrow.Schema
        Of the rows.

    Raises
    ------
    UsageError
        A column does not exist, a type is not one that an aggregate takes, or two result columns have one name.
    """

    keys: list[str]
    aggregates: list[tuple[str, Builtin]]
    schema: pa.Schema
    kernels: tuple[Kernel, ...] = field(init=False, repr=False, compare=False)
    _experience: Experience = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        prefix = _free_prefix(self.schema.names)
        self.kernels = tuple(a.bind(self.schema, f"{prefix}{i}", name) for i, (name, a) in enumerate(self.aggregates))
        self._experience = Experience()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.keys, self.aggregates, self.schema)

    def _check(self) -> None:
        names = [*self.keys, *(name for name, _ in self.aggregates)]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"two result columns would be called {name!r}", "give each key once, and names to others"
                )
        if "" in {*self.keys, *(column for _, aggregate in self.aggregates for column in aggregate.columns)}:
            raise UsageError("a column whose name is empty cannot be aggregated", "give it a name in the source")
        if not names:
            raise UsageError("there is nothing to aggregate", "ask for at least one aggregate, such as count()")
        for key in self.keys:
            if self.schema.get_field_index(key) < 0:
                listed = ", ".join(map(repr, self.schema.names))
                raise UsageError(f"there is no column {key!r} to group by", f"choose one of: {listed}")
            kind = self.schema.field(key).type
            if not storable(kind):
                raise UsageError(f"column {key!r} of type {kind} cannot be grouped by", f"keys are {STORABLE}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read, in the order of the schema."""
        read = {*self.keys, *(column for kernel in self.kernels for column in kernel.columns)}
        return tuple(name for name in self.schema.names if name in read)

    @property
    def needs_position(self) -> bool:
        """Whether the relation must have ``__position``."""
        return any(kernel.needs_position for kernel in self.kernels)

    @property
    def reads_often(self) -> bool:
        """Whether a partial state takes more than one pass over the rows."""
        return len(self.kernels) > 1 or bool(self._floats())

    def column_pass(self, always: bool = False) -> ColumnPass | None:
        """One pass over the columns in NumPy that gives the partial state, where there are no keys and (unless
        ``always``) it is faster than SQL: where squares or sketches are asked."""
        columns = self.columns or self.schema.names[:1]
        if self.keys or not columns or not all(isinstance(kernel, Columnar) for kernel in self.kernels):
            return None
        kernels = cast("tuple[Columnar, ...]", self.kernels)
        asked = [kernel.ingredients() for kernel in kernels]
        if None in asked or not (always or any(needs & HEAVY for needs in asked if needs)):
            return None
        from shardwise.compute.columns.aggregate import ColumnPass
        from shardwise.compute.columns.summary import can_summarize

        read = {column for kernel, needs in zip(kernels, asked) if needs for column in kernel.columns}
        if not all(can_summarize(self.schema.field(column).type) for column in read):
            return None
        return ColumnPass(kernels, columns)

    @property
    def result_schema(self) -> pa.Schema:
        """Of the result: keys, then aggregates."""
        keys = [pa.field(key, plain(self.schema.field(key).type)) for key in self.keys]
        return pa.schema([*keys, *(pa.field(kernel.name, kernel.type) for kernel in self.kernels)])

    def empty(self) -> State:
        """State of no rows."""
        return {GROUPS: pa.table({})}

    def partial(self, con: duckdb.DuckDBPyConnection, relation: str, bounds: Bounds) -> State:
        """State of the rows of a relation.

        Parameters
        ----------
        con : duckdb.DuckDBPyConnection
        relation : str
            Text usable after FROM, with ``columns`` (and ``__position`` if needed).
        bounds : callable
            (min, max) of a float column from statistics, else None. They must hold for all values but NaN.
        """
        names = [f"__k{i}_{_free_prefix(self.schema.names)}" for i in range(len(self.keys))]
        kinds = [self.schema.field(key).type for key in self.keys]
        made = [f"{one_nan(stored(k, kind), kind)} AS {n}" for k, kind, n in zip(self.keys, kinds, names)]
        keyed = f"(SELECT *, {', '.join(made)} FROM {relation})" if made else relation
        look = Look(con, relation, bool(names), bounds, self._floats(), self._experience)
        parts = [part for kernel in self.kernels for part in kernel.parts(con, keyed, names, look)]
        state = {GROUPS: self._groups(con, keyed, names, [part for part in parts if part.table == GROUPS])}
        for part in parts:
            if part.table != GROUPS:
                state[part.table] = _ask(con, _select(part.relation or keyed, names, [part], merging=False))
        return {name: without_garbage(settle(table)) for name, table in state.items()}

    def _floats(self) -> tuple[str, ...]:
        read = {column for kernel in self.kernels for column in kernel.columns}
        kinds = {name: self.schema.field(name).type for name in self.columns if name in read}
        return tuple(name for name, kind in kinds.items() if pa.types.is_float32(kind) or pa.types.is_float64(kind))

    def _groups(self, con: duckdb.DuckDBPyConnection, keyed: str, names: list[str], parts: list[Part]) -> pa.Table:
        """The main table; once more for the parts whose guess did not hold."""
        asked = _ask(con, _select(keyed, names, parts, merging=False))
        guards = [f"__guard{i}" for i in range(len(parts))]
        failed = [bool(part.guard) and any(asked[g].to_pylist()) for part, g in zip(parts, guards)]
        if any(failed):
            again = [
                part.fallback() if bad and part.fallback else replace(part, guard="")
                for part, bad in zip(parts, failed)
            ]
            asked = _ask(con, _select(keyed, names, again, merging=False))
        return asked.drop_columns([name for name in guards if name in asked.column_names])

    def merge(self, con: duckdb.DuckDBPyConnection, states: Sequence[State]) -> State:
        """One state of several; their order and grouping do not matter."""
        filled = [state for state in states if state[GROUPS].num_rows]
        if not filled:
            return self.empty()
        if len(filled) == 1:
            return filled[0]
        tables = {
            name: pa.concat_tables([state[name] for state in filled], promote_options="default") for name in filled[0]
        }
        columns = {name: table.column_names for name, table in tables.items()}
        by_table: dict[str, list[Part]] = {name: [] for name in tables}
        for kernel in self.kernels:
            for part in kernel.merge_parts(columns):
                by_table[part.table].append(part)
        merged = {}
        names = [f"k{i}" for i in range(len(self.keys))]
        for table, parts in by_table.items():
            with _lent(con, "__states", tables[table]) as view:
                merged[table] = _ask(con, _select(view, names, parts, merging=True))
        return {name: without_garbage(settle(table)) for name, table in merged.items()}

    def finish(self, con: duckdb.DuckDBPyConnection, state: State) -> pa.Table:
        """The result: one row without keys, else one per group, sorted by key, nulls first.

        Raises
        ------
        InputError
            A sum does not fit its type; the message gives it.
        """
        groups = state[GROUPS]
        if not groups.num_rows:
            if self.keys:
                return self.result_schema.empty_table()
            state = self._of_no_rows(con)
            groups = state[GROUPS]
        sides = {name: self._owned(con, groups, table) for name, table in state.items() if name != GROUPS}
        kinds = [self.schema.field(key).type for key in self.keys]
        arrays = [restored(groups[f"k{i}"], kind) for i, kind in enumerate(kinds)]
        arrays += [kernel.finish(groups, sides) for kernel in self.kernels]
        return pa.table(arrays, schema=self.result_schema)

    def _of_no_rows(self, con: duckdb.DuckDBPyConnection) -> State:
        fields = [self.schema.field(name) for name in self.columns]
        nothing = pa.schema([*fields, pa.field(POSITION, pa.int64())]).empty_table()
        with _lent(con, "__nothing", nothing) as view:
            return self.partial(con, view, lambda column: None)

    def _owned(self, con: duckdb.DuckDBPyConnection, groups: pa.Table, side: pa.Table) -> pa.Table:
        """A side table with the row of ``groups`` that each of its rows belongs to."""
        if not self.keys:
            return side.append_column(GROUP_ROW, from_numpy(np.zeros(side.num_rows, np.int64)))
        names = [f"k{i}" for i in range(len(self.keys))]
        rows = groups.select(names).append_column(GROUP_ROW, from_numpy(np.arange(groups.num_rows, dtype=np.int64)))
        same = " AND ".join(f"s.{name} IS NOT DISTINCT FROM g.{name}" for name in names)
        with _lent(con, "__owners", rows) as owners, _lent(con, "__side", side) as view:
            return _ask(con, f"SELECT s.*, g.{GROUP_ROW} FROM {view} s JOIN {owners} g ON {same} ORDER BY {GROUP_ROW}")

    def save(self, state: State) -> bytes:
        """A state as bytes; equal states are equal bytes."""
        return save_state(state)

    def load(self, data: bytes) -> State:
        """A state from its bytes."""
        return load_state(data)


def _free_prefix(names: Sequence[str]) -> str:
    """A short word that makes names which no column has: ``__<word>...`` and ``..._<word>``."""
    taken = [name.lower() for name in names]
    prefix = "a"
    while any(name.startswith(f"__{prefix}") or name.endswith(f"_{prefix}") for name in taken):
        prefix += "q"
    return prefix


def _select(relation: str, keys: Sequence[str], parts: Sequence[Part], merging: bool) -> str:
    """The query of one state table: keys, subkeys, values, guards; sorted."""
    subkeys: Mapping[str, str] = {name: sql for part in parts for name, sql in part.subkeys.items()}
    chosen = [f"{key} AS k{i}" for i, key in enumerate(keys)] + [f"{sql} AS {name}" for name, sql in subkeys.items()]
    places = ", ".join(str(i + 1) for i in range(len(chosen)))
    for number, part in enumerate(parts):
        chosen += [f"{value.merge if merging else value.partial} AS {quoted(value.name)}" for value in part.values]
        if part.guard and not merging:
            chosen.append(f"coalesce({part.guard}, false) AS __guard{number}")
    where = " AND ".join(f"({part.where})" for part in parts if part.where and not merging)
    return " ".join(
        [
            f"SELECT {', '.join(chosen) or 'count(*) >= 0 AS is_row'}",
            f"FROM {layered(relation, [part.layers for part in parts])}",
            f"WHERE {where}" if where else "",
            f"GROUP BY {places}" if places else "",
            f"ORDER BY {', '.join(f'{i + 1} ASC NULLS FIRST' for i in range(places.count(',') + 1))}" if places else "",
        ]
    )


def _ask(con: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    return con.sql(query).to_arrow_table()


@contextmanager
def _lent(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[str]:
    """A table under a name, for as long as a query needs it."""
    con.register(name, table)
    try:
        yield name
    finally:
        con.unregister(name)
