"""Charts of the laws of speed-up, as SVG or PNG (extra ``charts``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from shardwise.errors import MissingExtra, StorageError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8c564b")
"""Told apart also by the colour-blind (Okabe and Ito's palette, darkened where it was pale on white)."""

MOST_CURVES = len(COLOURS)
MOST_DOTS = 24
POINTS = 240


@dataclass(frozen=True, slots=True)
class Curve:
    """A law with its parameters filled in: ``speed_up(workers)``, and the speed-up it never passes (may be inf)."""

    label: str
    speed_up: Callable[[int], float]
    limit: float = math.inf


@dataclass(frozen=True, slots=True)
class Dots:
    """What was measured: numbers of workers, the speed-up of each measurement, and which curve's colour they have."""

    label: str
    workers: tuple[int, ...]
    speed_ups: tuple[float, ...]
    colour: int


def check_chart_path(path: str, curves: int = 1) -> None:
    """Refuse a chart before any work.

    Raises
    ------
    UsageError
        Its path ends neither in .svg nor in .png, or it has too many curves.
    MissingExtra
        Matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"{path!r} is not a chart that can be drawn", "name a file that ends in .svg or .png")
    if curves > MOST_CURVES:
        raise UsageError(f"{curves} curves cannot be told apart in one chart", f"give at most {MOST_CURVES}")
    if find_spec("matplotlib") is None:
        raise MissingExtra("a chart needs Matplotlib", 'pip install "shardwise[charts]"')


def draw_speed_ups(
    path: str, title: str, curves: Sequence[Curve], workers: Sequence[int], measured: Sequence[Dots] = ()
) -> None:
    """Draw speed-up and efficiency over workers, and write it as the suffix of ``path`` says.

    Parameters
    ----------
    path : str
        Ends in .svg or .png.
    title : str
    curves : sequence of Curve
        At most ``MOST_CURVES``.
    workers : sequence of int
        The numbers of workers asked for: each gets a dot where they are few; lines run from 1 to the largest.
    measured : sequence of Dots
        Drawn beside the curves, which have no dots of their own then.

    Raises
    ------
    UsageError
        The suffix is another one, or there are too many curves.
    MissingExtra
        Matplotlib is not installed.
    StorageError
        The file cannot be written.
    """
    check_chart_path(path, len(curves))
    import matplotlib
    from matplotlib.figure import Figure

    # The same numbers give the same file: fixed ids in SVG, and no date.
    with matplotlib.rc_context({"svg.hashsalt": "shardwise", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(10, 5), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2)
        figure.suptitle(title, fontsize=12)
        _draw_speed_up(left, curves, workers, not measured)
        _draw_efficiency(right, curves, workers, not measured)
        for axes, divided in ((left, False), (right, True)):
            _draw_measured(axes, measured, divided)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        try:
            figure.savefig(path, metadata={"Date": None} if path.lower().endswith(".svg") else {})
        except OSError as error:
            raise StorageError(f"the chart {path} cannot be written: {error.strerror or error}") from error


def _draw_speed_up(axes: Axes, curves: Sequence[Curve], workers: Sequence[int], dotted: bool) -> None:
    line = _worker_numbers(max(workers))
    top = 1.0
    for colour, curve in zip(COLOURS, curves, strict=False):
        values = [curve.speed_up(n) for n in line]
        top = max(top, *values)
        axes.plot(line, values, color=colour, label=curve.label, linewidth=2)
        _dots(axes, workers if dotted else (), [curve.speed_up(n) for n in workers], colour)
    for colour, curve in zip(COLOURS, curves, strict=False):
        if math.isfinite(curve.limit) and curve.limit <= 1.5 * top:
            top = max(top, curve.limit)
            axes.axhline(curve.limit, color=colour, linestyle=":", linewidth=1.2)
            axes.annotate(
                f"limit {curve.limit:.3g} x", (1, curve.limit), xycoords=("axes fraction", "data"), color=colour,
                xytext=(-4, 3), textcoords="offset points", ha="right", fontsize=9,
            )  # fmt: skip
    axes.plot(line, line, color="#888888", linestyle="--", linewidth=1, label="ideal: N workers, N times faster")
    _finish_axes(axes, max(workers), "speed-up (times faster than one worker)")
    axes.set_ylim(0, 1.1 * top)


def _draw_efficiency(axes: Axes, curves: Sequence[Curve], workers: Sequence[int], dotted: bool) -> None:
    line = _worker_numbers(max(workers))
    top = 100.0
    for colour, curve in zip(COLOURS, curves, strict=False):
        values = [100 * curve.speed_up(n) / n for n in line]
        top = max(top, *values)
        axes.plot(line, values, color=colour, linewidth=2)
        _dots(axes, workers if dotted else (), [100 * curve.speed_up(n) / n for n in workers], colour)
    axes.axhline(100, color="#888888", linestyle="--", linewidth=1)
    _finish_axes(axes, max(workers), "efficiency (% of what each worker could do)")
    axes.set_ylim(0, 1.08 * top)


def _dots(axes: Axes, workers: Sequence[int], values: Sequence[float], colour: str) -> None:
    if 0 < len(workers) <= MOST_DOTS:
        axes.plot(workers, values, "o", color=colour, markersize=5)


def _draw_measured(axes: Axes, measured: Sequence[Dots], efficiency: bool) -> None:
    """Crosses: one for each measurement."""
    for dots in measured:
        values = [100 * s / n if efficiency else s for n, s in zip(dots.workers, dots.speed_ups)]
        label = "_nolegend_" if efficiency else dots.label
        colour = COLOURS[dots.colour]
        axes.plot(dots.workers, values, "x", color=colour, markersize=8, markeredgewidth=2, label=label, clip_on=False)
        axes.set_ylim(0, max(axes.get_ylim()[1], *(1.1 * value for value in values)))


def _finish_axes(axes: Axes, most: int, label: str) -> None:
    axes.set_xlabel("workers")
    axes.set_ylabel(label)
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if most > 32:
        powers = [2**k for k in range(0, most.bit_length() + 1, 1 + most.bit_length() // 10) if 2**k <= most]
        axes.set_xscale("log", base=2)
        axes.set_xticks(powers, [str(n) for n in powers])
        axes.minorticks_off()
        axes.set_xlim(1, most * 1.05)
    else:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(1 if most > 1 else 0, most + max(1, most) * 0.02)


def _worker_numbers(most: int) -> list[int]:
    """Whole numbers from 1 to the most, dense where there are few and by equal ratios beyond."""
    if most <= POINTS:
        return list(range(1, most + 1))
    return sorted({round(most ** (i / (POINTS - 1))) for i in range(POINTS)} | {1, most})
