"""``shardwise growth``: how time and memory of a function grow with its input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import print_json, put, tell
from shardwise.cli.values import COUNT, DURATION, NUMBERS, SIZE
from shardwise.errors import UsageError
from shardwise.sizes import format_brief, format_count, format_size

if TYPE_CHECKING:
    from shardwise.compute.programs.growth import Sample
    from shardwise.plan.growth import Growth


@click.command(name="growth")
@click.argument("target", metavar="FILE.py:FUNCTION")
@click.option("--make", metavar="FILE.py:MAKE", help="Makes an input of a size; else make_FUNCTION or make of FILE.py.")
@click.option("--sizes", type=NUMBERS, help="At least four: 1000..64000:x2. They are chosen unless given.")
@click.option("--at", "asked", type=COUNT, help="Also say what this size would cost, or that it cannot fit: 1M.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, metavar="N", help="Calls for each size, at most: 5.")
@click.option("--seconds", type=DURATION, default=1.0, help="Where sizes are chosen: length of the longest call. 1s.")
@click.option("--memory", type=SIZE, help="What a call may use: 4GB. Four fifths of what is free unless given.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Native threads; as many as there are cores.")
@click.option("-o", "chart", metavar="FILE", help="Also draw a chart: a file ending in .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all digits.")
def command(
    target: str,
    make: str | None,
    sizes: list[int] | None,
    asked: int | None,
    repeats: int,
    seconds: float,
    memory: int | None,
    threads: int | None,
    chart: str | None,
    as_json: bool,
) -> None:
    """Time a function on growing inputs.

    Says how its time and memory grow, with intervals, and what ten times the data will cost; refuses beforehand a
    size that cannot fit in memory. Where measurements do not tell, it says so.

    FUNCTION takes one input, and MAKE makes one of a size: without --make it is the function make_FUNCTION, or else
    make, of the same file.

    For algorithms that see all of their data at once. A map over batches is linear by construction.

    \b
    Example: shardwise growth gram.py:gram -o gram.svg, where gram.py is
      import numpy as np
      def make(n): return np.random.default_rng(0).normal(size=(n, 50))
      def gram(x): return x @ x.T
    """
    from shardwise.api.growth import growth
    from shardwise.plan.charts import check_chart_path

    if chart:
        check_chart_path(chart)
    function, maker = _functions(target, make)
    watch = None if as_json else _tell
    found = growth(
        function, maker, sizes, repeats=repeats, seconds=seconds, memory=memory, threads=threads, watch=watch
    )
    if as_json:
        print_json(_document(found, asked))
    else:
        put("\n".join(found.lines()))
    if chart:
        found.draw(chart)
        tell(f"Wrote {chart}.")
    if asked is not None:
        found.refuse_if_too_large(asked)
        if not as_json:
            put(f"  {format_count(asked)}: {found.at(asked)}")


def _functions(target: str, make: str | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The function and what makes its inputs."""
    from shardwise.cli.scripts import find_function, load_script, split_target

    path, name = split_target(target)
    if name is None:
        raise UsageError(f"{target!r} does not say FILE.py:FUNCTION", f"write for example {target}:solve")
    module = load_script(path)
    function = find_function(module, path, name)
    if make is None:
        return function, _by_convention(module, path, name)
    other, maker = split_target(make)
    if maker is None:
        raise UsageError(f"--make {make!r} does not say FILE.py:MAKE", f"write for example --make {make}:make")
    return function, find_function(module if other == path else load_script(other), other, maker)


def _by_convention(module: ModuleType, path: Path, name: str) -> Callable[..., Any]:
    for convention in (f"make_{name}", "make"):
        maker = getattr(module, convention, None)
        if callable(maker):
            return maker  # type: ignore[no-any-return]
    raise UsageError(
        f"{path} has neither make_{name} nor make, which would make an input of a size",
        "write one: def make(n): return ...; or name one: --make FILE.py:MAKE",
    )


def _tell(sample: Sample) -> None:
    took, held = format_brief(median(sample.seconds)), format_size(sample.memory)
    tell(f"{format_count(sample.size):>13}  {took:>8}  {held:>8}")


def _document(found: Growth, asked: int | None) -> dict[str, Any]:
    from shardwise.plan.growth import cost_to_dict

    document = found.to_dict()
    return document if asked is None else {**document, "at": cost_to_dict(found.at(asked))}
