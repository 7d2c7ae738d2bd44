"""A line of text with a caret under the place that is meant."""

from __future__ import annotations

import unicodedata


def point_at(text: str, at: int, length: int = 1, limit: int = 100) -> str:
    """Show one line of a text, and carets under a place in it.

    Parameters
    ----------
    text : str
        The whole text; it may have several lines.
    at : int
        Byte of its UTF-8 form where the place begins; outside of the text: no caret is drawn.
    length : int, optional
        Bytes of the place.
    limit : int, optional
        Characters of the line to show.

    Returns
    -------
    str
        One or two lines, indented by four. Wide characters take two columns, as on a terminal.

    Examples
    --------
    >>> print(point_at("a + foo(b)", 4, 6))
        a + foo(b)
            ^^^^^^
    """
    data = text.encode()
    if not 0 <= at <= len(data):
        return "    " + text.strip().splitlines()[0][:limit]
    before = data[:at].decode(errors="ignore").rsplit("\n", 1)[-1]
    marked = data[at : at + max(length, 1)].decode(errors="ignore").split("\n", 1)[0]
    line = before + data[at:].decode(errors="ignore").split("\n", 1)[0]
    skipped = max(0, len(before) - limit // 2)
    shown = line[skipped : skipped + limit]
    return f"    {shown}\n    {' ' * _columns(before[skipped:])}{'^' * min(max(1, _columns(marked)), limit // 2)}"


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
