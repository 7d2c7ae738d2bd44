"""A dataset: a lazy description, a source and the operations on it. Nothing is read until a job runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardwise.api.job import Job
from shardwise.compute.function import Function
from shardwise.compute.operations import Filter, Map, MapItems, Operation, Sample, Select, WithColumns
from shardwise.compute.shape import Shape, through, unknown_column, with_tabulate
from shardwise.errors import UsageError
from shardwise.plan.work import AggregateTo, CollectTo, DescribeTo, Target, WriteTo

if TYPE_CHECKING:
    import pyarrow as pa

    from shardwise.compute.aggregates.base import Builtin
    from shardwise.compute.custom import Aggregate
    from shardwise.data.source import Source
    from shardwise.plan.size import Size

Access = dict[str, Any] | None
"""Storage options; None: those of the run."""


@dataclass(frozen=True, slots=True)
class Later:
    """A source that exists once other jobs are done."""

    jobs: tuple[Job, ...]
    make: Callable[..., Source]  # called with the results of the jobs


class Dataset:
    """Rows, an array, or Python items, and what is to be done to them.

    Made by ``read_parquet``, ``read_csv``, ``from_frame``, ``from_items`` and the like. Every method returns a new
    dataset or a job; a job's ``run()`` does the work.

    Examples
    --------
    >>> import shardwise as sw
    >>> trips = sw.from_frame({"zone": ["a", "b", "a"], "fare": [3.0, 5.0, 4.0]})
    >>> trips.filter("fare < 5").group_by("zone").aggregate(sw.mean("fare")).run().to_pylist()
    [{'zone': 'a', 'mean_fare': 3.5}]
    """

    def __init__(self, source: Source | Later, operations: tuple[Operation, ...] = ()) -> None:
        self._source = source
        self._operations = operations

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def schema(self) -> pa.Schema | None:
        """Names and types of the columns, where they are known before a function has run; None otherwise."""
        return None if isinstance(self._source, Later) else self._shape().schema

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns, where they are known."""
        return None if self.schema is None else list(self.schema.names)

    def _shape(self) -> Shape:
        if isinstance(self._source, Later):
            return Shape("table", None)
        return through(Shape(self._source.kind, self._source.schema), self._tabulated(False))

    def _tabulated(self, needs_table: bool) -> tuple[Operation, ...]:
        kind = "table" if isinstance(self._source, Later) else self._source.kind
        return with_tabulate(kind, self._operations, needs_table)

    def __repr__(self) -> str:
        from shardwise.api.describe_dataset import summary

        return summary(self)

    def size(self) -> Size:
        """Rows, bytes on disk and bytes in memory of the source, measured on a few batches spread over it.

        Reads for about a second. What its functions and filters make of the data is not known before they run, and
        not counted.

        Returns
        -------
        Size
            ``rows``, ``stored``, ``row_bytes``, ``memory`` with its interval, ``size_class`` and ``suggestion``.

        Raises
        ------
        UsageError
            The data exists only once another job has run.

        Examples
        --------
        >>> import shardwise as sw
        >>> size = sw.from_frame({"city": ["Kyoto", "Nara"] * 500, "lat": [35.0, 34.7] * 500}).size()
        >>> size.rows, size.size_class
        (1000, 'small')
        """
        from shardwise.plan.size_sample import known_rate, measure_size

        if isinstance(self._source, Later):
            raise UsageError("the size of a result is known when its job has run", "call size() on what it reads")
        return measure_size(self._source, rate=known_rate(self._source))

    def _then(self, operation: Operation) -> Dataset:
        made = Dataset(self._source, (*self._operations, operation))
        made._shape()  # refuses what can be refused now
        return made

    # --- operations ------------------------------------------------------------------------------------------------

    def select(self, *columns: str) -> Dataset:
        """Keep these columns, in this order.

        Parameters
        ----------
        *columns : str
            Names.

        Raises
        ------
        UsageError
            A column does not exist.
        """
        if not columns:
            raise UsageError("select() needs at least one column")
        return self._then(Select(tuple(columns)))

    def filter(self, expression: str) -> Dataset:
        """Keep the rows for which an SQL expression is true.

        Parameters
        ----------
        expression : str
            Row-wise and deterministic, in DuckDB's dialect: ``"distance > 0 AND fare < 500"``.

        Raises
        ------
        ExpressionError
            It does not parse, names an unknown column, or is not row-wise (aggregate, window, ``random()``).
        """
        return self._then(Filter(expression))

    def with_columns(self, columns: Mapping[str, str] | None = None, /, **named: str) -> Dataset:
        """Add or replace columns by SQL expressions, which all see the columns as they were before.

        Parameters
        ----------
        columns : mapping, optional
            Name to expression, for names that are not Python identifiers.
        **named : str
            The same by keyword: ``speed="distance / hours"``.

        Raises
        ------
        ExpressionError
            As for ``filter``.
        """
        together = {**(columns or {}), **named}
        if not together:
            raise UsageError(
                "with_columns() needs at least one column", 'for example with_columns(speed="distance / hours")'
            )
        return self._then(WithColumns(tuple(together.items())))

    def map(self, function: Callable[..., Any] | type, *, schema: Any = None) -> Dataset:
        """Call a function on every batch.

        The annotation of its first parameter chooses what it receives: ``pa.Table``, ``pd.DataFrame``,
        ``pl.DataFrame``, ``np.ndarray`` or ``list`` (of dicts); without one, the source's own kind. It returns a frame,
        an array, a scalar, a dict of columns or a list of dicts. A class with ``__call__`` is built once per worker.
        A parameter ``ctx: sw.Context`` gets seeded randomness and a log.

        Parameters
        ----------
        function : callable or class
            Of one batch.
        schema : pyarrow.Schema or mapping of name to type, optional
            Columns of the result; else they are settled on the first batches, and later ones must fit.
        """
        from shardwise.compute.types import to_schema

        return self._then(Map(Function.of(function), None if schema is None else to_schema(schema)))

    def map_items(self, function: Callable[..., Any] | type) -> Dataset:
        """Call a function on every item (of a table: a dict per row; of an array: a row).

        What it returns is one result; what it yields, any number of them.

        Parameters
        ----------
        function : callable or class
            Of one item.
        """
        return self._then(MapItems(Function.of(function, item=True)))

    def sample(self, fraction: float, *, seed: int = 0) -> Dataset:
        """Keep about ``fraction`` of the rows, chosen by a hash of the seed and the row's position.

        Parameters
        ----------
        fraction : float
            In [0, 1].
        seed : int
            Another seed chooses other rows.
        """
        if not 0 <= fraction <= 1:
            raise UsageError(f"sample fraction is {fraction}", "give a number from 0 to 1")
        return self._then(Sample(float(fraction), seed))

    # --- jobs ------------------------------------------------------------------------------------------------------

    def _job(self, target: Target) -> Job:
        return Job(self._source, self._tabulated(target.needs_schema), target)

    def group_by(self, *columns: str) -> GroupBy:
        """Rows with equal values in these columns belong together; nulls are a group. ``aggregate`` follows."""
        schema = self.schema
        if not columns:
            raise UsageError("group_by() needs at least one column", "without keys, call aggregate() itself")
        for name in columns:
            if schema is not None and name not in schema.names:
                raise unknown_column(name, schema.names)
        return GroupBy(self, columns)

    def aggregate(self, /, *aggregates: Builtin | Aggregate[Any], **named: Builtin | Aggregate[Any]) -> Job:
        """Aggregates over all rows; the result has one row.

        Parameters
        ----------
        *aggregates, **named : aggregate
            ``sw.count()``, ``avg=sw.mean("speed")``, or an object of your own subclass of ``sw.Aggregate``.
        """
        return self._aggregate((), aggregates, named)

    def _aggregate(self, keys: tuple[str, ...], aggregates: tuple[Any, ...], named: dict[str, Any]) -> Job:
        from shardwise.compute.choose_aggregation import named_aggregates

        job = self._job(AggregateTo(keys, named_aggregates(aggregates, named, keys)))
        job.check()
        return job

    def describe(self) -> Job:
        """Every column: count, nulls, mean, std, min, quartiles, max, distinct values (the last four approximate)."""
        return self._job(DescribeTo())

    def collect(self) -> Job:
        """All rows or items, in order, as the job's result."""
        return self._job(CollectTo())

    def stream(self, **options: Any) -> Iterator[Any]:
        """Batches one after another, in order, as soon as each is computed; nothing is kept.

        Yields
        ------
        pyarrow.Table, numpy.ndarray or list
            One batch.
        """
        from shardwise.api.streaming import stream

        return stream(self.collect(), options)

    def _write(
        self, directory: str, form: str, overwrite: bool, file_batches: int | None, storage_options: Access
    ) -> Job:
        if file_batches is not None and file_batches < 1:
            raise UsageError(f"file_batches is {file_batches}", "give at least 1")
        return self._job(WriteTo(str(directory), form, overwrite, file_batches, storage_options))

    def write_parquet(
        self,
        directory: str,
        *,
        overwrite: bool = False,
        file_batches: int | None = None,
        storage_options: Access = None,
    ) -> Job:
        """Write ``part-*.parquet`` into a directory; ``_SUCCESS`` comes last. A row group is one batch.

        Parameters
        ----------
        directory : str
            Path or URL. One that exists and is not this job's is refused, unless ``overwrite``.
        overwrite : bool
            Replace what is there.
        file_batches : int, optional
            Batches of a file. Default: 8, or 32 items.
        storage_options : dict, optional
            Credentials and the like, for the fsspec library of a URL. Default: those of ``run``.
            Never written anywhere.
        """
        return self._write(directory, "parquet", overwrite, file_batches, storage_options)

    def write_csv(
        self,
        directory: str,
        *,
        overwrite: bool = False,
        file_batches: int | None = None,
        storage_options: Access = None,
    ) -> Job:
        """Write ``part-*.csv`` (UTF-8, a header each, RFC 4180). Parameters as for ``write_parquet``."""
        return self._write(directory, "csv", overwrite, file_batches, storage_options)

    def write_ndjson(
        self,
        directory: str,
        *,
        overwrite: bool = False,
        file_batches: int | None = None,
        storage_options: Access = None,
    ) -> Job:
        """Write ``part-*.ndjson``. Parameters as for ``write_parquet``."""
        return self._write(directory, "ndjson", overwrite, file_batches, storage_options)

    def write_ipc(
        self,
        directory: str,
        *,
        overwrite: bool = False,
        file_batches: int | None = None,
        storage_options: Access = None,
    ) -> Job:
        """Write ``part-*.arrow`` (Arrow IPC files). Parameters as for ``write_parquet``."""
        return self._write(directory, "ipc", overwrite, file_batches, storage_options)

    def write_npy(
        self,
        directory: str,
        *,
        overwrite: bool = False,
        file_batches: int | None = None,
        storage_options: Access = None,
    ) -> Job:
        """Write ``part-*.npy`` of an array. Parameters as for ``write_parquet``."""
        return self._write(directory, "npy", overwrite, file_batches, storage_options)


@dataclass(frozen=True, slots=True)
class GroupBy:
    """What ``group_by`` returns."""

    dataset: Dataset
    keys: tuple[str, ...]

    def aggregate(self, /, *aggregates: Builtin | Aggregate[Any], **named: Builtin | Aggregate[Any]) -> Job:
        """Aggregates by group; the result is sorted by key, nulls first. Parameters as for ``Dataset.aggregate``."""
        return self.dataset._aggregate(self.keys, aggregates, named)
