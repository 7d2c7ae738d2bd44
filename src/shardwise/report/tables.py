"""Tables for people: numbers to the right with sensible precision, nulls marked, wide characters aligned.

What is shown here is rounded; ``report.json_rows`` has every digit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

WIDEST = 60
"""Cells of text are elided beyond this many columns of a terminal."""

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column ready to be drawn: its cells as text (None: null), and the side they lean to."""

    name: str
    cells: Sequence[str | None]
    right: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """What the place that a table goes to can show.

    Parameters
    ----------
    width : int or None
        Columns of the terminal; a wider table is cut into blocks that repeat its first column. None: no limit.
    ansi : bool
        Bold names and dim nulls by ANSI codes.
    ascii : bool
        Only ASCII beside the data itself.
    """

    width: int | None = None
    ansi: bool = False
    ascii: bool = True


PLAIN = Style()


def style_of(stream: IO[str]) -> Style:
    """Style for a stream: lines and colours on a UTF-8 terminal, plain ASCII everywhere else.

    ``COLUMNS`` in the environment sets the width, also where there is no terminal.
    """
    unicode = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
    if not stream.isatty():
        columns = os.environ.get("COLUMNS", "")
        return Style(width=int(columns)) if columns.isdecimal() and int(columns) > 0 else PLAIN
    ansi = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Style(width=shutil.get_terminal_size().columns, ansi=ansi, ascii=not unicode)


def render(table: pa.Table | Sequence[dict[str, Any]], style: Style = PLAIN, keys: int = 1) -> str:
    """Draw a table as text, one line per row.

    Parameters
    ----------
    table : pyarrow.Table or sequence of dict
        Dicts, all with the same keys, may hold values of several types in a column.
    style : Style
        As ``style_of(stream)`` gives it.
    keys : int
        How many first columns are repeated where the table has to be cut into blocks.

    Returns
    -------
    str
        Lines without a newline at the end. A table without columns gives ``""``.

    Examples
    --------
    >>> import pyarrow as pa
    >>> print(render(pa.table({"city": ["京都", None], "mean": [21.54321, 3.0]})))
    city    mean
    ----  ------
    京都  21.543
    null   3.000
    """
    from shardwise.report.cells import column_cells, leans_right, mixed_cells, mixed_leans_right

    if isinstance(table, Sequence):
        values = {name: [row[name] for row in table] for name in (table[0] if table else ())}
        mixed = [Column(name, mixed_cells(column), mixed_leans_right(column)) for name, column in values.items()]
        return draw(mixed, style, keys)
    columns = [Column(f.name, column_cells(table.column(i)), leans_right(f.type)) for i, f in enumerate(table.schema)]
    return draw(columns, style, keys)


def draw(columns: Sequence[Column], style: Style = PLAIN, keys: int = 1, rules: frozenset[int] = frozenset()) -> str:
    """Draw columns of text; ``rules`` are the rows that have a line above them."""
    if not columns:
        return ""
    drawn = [_DrawnColumn.of(column, style) for column in columns]
    blocks = _blocks([d.width for d in drawn], style.width, keys)
    texts = [_draw_block([drawn[i] for i in block], style, rules) for block in blocks]
    return "\n\n".join(texts)


def fit(text: str, width: int, ascii_only: bool = False) -> str:
    """``text`` made printable and, where it is wider than ``width`` columns, cut with an ellipsis.

    Examples
    --------
    >>> fit("売上平均", 6), fit("line\\nbreak", 20)
    ('売上…', 'line\\\\nbreak')
    """
    from rich.cells import cell_len, set_cell_size

    text = printable(text)
    if cell_len(text) <= width:
        return text
    dots = "..." if ascii_only else "…"
    room = max(0, width - len(dots))
    return set_cell_size(text, room).rstrip() + dots[: max(0, width)]


def printable(text: str) -> str:
    """Escape what would move the cursor or hide in a terminal: line ends, tabs, control and format characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\u3000" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    # Joiners and variation selectors build one glyph from several; they are harmless and wanted.
    if character in "\u200c\u200d":
        return character
    return character.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class _DrawnColumn:
    name: str
    cells: list[str | None]
    width: int
    right: bool

    @classmethod
    def of(cls, column: Column, style: Style) -> _DrawnColumn:
        from rich.cells import cell_len

        limit = WIDEST if style.width is None else max(8, min(WIDEST, style.width - GAP))
        name = fit(column.name, limit, style.ascii)
        cells = [None if cell is None else fit(cell, limit, style.ascii) for cell in column.cells]
        null_width = cell_len(_null(style))
        widths = [null_width if cell is None else cell_len(cell) for cell in cells]
        return cls(name, cells, max([cell_len(name), *widths]), column.right)

    def line(self, row: int, style: Style) -> str:
        cell = self.cells[row]
        if cell is None:
            return _pad(_null(style), self.width, self.right, "2" if style.ansi else "")
        return _pad(cell, self.width, self.right)


def _null(style: Style) -> str:
    return "null" if style.ascii else "—"


def _pad(text: str, width: int, right: bool, code: str = "") -> str:
    from rich.cells import cell_len

    spaces = " " * (width - cell_len(text))
    shown = f"\x1b[{code}m{text}\x1b[0m" if code else text
    return spaces + shown if right else shown + spaces


def _blocks(widths: list[int], limit: int | None, keys: int) -> list[list[int]]:
    """Which columns go side by side: all of them, or as many as fit beside the key columns."""
    everything = list(range(len(widths)))
    if limit is None or sum(widths) + GAP * (len(widths) - 1) <= limit:
        return [everything]
    head = everything[:keys]
    if sum(widths[i] + GAP for i in head) + max(widths[keys:], default=0) > limit:
        head = []
    blocks: list[list[int]] = []
    used = limit + 1
    for column in everything[len(head) :]:
        if used + GAP + widths[column] > limit:
            blocks.append([*head])
            used = sum(widths[i] + GAP for i in head) - GAP
        blocks[-1].append(column)
        used += GAP + widths[column]
    return blocks


def _draw_block(columns: list[_DrawnColumn], style: Style, rules: frozenset[int]) -> str:
    gap = " " * GAP
    rule = gap.join(("-" if style.ascii else "─") * column.width for column in columns)
    bold = "1" if style.ansi else ""
    lines = [gap.join(_pad(c.name, c.width, c.right, bold) for c in columns), rule]
    for row in range(len(columns[0].cells)):
        if row in rules:
            lines.append(rule)
        lines.append(gap.join(column.line(row, style) for column in columns))
    return "\n".join(line.rstrip() for line in lines)
