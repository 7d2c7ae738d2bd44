"""The page inside a notebook: in a frame of its own, so that no style or script of either reaches the other."""

from __future__ import annotations

from typing import Any

from shardwise.errors import MissingExtra
from shardwise.report.page import language_of_locale, pen, render
from shardwise.report.page.html import Html, tag, visible

HEIGHT = 640


def frame(document: dict[str, Any], lang: str | None = None) -> str:
    """HTML for ``_repr_html_``: the whole page, without charts where Bokeh is not installed.

    Parameters
    ----------
    document : dict
        What ``report.document.document`` gave.
    lang : str, optional
        Language of the page's own words; that of the locale unless given.
    """
    spoken = lang or language_of_locale()
    try:
        page = render(document, spoken)
    except MissingExtra:
        page = render(document, spoken, charts=False)
    name = visible(pen.fields(document.get("run")).get("id", ""))
    # ``text`` would write out the page's line ends; in an attribute only these two characters matter.
    source = Html(page.replace("&", "&amp;").replace('"', "&quot;"))
    style = f"width:100%;height:{HEIGHT}px;border:1px solid #8888"
    return tag("iframe", srcdoc=source, sandbox="allow-scripts", title=f"Shardwise: {name}", style=style)
