"""``shardwise aggregate``: values of all rows, or by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.options import ReadOptions, RunOptions, read_options, run_options, sources_argument
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.api.dataset import Dataset
    from shardwise.api.job import Job
    from shardwise.api.result import Result


@click.command(name="aggregate")
@sources_argument
@click.option(
    "--agg",
    "aggregates",
    multiple=True,
    required=True,
    metavar="NAME=F(COL)",
    help="'avg=mean(value)'; for several, several times.",
)
@click.option("--by", multiple=True, metavar="COL", help="Group by this column; several times for several.")
@click.option("--where", metavar="SQL", help="Only rows where this holds: 'distance > 0 AND fare < 500'.")
@click.option("--with", "derived", multiple=True, metavar="NAME=SQL", help="A column to compute first; several times.")
@click.option("--sort", metavar="COL", help="Sort the result by this column; -COL from large to small.")
@click.option("--head", type=click.IntRange(min=0), metavar="N", help="Only the first N rows of the result.")
@click.option("-o", "--output", metavar="FILE", help="Write the result: .parquet .csv .ndjson .json .arrow .npy.")
@read_options
@run_options
def command(
    sources: tuple[str, ...],
    aggregates: tuple[str, ...],
    by: tuple[str, ...],
    where: str | None,
    derived: tuple[str, ...],
    sort: str | None,
    head: int | None,
    output: str | None,
    reading: ReadOptions,
    options: RunOptions,
) -> None:
    """Aggregate columns of files, whole or by group.

    Functions: count, count_null, sum, mean, var, std, min, max, argmin, argmax, histogram, top_k, cov, corr,
    approx_quantile, approx_n_unique.

    \b
    Examples:
      shardwise aggregate sales.csv --agg 'total=sum(price)' --by shop --sort -total
      shardwise aggregate trips/ --agg 'p95=approx_quantile(speed, 0.95)' --with 'speed=distance / hours'
    """
    from shardwise.cli.jobs import end, print_plan, run_job, show_result
    from shardwise.cli.sources import open_sources
    from shardwise.cli.tables import check_output, write_table

    if output is not None:
        check_output(output)
    dataset = _prepared(open_sources(sources, reading, options.batch_rows), where, derived)
    job = _job(dataset, by, aggregates)
    if options.plan:
        print_plan(job, options)
        return
    arranged = _arranged(run_job(job, options), sort, head)
    if output is not None:
        write_table(arranged.to_arrow(), output, options.quiet)
    if output is None or options.as_json:
        show_result(arranged, options, keys=len(by))
    end(arranged)


def _prepared(dataset: Dataset, where: str | None, derived: tuple[str, ...]) -> Dataset:
    """Columns are computed before rows are chosen, so that ``--where`` may name them."""
    if derived:
        dataset = dataset.with_columns(dict(_named_sql(text) for text in derived))
    return dataset if where is None else dataset.filter(where)


def _named_sql(text: str) -> tuple[str, str]:
    name, equals, sql = text.partition("=")
    if not equals or not name.strip() or not sql.strip():
        raise UsageError(f"--with {text!r} does not say NAME=SQL", "write for example --with 'speed=distance / hours'")
    return name.strip(), sql.strip()


def job_of(values: Mapping[str, Any]) -> Any:
    """The job that the values of a command line describe."""
    from shardwise.cli.sources import open_sources

    reading = ReadOptions(**{name: values[name] for name in ReadOptions.__dataclass_fields__})
    dataset = open_sources(values["sources"], reading, values["batch_rows"])
    return _job(_prepared(dataset, values["where"], values["derived"]), values["by"], values["aggregates"])


def _job(dataset: Dataset, by: tuple[str, ...], aggregates: tuple[str, ...]) -> Job:
    from shardwise.compute.aggregates import parse_aggregate

    named: dict[str, Any] = {}
    for text in aggregates:
        name, aggregate = parse_aggregate(text)
        if name in named:
            raise UsageError(f"two aggregates are called {name!r}", "give each its own name: --agg 'NAME=F(COL)'")
        named[name] = aggregate
    return dataset.group_by(*by).aggregate(**named) if by else dataset.aggregate(**named)


def _arranged(result: Result, sort: str | None, head: int | None) -> Result:
    if sort is not None:
        names = result.to_arrow().column_names
        descending = sort.startswith("-") and sort not in names
        result = result.sort(sort[1:] if descending else sort, descending=descending)
    return result if head is None else result.head(head)
