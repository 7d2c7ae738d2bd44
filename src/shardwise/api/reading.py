"""Where datasets begin: files, frames, arrays, items, generated rows, databases, and other jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from shardwise.api.dataset import Dataset, Later
from shardwise.api.job import Job
from shardwise.api.result import Result
from shardwise.data.source import BATCH_ROWS, Source
from shardwise.errors import UsageError
from shardwise.plan.work import WriteTo

Paths = str | Sequence[str]


def _files(read: Callable[..., Source], paths: Any, form: str, **options: Any) -> Dataset:
    """A dataset of files, or of what a job will have written."""
    if not isinstance(paths, Job):
        return Dataset(read(paths if isinstance(paths, (str, list, tuple)) else str(paths), **options))
    target = paths._target
    if not isinstance(target, WriteTo) or target.format != form:
        raise UsageError(f"that job does not write {form}", f"read what a job like dataset.write_{form}(...) writes")
    return Dataset(Later((paths,), lambda result: read([f"{target.directory}/{f}" for f in result.files], **options)))


def read_parquet(
    paths: Paths | Job,
    *,
    columns: Sequence[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: dict[str, Any] | None = None,
) -> Dataset:
    """Parquet files. Only footers are read now; all files must have one schema.

    Parameters
    ----------
    paths : str, list of str, or Job
        Paths, globs (``**`` too), directories, fsspec URLs, or a job that writes Parquet and is run first.
    columns : sequence of str, optional
        Only these.
    batch_rows : int
        Rows of a batch: small row groups are coalesced up to it, larger ones are cut inside.
    storage_options : dict, optional
        For fsspec; never written anywhere.

    Raises
    ------
    InputError
        A file is missing, damaged, or has another schema; the message names it.

    Examples
    --------
    >>> import shardwise as sw
    >>> sw.read_parquet(getfixture("trips")).columns
    ['zone', 'distance', 'hours', 'fare']
    """
    from shardwise.data.parquet import read_parquet as read

    return _files(read, paths, "parquet", columns=columns, batch_rows=batch_rows, storage_options=storage_options)


def read_csv(
    paths: Paths | Job,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    quote: str = '"',
    escape: str | None = None,
    null_values: Sequence[str] | str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
    schema: Any = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: dict[str, Any] | None = None,
) -> Dataset:
    """CSV files, plain (cut at records anywhere) or compressed (``.gz``, ``.zst``: read in order).

    Types are inferred once, from the first 10 000 records of the first file; a later misfit is an error that names
    file and record.

    Parameters
    ----------
    paths : str, list of str, or Job
        As for ``read_parquet``.
    delimiter, header : optional
        Sniffed from the first file unless given.
    quote, escape : str
        Quote character; escape character inside quotes (default: the quote doubled).
    null_values : str or sequence of str, optional
        Texts that mean null. Default: the empty field.
    decimal : str
        ``"."`` or ``","``.
    encoding : str
        Any codec of Python: ``"cp932"``, ``"utf-16"`` ...
    schema : mapping of column to type, or pyarrow.Schema, optional
        Types that are not to be inferred.
    batch_rows, storage_options
        As for ``read_parquet``.
    """
    from shardwise.data.text import read_csv as read

    nulls = ("",) if null_values is None else (null_values,) if isinstance(null_values, str) else tuple(null_values)
    return _files(
        read,
        paths,
        "csv",
        delimiter=delimiter,
        header=header,
        quote=quote,
        escape=escape,
        null_values=nulls,
        decimal=decimal,
        encoding=encoding,
        schema=schema,
        batch_rows=batch_rows,
        storage_options=storage_options,
    )


def read_ndjson(
    paths: Paths | Job,
    *,
    schema: Any = None,
    batch_rows: int = BATCH_ROWS,
    storage_options: dict[str, Any] | None = None,
) -> Dataset:
    """JSON, one object a line, in UTF-8. Parameters as for ``read_csv``."""
    from shardwise.data.text import read_ndjson as read

    return _files(read, paths, "ndjson", schema=schema, batch_rows=batch_rows, storage_options=storage_options)


def read_ipc(
    paths: Paths | Job, *, batch_rows: int = BATCH_ROWS, storage_options: dict[str, Any] | None = None
) -> Dataset:
    """Arrow IPC (Feather) files and streams. Parameters as for ``read_parquet``."""
    from shardwise.data.ipc import read_ipc as read

    return _files(read, paths, "ipc", batch_rows=batch_rows, storage_options=storage_options)


def read_npy(
    paths: Paths | Job, *, batch_rows: int | None = None, storage_options: dict[str, Any] | None = None
) -> Dataset:
    """NumPy files, memory-mapped: arrays of one or two dimensions. Parameters as for ``read_parquet``, but a batch has
    about 4 MiB by default, at most 131 072 rows."""
    from shardwise.data.npy import read_npy as read

    return _files(read, paths, "npy", batch_rows=batch_rows, storage_options=storage_options)


def read_database(
    query: str, *, url: str, partition_on: str | None = None, partitions: int = 8, batch_rows: int = BATCH_ROWS
) -> Dataset:
    """Rows of a query, through ADBC or connectorx.

    Parameters
    ----------
    query : str
        SELECT, in the database's own SQL.
    url : str
        ``sqlite:///path``, ``postgresql://...``; a password in it is never written anywhere.
    partition_on : str, optional
        Column whose range is cut into ``partitions`` queries that run side by side; nulls are a query of their own.
    partitions : int
        How many.
    batch_rows : int
        Rows of a batch.
    """
    from shardwise.data.database import read_database as read

    return Dataset(read(query, url=url, partition_on=partition_on, partitions=partitions, batch_rows=batch_rows))


def from_frame(frame: Any, *, batch_rows: int = BATCH_ROWS) -> Dataset:
    """A frame in memory: anything with the Arrow C stream (pandas, Polars, DuckDB, PyArrow), or a dict of columns.

    Parameters
    ----------
    frame : frame, dict, or Job
        A job's result is taken when the job was run, first.
    batch_rows : int
        Rows of a batch.
    """
    if isinstance(frame, Job):
        return frame.then()
    if isinstance(frame, dict):
        import pyarrow as pa

        frame = pa.table(frame)
    from shardwise.data.memory import from_frame as read

    return Dataset(read(frame, batch_rows=batch_rows))


def from_array(array: Any, *, batch_rows: int | None = None) -> Dataset:
    """A NumPy array in memory; rows are axis 0, columns are called ``c0``, ``c1`` ... Nothing is copied.

    Without ``batch_rows`` it is cut into batches of equal length, of at most 4 MiB and 131 072 rows."""
    from shardwise.data.memory import from_array as read

    return Dataset(read(array, batch_rows=batch_rows))


def from_items(items: Iterable[Any]) -> Dataset:
    """Python objects: a list, or anything that yields them (drawn once, now). One item is one batch."""
    from shardwise.data.items import from_items as read

    return Dataset(read(items))


def generate(rows: int, function: Callable[..., Any], *, seed: int = 0, batch_rows: int = BATCH_ROWS) -> Dataset:
    """Synthetic rows, made batch by batch where they are needed.

    Parameters
    ----------
    rows : int
        How many.
    function : callable
        ``f(rng, n)`` or ``f(rng, n, start)``: gives n rows (a frame, a dict of columns, or an array) from a
        ``numpy.random.Generator`` that is seeded by (seed, batch).
    seed : int
        Of all of it.
    batch_rows : int
        Rows of a batch; other batches give other rows.

    Examples
    --------
    >>> import shardwise as sw
    >>> dice = sw.generate(1000, lambda rng, n: {"eyes": rng.integers(1, 7, n)}, seed=1)
    >>> dice.aggregate(sw.min("eyes"), sw.max("eyes")).run().to_pylist()
    [{'min_eyes': 1, 'max_eyes': 6}]
    """
    from shardwise.data.generate import generate as read

    return Dataset(read(rows, function, seed=seed, batch_rows=batch_rows))


def source_of_result(result: Result) -> Source:
    """The result of a job as a source for another."""
    data = result.data
    if isinstance(data, list):
        from shardwise.data.items import from_items as items

        return cast(Source, items(data))
    import numpy as np

    from shardwise.data import memory

    if isinstance(data, np.ndarray):
        return cast(Source, memory.from_array(data))
    return cast(Source, memory.from_frame(result.to_arrow()))
