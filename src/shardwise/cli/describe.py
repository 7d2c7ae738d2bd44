"""``shardwise describe``: what is in the files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shardwise.cli.options import ReadOptions, RunOptions, read_options, run_options, sources_argument


@click.command(name="describe")
@sources_argument
@read_options
@run_options
def command(sources: tuple[str, ...], reading: ReadOptions, options: RunOptions) -> None:
    """Describe every column of files.

    Gives count, nulls, mean, std, min, quartiles, max and distinct values (quartiles and distinct are approximate).
    SOURCE is a file, a directory, a glob or a URL; the suffix says the format (.parquet .csv .tsv .ndjson .arrow .npy,
    text also .gz .zst).

    Example: shardwise describe trips/*.parquet
    """
    from shardwise.cli.jobs import end, print_plan, run_job, show_result
    from shardwise.cli.sources import open_sources

    job = open_sources(sources, reading, options.batch_rows).describe()
    if options.plan:
        print_plan(job, options)
        return
    result = run_job(job, options)
    show_result(result, options)
    end(result)


def job_of(values: Mapping[str, Any]) -> Any:
    """The job that the values of a command line describe."""
    from shardwise.cli.sources import open_sources

    reading = ReadOptions(**{name: values[name] for name in ReadOptions.__dataclass_fields__})
    return open_sources(values["sources"], reading, values["batch_rows"]).describe()
