"""The charts, empty: Bokeh's figures, which the page's script fills and moves (extra ``report``).

They are the same for every run. Data, colours and languages come from the page, so that what is drawn can change while
a run goes on, and follows light and dark.
"""

from __future__ import annotations

import base64
import functools
import gzip
from typing import TYPE_CHECKING, Any

from shardwise.errors import MissingExtra

if TYPE_CHECKING:
    from bokeh.plotting import figure

SPENT = ("reading", "computing", "writing", "waiting", "starting", "retrying")
ATTEMPTS = ("waiting", "reading", "computing", "writing", "overhead", "in_vain", "attempt_failed")
"""What is drawn in a lane, each above the one before."""

HATCHES = {"attempt_failed": "x", "in_vain": "/"}
TIME_FIGURES = ("timeline", "rows", "bytes")
"""They share one range of time."""

HEIGHTS = {"timeline": 200, "rows": 170, "bytes": 170, "time": 150, "memory": 150, "where": 90}


@functools.cache
def library() -> str:
    """Bokeh's own JavaScript: what draws figures, no widgets, tables, WebGL, mathematics.

    Raises
    ------
    MissingExtra
        Bokeh is not installed.
    """
    _bokeh()
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


@functools.cache
def packed_library() -> str:
    """The same, compressed (gzip, base64)."""
    return base64.b64encode(gzip.compress(library().encode(), mtime=0)).decode()


@functools.cache
def figures() -> dict[str, Any]:
    """Each figure as JSON, by its name."""
    _bokeh()
    from bokeh.embed import json_item

    made = {"timeline": _timeline(), "rows": _line("rows"), "bytes": _line("bytes")}
    made |= {"time": _pairs("time"), "memory": _pairs("memory"), "where": _where()}
    return {name: json_item(figure) for name, figure in made.items()}


def _bokeh() -> None:
    try:
        import bokeh.plotting  # noqa: F401 - slow, and all that follows needs it
    except ImportError as error:
        raise MissingExtra("the charts of a report need Bokeh", 'pip install "shardwise[report]"') from error


def _figure(name: str, tools: list[Any], **more: Any) -> figure:
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    made = figure(
        name=name,
        height=HEIGHTS[name],
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools=tools,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_right=16,
        **more,
    )
    made.xaxis.minor_tick_line_color = made.yaxis.minor_tick_line_color = None
    return made


def _timeline() -> figure:
    from bokeh.models import TapTool

    made = _figure("timeline", _moving())
    made.ygrid.visible = False
    for name in ATTEMPTS:
        source = _source(name, ["left", "right", "y", "about", "span"])
        look = {"hatch_pattern": HATCHES[name], "hatch_scale": 6, "hatch_weight": 1} if name in HATCHES else {}
        drawn = made.hbar(
            y="y", left="left", right="right", height=0.74, line_color=None, source=source, name=name, **look
        )
        drawn.selection_glyph = drawn.nonselection_glyph = None  # the script marks what is chosen
    for name in ("tried_again", "backup", "selected"):
        source = _source(name, ["left", "right", "y"])
        made.hbar(y="y", left="left", right="right", height=0.82, fill_color=None, source=source, name=name)
    bars = [each for each in made.renderers if each.name in ATTEMPTS]
    made.add_tools(_hover(bars), TapTool(renderers=[each for each in bars if each.name != "waiting"]))
    return made


def _line(name: str) -> figure:
    made = _figure(name, _moving())
    source = _source(name, ["x", "y", "about"])
    made.varea(x="x", y1=0, y2="y", fill_alpha=0.25, source=source, name="area")
    line = made.line(x="x", y="y", line_width=2, source=source, name="line")
    made.add_tools(_hover([line], "vline"))
    return made


def _pairs(name: str) -> figure:
    """Two bars a row: predicted and measured."""
    made = _figure(name, [])
    made.ygrid.visible = False
    for kind in ("predicted", "was"):
        source = _source(kind, ["y", "right", "about"])
        made.hbar(y="y", left=0, right="right", height=0.34, line_width=1, source=source, name=kind)
    made.add_tools(_hover(made.renderers))
    return made


def _where() -> figure:
    made = _figure("where", [])
    made.yaxis.visible = made.ygrid.visible = False
    for name in SPENT:
        source = _source(name, ["left", "right", "about"])
        made.hbar(y=0.5, left="left", right="right", height=0.7, source=source, name=name)
    made.add_tools(_hover(made.renderers))
    return made


def _source(name: str, columns: list[str]) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [] for column in columns}, name=f"source-{name}")


def _moving() -> list[Any]:
    from bokeh.models import PanTool, WheelZoomTool

    wheel = WheelZoomTool(dimensions="width", name="wheel", modifiers={"ctrl": True}, maintain_focus=False)
    return [PanTool(dimensions="width"), wheel]


def _hover(renderers: list[Any], mode: str = "mouse") -> Any:
    """Finds what lies under the pointer; the script says what it is, in the page's own colours."""
    from bokeh.models import HoverTool

    return HoverTool(tooltips=None, renderers=renderers, mode=mode)
