"""A run's report as one HTML page that needs nothing besides itself."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from string import Template
from typing import Any

from shardwise._version import __version__
from shardwise.report.page import pen, plan_part, rest_part, time_part
from shardwise.report.page.gaps import without_gaps
from shardwise.report.page.html import Html, join, script_json, tag, visible
from shardwise.report.page.series import series
from shardwise.report.page.texts import LANGUAGES, Texts, language_of_locale, texts

__all__ = ["LANGUAGES", "language_of_locale", "render", "update"]

SECTIONS = ("plan", "measured", "timeline", "throughput", "where", "slow", "quarantine", "logs", "advice")
CHARTS = {
    "measured": {"time": "chart_time", "memory": "chart_memory"},
    "throughput": {"rows": "rows_per_second", "bytes": "bytes_per_second"},
    "where": {"where": "worker_seconds"},
}
PARTS = {
    "summary": plan_part.summary,
    "plan": plan_part.plan,
    "measured": plan_part.measured,
    "timeline": time_part.workers,
    "throughput": time_part.throughput,
    "where": time_part.where,
    "slow": rest_part.slow,
    "quarantine": rest_part.quarantine,
    "logs": rest_part.said,
    "advice": rest_part.advice,
}
SCRIPTS = ("words.js", "charts.js", "hints.js", "timeline.js", "tasks.js", "panel.js", "main.js")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser lets the page do: nothing from outside, and no script but its own two, named by their digests. A live
page may also ask the server that it came from."""


def render(document: dict[str, Any], lang: str = "en", live: str | None = None, charts: bool = True) -> str:
    """A whole page.

    Parameters
    ----------
    document : dict
        What ``report.document.document`` gave, or its JSON read again.
    lang : {"en", "ja"}
        Language of the page's own words.
    live : str, optional
        Where the page asks for news, relative to itself; None: it stays as it is.
    charts : bool
        Without them the page is small and needs no Bokeh; its tables say the same.

    Raises
    ------
    MissingExtra
        There are to be charts, and Bokeh is not installed.
    """
    t, document = texts(lang), without_gaps(document)
    name = visible(pen.fields(document.get("run")).get("id", ""))
    parts, data = _parts(document, t), series(document)
    library, packed, figures = _charts() if charts else ("", "", {})
    script = _script()
    facts = {"live": live, "figures": sorted(figures)}
    return _template().substitute(
        lang=lang,
        title=tag("title", f"{t['run']} {name} · Shardwise"),
        policy=f"{POLICY}; script-src {_named(script)} {_named(library)}" + ("; connect-src 'self'" if live else ""),
        style=_file("page.css"),
        skip=tag("a", t["skip"], href="#main", class_="skip"),
        head=_head(name, t),
        main=join([_part("summary", parts), *_note(charts, t), *(_section(s, parts, t, charts) for s in SECTIONS)]),
        panel=_panel(t),
        foot=tag("footer", f"{t['made']} {__version__}"),
        data=script_json({"texts": t, "lang": lang, "facts": facts, "series": data}),
        figures="".join(
            f'<script type="application/json" id="figure-{n}">{script_json(j)}</script>' for n, j in figures.items()
        ),
        library=f'<script type="text/plain" id="library">{packed}</script>' if charts else "",
        script=script,
    )


def update(document: dict[str, Any], lang: str = "en") -> dict[str, Any]:
    """What a live page asks for: its parts and the data of its charts, as they are now."""
    together = without_gaps(document)
    return {"parts": _parts(together, texts(lang)), "series": series(together)}


def _parts(document: dict[str, Any], t: Texts) -> dict[str, Html]:
    return {name: draw(document, t) for name, draw in PARTS.items()}


def _charts() -> tuple[str, str, dict[str, Any]]:
    from shardwise.report.page import charts

    return charts.library(), charts.packed_library(), charts.figures()


@functools.cache
def _script() -> str:
    """The page's own script."""
    return '"use strict";\n(() => {\n' + "\n".join(map(_file, SCRIPTS)) + "})();\n"


@functools.cache
def _named(script: str) -> str:
    """A script as a Content-Security-Policy names it (CSP level 2)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _head(name: str, t: Texts) -> Html:
    links = (tag("li", tag("a", t[section], href=f"#{section}")) for section in SECTIONS)
    theme = tag("button", t["theme"], type="button", id="theme", aria_pressed="false")
    title = tag("h1", f"{t['run']} ", tag("code", name))
    nav = tag("nav", tag("ul", *links), aria_label=t["contents"])
    return tag("header", tag("div", title, theme, class_="title"), nav)


def _note(charts: bool, t: Texts) -> list[Html]:
    scripts = tag("noscript", tag("p", t["no_script"], class_="note"))
    return [scripts] if charts else [scripts, tag("p", t["no_charts"], class_="note")]


def _section(name: str, parts: dict[str, Html], t: Texts, charts: bool) -> Html:
    heading = tag("h2", t[name], id=f"h-{name}")
    drawn: list[Html] = []
    if charts and name == "timeline":
        drawn.append(_timeline(t))
    elif charts:
        drawn += (_chart(chart, t[label], name) for chart, label in CHARTS.get(name, {}).items())
    if len(drawn) > 1:
        drawn = [tag("div", *drawn, class_="pair")]
    after = [_task_list(t)] if name == "timeline" else []
    return tag("section", heading, *drawn, _part(name, parts), *after, id=name, aria_labelledby=f"h-{name}")


def _part(name: str, parts: dict[str, Html]) -> Html:
    return tag("div", parts[name], id=f"part-{name}")


def _chart(name: str, label: str, section: str) -> Html:
    drawn = tag("div", id=f"chart-{name}", role="img", aria_label=label, aria_describedby=f"part-{section}")
    caption = tag("figcaption", label)
    return tag("figure", caption, drawn, tag("ul", class_="legend", id=f"legend-{name}"), class_="chart")


def _timeline(t: Texts) -> Html:
    chart = tag(
        "div",
        id="chart-timeline",
        class_="moving",
        role="application",
        tabindex="0",
        aria_label=t["timeline"],
        aria_describedby="timeline-keys",
    )
    names = ("zoom_in", "zoom_out", "earlier", "later", "show_all")
    buttons = (tag("button", t[name], type="button", data_move=name) for name in names)
    output = tag("output", id="shown", aria_live="polite")
    tools = tag("div", *buttons, output, class_="tools", role="group", aria_label=t["timeline"])
    about = tag("p", t["timeline_about"])
    keys = tag("p", t["timeline_keys"], id="timeline-keys", class_="note")
    left_out = tag("p", id="left-out", class_="note", hidden=True)
    legend = tag("ul", class_="legend", id="legend-timeline")
    return join([about, tools, tag("figure", chart, legend, class_="chart"), left_out, keys])


def _task_list(t: Texts) -> Html:
    orders = (tag("option", t[name], value=name) for name in ("by_length", "by_start", "by_trouble"))
    order = tag("label", t["order"], " ", tag("select", *orders, id="order"))
    find = tag("label", t["find"], " ", tag("input", type="search", id="find", autocomplete="off"))
    steps = (tag("button", t[f"{name}_page"], type="button", id=f"{name}-page") for name in ("previous", "next"))
    tools = tag("div", order, find, *steps, tag("output", id="rows-shown", aria_live="polite"), class_="tools")
    place = tag("div", id="task-list", class_="scroll", role="region", tabindex="0", aria_label=t["task_list"])
    return tag("div", tag("h3", t["task_list"]), tools, place, class_="scripted")


def _panel(t: Texts) -> Html:
    close = tag("button", t["close"], type="button", id="panel-close")
    head = tag("div", tag("h2", id="panel-title"), close, class_="title")
    return tag("dialog", head, tag("div", id="panel-body", tabindex="0"), id="panel", aria_labelledby="panel-title")


@functools.cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _template() -> Template:
    return Template(_file("page.html"))
