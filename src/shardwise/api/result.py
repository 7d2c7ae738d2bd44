"""What a run gives back: the answer in the format that the person wants, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardwise.data.kinds import is_table
from shardwise.errors import UsageError
from shardwise.records import plain

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from shardwise.report.summary import Report


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run was and what it cost.

    Attributes
    ----------
    id, dir : str
        Name of the run, and the directory that keeps it (empty: none was kept).
    engine, workers
        Who worked.
    seconds : float
        Of this call, by the wall clock.
    tasks, resumed_tasks : int
        Tasks in all, and how many of them were committed before this call.
    rows, bytes : int
        Read by this call's tasks.
    retries : int
        Attempts that were made again.
    quarantined : int
        Rows that are in none of the outputs, because a function fails on them.
    local_reads : float or None
        Share of the bytes that were read on a host that holds them. None: nobody said where they lie.
    """

    id: str
    dir: str
    engine: str
    workers: int
    seconds: float
    tasks: int
    resumed_tasks: int
    rows: int
    bytes: int
    retries: int = 0
    quarantined: int = 0
    local_reads: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return dict(plain(self))


class Result:
    """An answer. Frames come out by ``to_arrow``, ``to_pandas``, ``to_polars``, ``to_numpy``, ``to_list``; anything
    that reads the Arrow C stream takes the result itself.

    Attributes
    ----------
    run : RunInfo
        What it cost and where it is kept.
    files : list of str
        Parts that a write job published, in order.
    quarantine : pyarrow.Table
        Rows that were left out (``on_error="quarantine"``): file, batch and row, why, their data, how to replay them.
    report : Report
        What it cost beside what was predicted, and what to do next.
    """

    def __init__(
        self,
        load: Callable[[], Any],
        run: RunInfo,
        *,
        files: Sequence[str] = (),
        rows: Callable[[], list[dict[str, Any]]] | None = None,
        quarantine: Callable[[], pa.Table] | None = None,
        story: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self._load = load
        self._load_quarantine = quarantine
        self._story = story
        self._report: Report | None = None
        self._data: Any = None
        self._rows = rows
        self.run = run
        self.files = list(files)

    @property
    def data(self) -> Any:
        """The answer as it came: ``pyarrow.Table``, ``numpy.ndarray`` or list."""
        if self._data is None:
            self._data = self._load()
        return self._data

    @property
    def quarantine(self) -> pa.Table:
        """Rows that were left out, in order of position."""
        if self._load_quarantine is None:
            from shardwise.compute.bad_rows import empty

            return empty()
        return self._load_quarantine()

    @property
    def report(self) -> Report:
        """What the run cost beside what was predicted, the bottleneck, and what to do next; ``print`` it.

        Raises
        ------
        UsageError
            The result is no run's.
        """
        if self._report is None:
            from shardwise.report.summary import Report

            if self._story is None:
                raise UsageError("this result was not made by a run, so there is no report", "call .run() on a job")
            self._report = Report(self._story)
        return self._report

    @property
    def is_mixed(self) -> bool:
        """Whether columns hold values of several types, as those of a description do; ``to_arrow`` makes them text."""
        return self._rows is not None

    def to_arrow(self) -> pa.Table:
        """As a ``pyarrow.Table``."""
        from shardwise.compute.convert import to_table

        return to_table(self.data)

    def to_pandas(self) -> pd.DataFrame:
        """As a ``pandas.DataFrame``."""
        from shardwise.compute.convert import extra

        extra("pandas", "pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """As a ``polars.DataFrame``."""
        from shardwise.compute.convert import extra

        frame: pl.DataFrame = extra("polars", "polars").from_arrow(self.to_arrow())
        return frame

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """As an array: rows by columns, or as a function returned it."""
        import numpy as np

        from shardwise.compute.convert import table_to_array

        if isinstance(self.data, np.ndarray):
            return self.data
        return np.asarray(self.data) if isinstance(self.data, list) else table_to_array(self.data)

    def to_list(self) -> list[Any]:
        """As a list: items as they are, rows as dicts, an array's rows."""
        return self.to_pylist() if is_table(self.data) else list(self.data)

    def to_pylist(self) -> list[dict[str, Any]]:
        """Rows as dicts of Python values."""
        if self._rows is not None:
            return self._rows()
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows

    def sort(self, column: str, *, descending: bool = False) -> Result:
        """Sorted by a column; nulls first (descending: last); equal rows keep their order.

        Raises
        ------
        UsageError
            There is no such column.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        from shardwise.compute.shape import unknown_column

        table = self.to_arrow()
        if column not in table.column_names:
            raise unknown_column(column, table.column_names)
        places = pa.array(range(table.num_rows))
        keyed = pa.table([table.column(column), places], names=["key", "place"])
        way, nulls = ("descending", "at_end") if descending else ("ascending", "at_start")
        order = pc.sort_indices(keyed, sort_keys=[("key", way, nulls), ("place", "ascending", "at_start")])
        return self._with(table.take(order), order.to_pylist())

    def head(self, rows: int = 10) -> Result:
        """The first rows."""
        if rows < 0:
            raise UsageError(f"head({rows})", "give 0 or more")
        table = self.to_arrow().slice(0, rows)
        return self._with(table, list(range(table.num_rows)))

    def _with(self, table: pa.Table, order: list[int]) -> Result:
        rows = None
        if self._rows is not None:
            before = self._rows()
            rows = lambda: [before[i] for i in order]  # noqa: E731
        made = Result(lambda: table, self.run, files=self.files, rows=rows, quarantine=self._load_quarantine)
        made._story, made._report = self._story, self._report
        return made

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, column: str) -> list[Any]:
        """Values of a column, as Python objects."""
        from shardwise.compute.shape import unknown_column

        table = self.to_arrow()
        if column not in table.column_names:
            raise unknown_column(column, table.column_names)
        values: list[Any] = table.column(column).to_pylist()
        return values

    def __repr__(self) -> str:
        from shardwise.report.tables import render

        shown = self.head(20)
        more = f"\n({len(self):,} rows, the first 20 shown)" if len(self) > 20 else ""
        return render(shown.to_arrow()) + more
