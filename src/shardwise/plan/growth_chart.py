"""A chart of how time and memory grow, as SVG or PNG (extra ``charts``)."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from shardwise.plan.charts import COLOURS
from shardwise.plan.figures import new_chart
from shardwise.plan.growth import STEPS, Growth
from shardwise.sizes import format_brief, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from shardwise.plan.power_law import PowerLaw

_POINTS = 120


def draw_growth(path: str, growth: Growth) -> None:
    """Draw seconds and bytes over the size: dots measured, lines fitted, bands where they may lie.

    Parameters
    ----------
    path : str
        Ends in .svg or .png.
    growth : Growth

    Raises
    ------
    UsageError
        The suffix is another one.
    MissingExtra
        Matplotlib is not installed.
    StorageError
        The file cannot be written.
    """
    with new_chart(path, f"How {growth.name} grows with its input") as figure:
        left, right = figure.subplots(1, 2)
        sizes = [sample.size for sample in growth.samples]
        _draw(left, sizes, [median(sample.seconds) for sample in growth.samples], growth.time, COLOURS[0])
        _finish(left, "time of a call", format_brief)
        _draw(right, sizes, [sample.memory for sample in growth.samples], growth.memory, COLOURS[1])
        room = growth.limit - growth.base
        if growth.memory is not None and growth.memory.at(STEPS * max(sizes)).high > room / 10:
            right.axhline(room, color=COLOURS[6], linestyle="--", linewidth=1.2, label=f"limit {format_size(room)}")
        _finish(right, "memory of a call, its input included", format_size)


def _draw(axes: Axes, sizes: list[int], values: list[float], law: PowerLaw | None, colour: str) -> None:
    if law is not None:
        line = np.geomspace(min(sizes), STEPS * max(sizes), _POINTS)
        found = [law.at(size) for size in line]
        label = "fitted: the exponent cannot be told" if law.doubt else f"fitted: n^{law.exponent:.2f}"
        axes.plot(line, [each.value for each in found], color=colour, linewidth=2, label=label)
        axes.fill_between(line, [each.low for each in found], [each.high for each in found], color=colour, alpha=0.15)
    axes.plot(sizes, values, "o", color=colour, markersize=6, label="measured")


def _finish(axes: Axes, label: str, form: Callable[[float], str]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("size n")
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(lambda value, _: form(value))
    axes.grid(visible=True, color="#e5e5e5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
