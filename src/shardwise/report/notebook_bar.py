"""Progress in a notebook: one line that is drawn over and over, by the notebook's own display."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shardwise.report.progress import Standing

Display = Callable[..., Any]


def notebook_display() -> Display | None:
    """IPython's ``display`` where this process is the kernel of a notebook; IPython is never imported for it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    import importlib

    display: Display = importlib.import_module("IPython.display").display
    return display


class Drawn:
    """What a notebook shows: HTML, or text where it shows none."""

    def __init__(self, markup: str, plain: str) -> None:
        self._markup = markup
        self._plain = plain

    def _repr_html_(self) -> str:
        return self._markup

    def __repr__(self) -> str:
        return self._plain


class NotebookBar:
    """A bar in the output of the cell that runs.

    Parameters
    ----------
    display : callable
        IPython's.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._handle: Any = None

    def show(self, standing: Standing, label: str) -> None:
        """Draw where the run stands, over what was drawn before."""
        from shardwise.report.progress import plain_line

        self._draw(Drawn(markup(standing, label), plain_line(standing, label)))

    def clear(self) -> None:
        """Nothing of the bar stays."""
        if self._handle is not None:
            self._draw(Drawn("", ""))
            self._handle = None

    def _draw(self, drawn: Drawn) -> None:
        if self._handle is None:
            self._handle = self._display(drawn, display_id=True)
        else:
            self._handle.update(drawn)


def markup(standing: Standing, label: str) -> str:
    """The bar as HTML, told to screen readers too."""
    from html import escape  # its table of names is large, and only notebooks want it

    name = escape(label or "progress")
    facts = escape(", ".join(standing.facts()))
    return (
        '<div style="display:flex;gap:1em;align-items:center;font-variant-numeric:tabular-nums">'
        f'<span>{name}</span><progress max="1" value="{standing.share:.4f}" aria-label="{name}" '
        f'style="width:18em"></progress><span>{facts}</span></div>'
    )
