"""``shardwise map``: a Python function over every batch of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.options import FORMATS, ReadOptions, RunOptions, read_options, run_options, sources_argument
from shardwise.errors import UsageError

if TYPE_CHECKING:
    from shardwise.api.dataset import Dataset


@click.command(name="map")
@sources_argument
@click.argument("function", metavar="FILE.py:FUNCTION")
@click.option("-o", "--output", required=True, metavar="DIR", help="Directory to write into.")
@click.option("--to", "form", type=click.Choice(FORMATS), help="Format of the output; parquet.")
@click.option("--overwrite", is_flag=True, help="Replace what is in DIR.")
@read_options
@run_options
def command(
    sources: tuple[str, ...],
    function: str,
    output: str,
    form: str | None,
    overwrite: bool,
    reading: ReadOptions,
    options: RunOptions,
) -> None:
    """Call a Python function on every batch.

    What it returns is written to DIR.

    The annotation of its first parameter says what it gets: pa.Table, pd.DataFrame, pl.DataFrame, np.ndarray or list.

    Example: shardwise map trips/*.parquet clean.py:clean -o clean/
    """
    from shardwise.cli.jobs import end, print_plan, run_job

    mapped = _mapped(sources, function, reading, options.batch_rows)
    job = _write(mapped, form or "parquet", output, overwrite)
    if options.plan:
        print_plan(job, options)
        return
    result = run_job(job, options)
    _show(result, output, options)
    end(result)


def _mapped(sources: Sequence[str], function: str, reading: ReadOptions, batch_rows: int | None) -> Dataset:
    from shardwise.cli.scripts import find_function, load_script, split_target
    from shardwise.cli.sources import open_sources

    path, name = split_target(function)
    if name is None:
        raise UsageError(f"{function!r} does not say FILE.py:FUNCTION", f"write for example {function}:clean")
    dataset = open_sources(sources, reading, batch_rows)
    return dataset.map(find_function(load_script(path), path, name))


def job_of(values: Mapping[str, Any]) -> Any:
    """The job that the values of a command line describe."""
    reading = ReadOptions(**{name: values[name] for name in ReadOptions.__dataclass_fields__})
    mapped = _mapped(values["sources"], values["function"], reading, values["batch_rows"])
    return _write(mapped, values["form"] or "parquet", values["output"], values["overwrite"])


def _write(dataset: Dataset, form: str, output: str, overwrite: bool) -> Any:
    return getattr(dataset, f"write_{form}")(output, overwrite=overwrite)


def _show(result: Any, output: str, options: RunOptions) -> None:
    """The files are the result; standard output has their list only as JSON."""
    from shardwise.cli.jobs import document, plural, run_line
    from shardwise.cli.output import print_json, tell
    from shardwise.sizes import format_size

    if options.as_json:
        print_json(document(result))
    elif not options.quiet:
        files = result.to_arrow()
        rows, size = (sum(files.column(name).to_pylist()) for name in ("rows", "bytes"))
        count = plural(files.num_rows, "file")
        tell(f"Wrote {plural(rows, 'row')} to {count} in {output} ({format_size(size)}).")
        tell(run_line(result))
