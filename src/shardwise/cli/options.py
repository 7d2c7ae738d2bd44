"""Options that several commands share, each defined once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from shardwise.cli.values import COUNT, DURATION, SHARE, SIZE
from shardwise.errors import UsageError

Command = Callable[..., None]

FORMATS = ("parquet", "csv", "ndjson", "ipc", "npy")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a job is to be run, as typed. None: not said."""

    engine: str | None = None
    workers: int | None = None
    memory: int | None = None
    batch_rows: int | None = None
    shard_size: int | None = None
    retries: int | None = None
    timeout: float | None = None
    speculate: bool | None = None
    on_error: str | None = None
    max_quarantined: str | None = None
    seed: int | None = None
    run_dir: str | None = None
    check: bool = False
    redundancy: int | None = None
    restart: bool = False
    first: float | None = None
    ship: tuple[str, ...] = ()
    progress: str = "auto"
    plan: bool = False
    rows: int | None = None
    sample: float | None = None
    no_sample: bool = False
    as_json: bool = False
    quiet: bool = False

    def for_plan(self) -> dict[str, Any]:
        """Arguments of ``job.plan``: only what was said."""
        sample = 0.0 if self.no_sample else self.sample
        asked = {"rows": self.rows, "sample": sample}
        return self._said() | {name: value for name, value in asked.items() if value is not None}

    def for_run(self) -> dict[str, Any]:
        """Arguments of ``job.run``.

        Raises
        ------
        UsageError
            Something was said that only a plan can heed.
        """
        for name in ("rows", "sample", "no_sample"):
            if getattr(self, name) not in (None, False):
                raise UsageError(f"--{name.replace('_', '-')} says how to plan", "add --plan")
        return {**self._said(), "progress": "none" if self.quiet else self.progress}

    def _said(self) -> dict[str, Any]:
        names = ["engine", "workers", "memory", "shard_size", "retries", "timeout", "speculate", "seed", "run_dir"]
        names += ["first", "on_error", "max_quarantined", "redundancy"]
        said = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in said.items() if value is not None}
        given |= {"ship": self.ship} if self.ship else {}
        return given | ({"restart": True} if self.restart else {})


_RUN_OPTIONS = (
    click.option(
        "--engine",
        metavar="URL",
        help="Where to run: inline, local, local:4, dask://HOST:PORT, ray://auto ...; auto decides (the default).",
    ),
    click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Worker processes."),
    click.option("--memory", type=SIZE, help="Memory of all processes together: 4GB, 512MiB."),
    click.option("--batch-rows", type=COUNT, help="Rows of a batch, the unit that functions see: 131072, 250k."),
    click.option("--shard-size", type=SIZE, help="Bytes of a shard, the unit that is scheduled: 64MB."),
    click.option("--retries", type=click.IntRange(min=0), metavar="N", help="How often a task that failed is retried."),
    click.option("--timeout", type=DURATION, help="Kill an attempt that takes longer: 90s, 2m."),
    click.option(
        "--speculate/--no-speculate", default=None, help="Try slow tasks a second time on idle workers (the default)."
    ),
    click.option("--seed", type=int, metavar="N", help="Seed of all randomness."),
    click.option(
        "--on-error",
        type=click.Choice(["fail", "quarantine"]),
        help="What a row that makes a function fail does: fail.",
    ),
    click.option("--max-quarantined", metavar="N|SHARE", help="Fail where more rows go to quarantine: 20, 0.1%."),
    click.option("--run-dir", metavar="DIR", help="Directory of the run; the cache unless given."),
    click.option(
        "--check", is_flag=True, help="First see on a sample whether functions are deterministic, and need no cut."
    ),
    click.option("--redundancy", type=click.IntRange(1, 2), metavar="2", help="Do every task twice, and compare."),
    click.option("--restart", is_flag=True, help="Begin anew, also where a run could go on or is finished."),
    click.option("--first", type=SHARE, help="Only the first part of the data: 1%. A later whole run reuses it."),
    click.option(
        "--ship", multiple=True, metavar="MODULE", help="Send a module or package, by name or path, to clusters."
    ),
    click.option("--plan", is_flag=True, help="Try a little, print what would happen, time and memory, and stop."),
    click.option("--rows", type=COUNT, help="With --plan: for so many rows instead of those there are: 1e9."),
    click.option(
        "--sample", type=SHARE, help="With --plan: try this part of the work, whatever it takes (5%, for 5 s)."
    ),
    click.option("--no-sample", is_flag=True, help="With --plan: try nothing, and predict no time."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document with all digits, nothing else."),
    click.option("--quiet", is_flag=True, help="Say nothing on standard error unless something fails."),
    click.option(
        "--progress", type=click.Choice(["auto", "bar", "plain", "none"]), default="auto", help="How to show progress."
    ),
)


def run_options(function: Command) -> Command:
    """Give a command all options of a run; it gets them as one argument, ``options``."""
    return _bundle(function, _RUN_OPTIONS, RunOptions, "options")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How sources are to be read, as typed. None: not said."""

    format: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    quote: str | None = None
    null_value: tuple[str, ...] = ()
    decimal: str | None = None
    encoding: str | None = None
    column: tuple[str, ...] = ()


_READ_OPTIONS = (
    click.option("--format", type=click.Choice(FORMATS), help="Of the sources, where the suffix does not say it."),
    click.option("--delimiter", metavar="C", help=r"CSV: between fields; tab or \t for tabs."),
    click.option("--header/--no-header", default=None, help="CSV: whether the first record holds the names."),
    click.option("--quote", metavar="C", help='CSV: around fields; none for no quoting. Default ".'),
    click.option("--null-value", multiple=True, metavar="TEXT", help="CSV: means null; may be given several times."),
    click.option("--decimal", type=click.Choice([".", ","]), help="CSV: the decimal mark."),
    click.option("--encoding", metavar="NAME", help="CSV: cp932, latin-1 ... Default utf-8."),
    click.option("--column", multiple=True, metavar="NAME=TYPE", help="CSV, NDJSON: type of a column, not inferred."),
)


def read_options(function: Command) -> Command:
    """Give a command the arguments SOURCE... and all options of reading, as ``sources`` and ``reading``."""
    return _bundle(function, _READ_OPTIONS, ReadOptions, "reading")


sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")


def _bundle(
    function: Command, options: Sequence[Callable[[Command], Command]], kind: Callable[..., Any], name: str
) -> Command:
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]

    @functools.wraps(function)
    def bundled(**values: Any) -> None:
        taken = {key: values.pop(key) for key in fields if key in values}
        function(**values, **{name: kind(**taken)})

    decorated: Command = bundled
    for option in reversed(options):
        decorated = option(decorated)
    return decorated
