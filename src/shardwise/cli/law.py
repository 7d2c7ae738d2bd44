"""``shardwise law``: what N workers can give at best."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from shardwise.cli.output import print_json, put, tell
from shardwise.cli.values import FRACTIONS, NUMBERS
from shardwise.plan import laws
from shardwise.plan.charts import Curve, check_chart_path, draw_speed_ups
from shardwise.sizes import format_percent

Options = Callable[[Callable[..., None]], Callable[..., None]]


@dataclass(frozen=True, slots=True)
class Case:
    """A law with parameters filled in.

    ``parameters`` are named as in JSON; ``shown`` are the same for people; ``notes`` are further facts, as name, text.
    """

    law: str
    parameters: dict[str, float]
    shown: dict[str, str]
    curve: Curve
    notes: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()


@click.group(name="law")
def command() -> None:
    """What N workers can give, by the laws of speed-up.

    Lists and ranges of values: --workers 1,2,4 or 1..64 or 1..1024:x2; --parallel 0.5,0.9,0.99 or 80%.
    """


def _output_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all digits."),
        click.option("-o", "chart", metavar="FILE", help="Also draw a chart: a file ending in .svg or .png."),
        click.option("--workers", type=NUMBERS, required=True, help="Numbers of workers: 16, 1,2,4 or 1..64:x2."),
    ):
        function = option(function)
    return function


@command.command()
@click.option("--parallel", type=FRACTIONS, required=True, help="Fraction of the one-worker time that is parallel.")
@_output_options
def amdahl(parallel: list[float], workers: list[int], chart: str | None, as_json: bool) -> None:
    """Amdahl (1967): a fixed amount of work.

    speed-up = 1 / ((1 - p) + p / N)

    Example: shardwise law amdahl --parallel 0.8 --workers 16
    """
    cases = [
        Case(
            "amdahl",
            {"parallel": p},
            {"parallel": _fraction(p)},
            Curve(f"{_fraction(p)} parallel", lambda n, p=p: laws.amdahl(p, n), laws.amdahl_limit(p)),  # type: ignore[misc]
        )
        for p in parallel
    ]
    _show("Amdahl's law (1967): speed-up = 1 / ((1 - p) + p / N)", cases, workers, chart, as_json)


@command.command()
@click.option("--parallel", type=FRACTIONS, required=True, help="Fraction of the time on N workers that is parallel.")
@_output_options
def gustafson(parallel: list[float], workers: list[int], chart: str | None, as_json: bool) -> None:
    """Gustafson (1988): work that grows with the workers.

    scaled speed-up = (1 - p) + p N

    Example: shardwise law gustafson --parallel 0.8 --workers 1..64:x2
    """
    cases = [
        Case(
            "gustafson",
            {"parallel": p},
            {"parallel": _fraction(p)},
            Curve(f"{_fraction(p)} parallel", lambda n, p=p: laws.gustafson(p, n), math.inf if p else 1.0),  # type: ignore[misc]
        )
        for p in parallel
    ]
    _show("Gustafson's law (1988): scaled speed-up = (1 - p) + p N", cases, workers, chart, as_json)


@command.command()
@click.option("--contention", type=FRACTIONS, required=True, help="Share of work that waits for something shared.")
@click.option("--coherency", type=FRACTIONS, required=True, help="Cost of agreement for each pair of workers.")
@_output_options
def usl(contention: list[float], coherency: list[float], workers: list[int], chart: str | None, as_json: bool) -> None:
    """Universal Scalability Law (Gunther 1993): adding workers can harm.

    speed-up = N / (1 + s (N - 1) + k N (N - 1)), s = contention, k = coherency

    Example: shardwise law usl --contention 0.05 --coherency 0.001 --workers 1..64:x2 -o usl.svg
    """
    cases = [_usl_case(s, k) for s in contention for k in coherency]
    title = "Universal Scalability Law (Gunther 1993): speed-up = N / (1 + s (N - 1) + k N (N - 1))"
    _show(title, cases, workers, chart, as_json)


def _usl_case(s: float, k: float) -> Case:
    peak = laws.usl_peak(s, k)
    return Case(
        "usl",
        {"contention": s, "coherency": k},
        {"contention": f"{s:g}", "coherency": f"{k:g}"},
        Curve(f"contention {s:g}, coherency {k:g}", lambda n: laws.usl(n, s, k), laws.usl_limit(s, k)),
        notes=(("peak at", "more is always faster" if peak is None else _workers(peak)),),
        facts=(("peak_workers", peak),),
    )


@command.command("karp-flatt")
@click.option("--speed-up", type=float, required=True, help="Measured: seconds with 1 worker / seconds with N.")
@click.option("--workers", type=int, required=True, help="N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all digits.")
def karp_flatt(speed_up: float, workers: int, as_json: bool) -> None:
    """Karp and Flatt (1990): the serial fraction that a measured speed-up tells of.

    serial fraction = (1 / S - 1 / N) / (1 - 1 / N)

    Example: shardwise law karp-flatt --speed-up 4 --workers 16
    """
    serial = laws.karp_flatt(speed_up, workers)
    limit = laws.amdahl_limit(1 - serial) if 0 <= serial <= 1 else None
    if as_json:
        row = {"speed_up": speed_up, "workers": workers, "serial": serial, "limit": _number(limit)}
        print_json({"law": "karp-flatt", "rows": [row]})
        return
    put("Karp and Flatt (1990): serial fraction = (1 / S - 1 / N) / (1 - 1 / N)\n")
    facts = [("serial fraction", format_percent(serial))]
    if limit is not None:
        facts += [("parallel fraction", format_percent(1 - serial)), ("limit (Amdahl)", _times(limit))]
    elif serial < 0:
        facts.append(("remark", f"more than {workers} x: each worker had more cache or memory than the one alone"))
    else:
        facts.append(("remark", f"{workers} workers were slower than one"))
    _print_facts(facts)


def _show(title: str, cases: Sequence[Case], workers: Sequence[int], chart: str | None, as_json: bool) -> None:
    if chart:
        check_chart_path(chart)
    rows = [_row(case, n) for case in cases for n in workers]
    if as_json:
        print_json({"law": cases[0].law, "rows": rows})
    else:
        put(title + "\n")
        if len(rows) == 1:
            _print_one(cases[0], workers[0])
        else:
            _print_many(cases, workers)
    if chart:
        draw_speed_ups(chart, title, [case.curve for case in cases], workers)
        tell(f"Wrote {chart}.")


def _row(case: Case, workers: int) -> dict[str, Any]:
    speed_up = case.curve.speed_up(workers)
    return {
        **case.parameters,
        "workers": workers,
        "speed_up": speed_up,
        "efficiency": laws.efficiency(speed_up, workers),
        "limit": _number(case.curve.limit),
        **dict(case.facts),
    }


def _print_one(case: Case, workers: int) -> None:
    speed_up = case.curve.speed_up(workers)
    _print_facts(
        [
            *case.shown.items(),
            ("workers", str(workers)),
            ("speed-up", _times(speed_up)),
            ("efficiency", format_percent(laws.efficiency(speed_up, workers))),
            ("limit", _times(case.curve.limit)),
            *case.notes,
        ]
    )


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        put(f"{name.ljust(width)}  {text}")


def _print_many(cases: Sequence[Case], workers: Sequence[int]) -> None:
    from shardwise.report.tables import Column, draw, style_of

    cells: dict[str, list[str | None]] = {}
    for case in cases:
        for n in workers:
            speed_up = case.curve.speed_up(n)
            row = {
                **case.shown,
                "workers": str(n),
                "speed-up": _times(speed_up),
                "efficiency": format_percent(laws.efficiency(speed_up, n)),
                "limit": _times(case.curve.limit),
                **dict(case.notes),
            }
            for name, text in row.items():
                cells.setdefault(name, []).append(text)
    columns = [Column(name, texts, right=True) for name, texts in cells.items()]
    rules = frozenset(range(len(workers), len(cases) * len(workers), len(workers))) if len(workers) > 1 else frozenset()
    put(draw(columns, style_of(sys.stdout), keys=len(cases[0].shown) + 1, rules=rules))


def _fraction(value: float) -> str:
    """A percentage with all its digits and at least one decimal."""
    digits = f"{value * 100:.10f}".rstrip("0").partition(".")[2]
    return format_percent(value, max(1, len(digits)))


def _times(value: float) -> str:
    return f"{value:.2f} x" if math.isfinite(value) else "none"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _number(value: float | None) -> float | None:
    """JSON has no infinity: no limit is null."""
    return value if value is not None and math.isfinite(value) else None
