"""Small pieces of HTML. Whatever comes from a run passes through ``text`` and can be nothing but text."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shardwise.report.tables import printable

_EMPTY = ("br", "input")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def visible(value: object) -> str:
    """Text in which control characters, those that turn its direction, and halves of characters are written out."""
    said = str(value)
    return said if said.isprintable() else "\n".join(map(printable, said.split("\n")))


def text(value: object) -> Html:
    """A value as HTML that shows it.

    Examples
    --------
    >>> text("</script> & co")
    '&lt;/script&gt; &amp; co'
    """
    return value if isinstance(value, Html) else Html(html.escape(visible(value)))


def join(pieces: Iterable[object]) -> Html:
    """Pieces one after the other."""
    return Html("".join(map(text, pieces)))


def tag(name: str, *inside: object, **attributes: object) -> Html:
    """An element. ``class_`` and ``aria_label`` are ``class`` and ``aria-label``; None and False are left out.

    Examples
    --------
    >>> tag("p", "a < b", class_="note", hidden=True, id=None)
    '<p class="note" hidden>a &lt; b</p>'
    """
    said = []
    for key, value in attributes.items():
        if value is not None and value is not False:
            key = key.rstrip("_").replace("_", "-")
            said.append(f" {key}" if value is True else f' {key}="{text(value)}"')
    opened = f"<{name}{''.join(said)}>"
    return Html(opened if name in _EMPTY else f"{opened}{join(inside)}</{name}>")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and whether its cells are numbers, or sentences."""

    title: str
    number: bool = False
    wide: bool = False

    @property
    def kind(self) -> str | None:
        """The class of its cells."""
        return "number" if self.number else "wide" if self.wide else None


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[object]], hidden: bool = False) -> Html:
    """A table that scrolls by itself where it is too wide; the first cell of a row names it.

    ``hidden``: the caption is there for screen readers only, because a heading says the same.
    """
    head = join(tag("th", c.title, scope="col", class_=c.kind) for c in columns)
    body = join(tag("tr", *_cells(columns, row)) for row in rows)
    name = tag("caption", caption, class_="quiet" if hidden else None)
    inside = tag("table", name, tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", inside, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _cells(columns: Sequence[Column], row: Sequence[object]) -> Iterable[Html]:
    for place, (column, cell) in enumerate(zip(columns, row, strict=True)):
        yield tag("td", cell, class_=column.kind) if place else tag("th", cell, scope="row", class_=column.kind)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and what they are."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def script_json(value: Any) -> Html:
    """JSON that can stand inside a ``script`` element: nothing in it ends the element or a line of JavaScript.

    Examples
    --------
    >>> script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script\\\\u003e"}'
    """
    dumped = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        dumped = dumped.replace(character, f"\\u{ord(character):04x}")
    return Html(dumped)
