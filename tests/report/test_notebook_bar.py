"""Progress in a notebook, whose kernel and display are played."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shardwise.report.notebook_bar import Drawn, markup, notebook_display
from shardwise.report.progress import BAR_AFTER, BOARD_EVERY, Progress, Standing


class Notebook:
    """What IPython's display is asked to do."""

    def __init__(self) -> None:
        self.shown: list[list[Drawn]] = []

    def display(self, drawn: Drawn, *, display_id: bool) -> Any:
        assert display_id
        place = [drawn]
        self.shown.append(place)
        return SimpleNamespace(update=place.append)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    played = Notebook()
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    display.display = played.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return played


def advance(progress: Progress) -> None:
    progress.begin(4, now=0.0, label="a < b")
    for step in range(1, 4):
        progress.update(now=BAR_AFTER + step * BOARD_EVERY, running=1, done=step, rows=step * 1000)


def test_one_place_is_drawn_over_and_over_and_then_empty(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress()
    advance(progress)
    progress.end("done")
    assert len(notebook.shown) == 1
    *drawn, last = notebook.shown[0]
    assert ["25 %" in each._repr_html_() for each in drawn] == [True, False, False]
    assert "75 %, 3/4 tasks" in repr(drawn[-1])
    assert (last._repr_html_(), repr(last)) == ("", "")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "done\n")


def test_it_is_not_drawn_too_often(notebook: Notebook) -> None:
    progress = Progress()
    progress.begin(100, now=0.0)
    for step in range(1, 100):
        progress.update(now=BAR_AFTER + step * BOARD_EVERY / 10, running=1, done=step)
    assert 9 <= len(notebook.shown[0]) <= 11


def test_a_short_run_shows_nothing(notebook: Notebook) -> None:
    progress = Progress()
    progress.begin(4, now=0.0)
    progress.update(now=BAR_AFTER / 2, running=1, done=2)
    progress.end()
    assert notebook.shown == []


def test_a_second_graph_has_a_bar_of_its_own(notebook: Notebook) -> None:
    progress = Progress()
    for _ in range(2):
        advance(progress)
        progress.end()
    assert len(notebook.shown) == 2


def test_who_names_a_mode_or_a_stream_gets_it(notebook: Notebook) -> None:
    advance(Progress("plain", io.StringIO()))
    advance(Progress("none"))
    advance(Progress(stream=io.StringIO()))
    assert notebook.shown == []


def test_labels_are_text() -> None:
    assert "a &lt; b" in markup(Standing(4, 1, share=0.25), "a < b")
    assert 'value="0.2500"' in markup(Standing(4, 1, share=0.25), "")


def test_a_terminal_with_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    for shell in (None, SimpleNamespace()):
        ipython.get_ipython = lambda shell=shell: shell  # type: ignore[attr-defined]
        assert notebook_display() is None


def test_ipython_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook_display() is None
    assert "IPython" not in sys.modules
