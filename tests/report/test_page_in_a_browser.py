"""The page in a real browser: it asks for nothing, complains of nothing, and does what it says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import browsers
from browsers import Opened, put, until
from report import documents
from shardwise.report.page import LANGUAGES, render
from shardwise.report.page.notebook import frame
from shardwise.report.page.texts import texts

RANGE = "Bokeh.documents.map((d) => d.get_model_by_name('{}')).find(Boolean).x_range"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("bokeh")
    with browsers.browser() as started:
        yield started


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens documents, and makes sure afterwards that nothing was asked for and nothing was complained of."""
    pages: list[tuple[Opened, str]] = []

    def open_(document: dict[str, Any], lang: str = "en", **context: Any) -> Any:
        address = put(render(document, lang), tmp_path, f"{len(pages)}.html")
        pages.append((Opened(browser, address, **context), address))
        return pages[-1][0].page

    yield open_
    for page, address in pages:
        assert page.asked == [address]
        assert page.complaints == []
        page.close()


def shown(page: Any, name: str = "timeline") -> tuple[float, float]:
    found = page.evaluate(f"(() => {{ const r = {RANGE.format(name)}; return [r.start, r.end]; }})()")
    return found[0], found[1]


def on_timeline(page: Any, across: float, down: float) -> tuple[float, float]:
    """A point of the timeline's canvas."""
    place = page.locator("#chart-timeline")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_anybody_can_read_it(opened: Any, lang: str, scheme: str) -> None:
    page = opened(documents.small(), lang, color_scheme=scheme)
    assert page.evaluate("document.documentElement.lang") == lang
    assert page.evaluate(browsers.NAMELESS) == []
    assert page.evaluate(browsers.PALE) == []
    assert page.evaluate(browsers.UNSEEN_FOCUS) == []
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3')].filter((e) => e.checkVisibility()).map((e) => +e.tagName[1])"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert [page.locator(name).count() for name in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]


def test_the_scheme_is_that_of_the_system_until_the_button_is_pressed(opened: Any) -> None:
    page = opened(documents.small(), color_scheme="dark")

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    def bars() -> str:
        charts = "Bokeh.documents.map((d) => d.get_model_by_name('timeline')).find(Boolean)"
        return str(page.evaluate(f"{charts}.renderers.find((r) => r.name === 'computing').glyph.fill_color.value"))

    dark, dark_bars = background(), bars()
    page.get_by_role("button", name=texts("en")["theme"]).press("Enter")
    assert sum(map(int, re.findall(r"\d+", background()))) > 600 > 300 > sum(map(int, re.findall(r"\d+", dark)))
    assert bars() != dark_bars
    assert page.evaluate(browsers.PALE) == []


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out(opened: Any, width: int) -> None:
    page = opened(documents.small(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_japanese_is_drawn_with_glyphs_of_its_own(opened: Any) -> None:
    *ideographs, missing, nothing = opened(documents.small(), "ja").evaluate(browsers.GLYPHS)
    assert len({*ideographs, missing, nothing}) == 5


def test_keys_zoom_and_move_all_charts_over_time(opened: Any) -> None:
    page = opened(documents.small())
    whole = shown(page)
    assert whole == (0, 6.5)
    page.locator("#chart-timeline").focus()
    page.keyboard.press("+")
    near = shown(page)
    assert near[1] - near[0] == pytest.approx(3.25)
    page.keyboard.press("ArrowRight")
    assert shown(page)[0] > near[0]
    assert shown(page, "rows") == shown(page, "bytes") == shown(page)
    assert "Shown: " in page.locator("#shown").inner_text()
    page.keyboard.press("Home")
    assert shown(page) == whole


def test_buttons_zoom(opened: Any) -> None:
    page = opened(documents.small())
    page.get_by_role("button", name="Zoom in").click()
    assert shown(page)[1] - shown(page)[0] == pytest.approx(3.25)
    page.get_by_role("button", name="Show all").click()
    assert shown(page) == (0, 6.5)


def test_the_mouse_zooms_and_moves(opened: Any) -> None:
    page = opened(documents.small())
    page.mouse.move(*on_timeline(page, 0.5, 0.3))
    page.mouse.wheel(0, 50)
    until(page, "scrollY > 0")  # without Ctrl the page scrolls
    assert shown(page) == (0, 6.5)
    page.mouse.move(*on_timeline(page, 0.5, 0.3))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    until(page, f"(() => {{ const r = {RANGE.format('timeline')}; return r.end - r.start < 6; }})()")
    before = shown(page)
    page.mouse.move(*on_timeline(page, 0.5, 0.3))
    there = on_timeline(page, 0.4, 0.3)  # before the button is down: held for 300 ms it is no drag
    page.mouse.down()
    page.mouse.move(*there, steps=5)
    page.mouse.up()
    until(page, f"{RANGE.format('timeline')}.start > {before[0]}")
    assert shown(page)[1] - shown(page)[0] == pytest.approx(before[1] - before[0])
    page.mouse.wheel(0, 400)  # the chart was clicked: the wheel is its own
    until(page, f"(() => {{ const r = {RANGE.format('timeline')}; return r.end - r.start > 3.3; }})()")


def test_a_click_on_a_bar_opens_its_logs(opened: Any) -> None:
    page = opened(documents.small())
    page.mouse.click(*on_timeline(page, 0.7, 0.25))
    panel = page.locator("#panel")
    panel.wait_for(state="visible")
    assert panel.locator("h2").inner_text() == "Logs of partial 8-12"


def test_what_lies_under_the_pointer_is_said(opened: Any) -> None:
    page = opened(documents.small())
    page.mouse.move(*on_timeline(page, 0.68, 0.25))
    page.mouse.move(*on_timeline(page, 0.7, 0.25))
    page.locator("#hint", has_text="partial 8-12: 3.5 s, committed").wait_for()
    page.mouse.move(*on_timeline(page, 0.5, 2.5))
    page.locator("#hint").wait_for(state="hidden")
    page.locator("#chart-rows").scroll_into_view_if_needed()
    rows = page.locator("#chart-rows").bounding_box()
    page.mouse.move(rows["x"] + 0.84 * rows["width"], rows["y"] + 60)
    page.mouse.move(rows["x"] + 0.85 * rows["width"], rows["y"] + 61)
    page.locator("#hint", has_text="4.0 s: 65.5 k/s").wait_for()


def test_keys_open_the_logs_of_a_chosen_attempt_and_close_them(opened: Any) -> None:
    page = opened(documents.small())
    page.locator("#chart-timeline").focus()
    for key in ("n", "n", "Enter"):
        page.keyboard.press(key)
    panel = page.locator("#panel")
    panel.wait_for(state="visible")
    assert "ValueError: 450 km/h" in panel.locator("pre").inner_text()
    assert page.evaluate("document.activeElement.id") == "panel-body"
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "chart-timeline"


def test_a_task_of_the_list_opens_its_logs(opened: Any) -> None:
    page = opened(documents.small())
    page.locator("#find").fill("0-4")
    button = page.locator("#task-list button")
    assert button.all_inner_texts() == ["partial 0-4"]
    button.press("Enter")
    assert "読み込みました" in page.locator("#panel pre").inner_text()
    page.locator("#part-slow button").press("Enter")
    assert page.locator("#panel h2").inner_text() == "Logs of partial 8-12"
    page.get_by_role("button", name="Close").press("Enter")
    assert page.evaluate("document.activeElement.closest('section').id") == "slow"  # where the last one was opened


def test_ten_thousand_attempts_can_be_looked_through(opened: Any) -> None:
    page = opened(documents.large(10_000))
    assert page.locator("#rows-shown").inner_text() == "1 to 20 of 10,000"
    page.get_by_role("button", name="Next").click()
    assert page.locator("#rows-shown").inner_text() == "21 to 40 of 10,000"
    assert page.locator("#task-list tbody tr").count() == 20


def test_hostile_runs_do_nothing(opened: Any) -> None:
    page = opened(documents.hostile())
    for across in (0.3, 0.5, 0.7):
        page.mouse.move(*on_timeline(page, across, 0.25))
        page.mouse.move(*on_timeline(page, across + 0.02, 0.3))
        page.locator("#hint", has_text="window.hit").wait_for()
        assert page.locator("#hint *").count() == 0
    page.locator("#chart-timeline").focus()
    for key in ("n", "Enter", "Escape", "n", "Enter"):
        page.keyboard.press(key)
    for button in page.locator("button.task").all()[:12]:
        button.dispatch_event("click")
    assert page.evaluate("window.hit") is None
    assert page.locator("#panel pre").count() == 1


def test_even_what_got_into_the_page_would_not_run(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, put(render(documents.small()), tmp_path))
    opened.page.evaluate(
        """() => {
          document.body.insertAdjacentHTML("beforeend", "<img src='data:x' onerror='window.hit = 1'>");
          document.body.append(Object.assign(document.createElement("script"), { textContent: "window.hit = 2" }));
          document.body.append(Object.assign(document.createElement("img"), { src: "http://127.0.0.1:9/x.png" }));
        }"""
    )
    until(opened.page, "document.images.length === 2 && [...document.images].every((e) => e.complete)")
    assert opened.page.evaluate("window.hit") is None
    assert len([said for said in opened.complaints if "Content Security Policy" in said]) >= 3
    opened.close()


def test_a_run_that_has_only_begun_is_drawn(opened: Any) -> None:
    page = opened(documents.empty())
    page.locator("#chart-timeline").focus()
    for key in ("+", "n", "Enter", "ArrowRight", "Home"):
        page.keyboard.press(key)
    assert page.locator("#rows-shown").inner_text() == "0 to 0 of 0"


def test_the_frame_of_a_notebook_keeps_to_itself(browser: Any, tmp_path: Path) -> None:
    cell = f"<!doctype html><title>cell</title><style>p {{ color: red }}</style>{frame(documents.hostile(), 'en')}"
    (tmp_path / "cell.html").write_text(cell, encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "cell.html").as_uri())
    inside = page.frame_locator("iframe")
    inside.locator(browsers.READY).wait_for(state="attached", timeout=60_000)
    inside.get_by_role("button", name="Zoom in").click()
    assert inside.locator("#shown").inner_text().startswith("Shown: ")
    inside.get_by_role("button", name=texts("en")["theme"]).click()  # without a storage of its own
    assert page.evaluate("[window.hit, getComputedStyle(document.body).maxWidth]") == [None, "none"]
    assert [url for url in asked if not url.startswith(("file:", "about:srcdoc"))] == []
    assert complaints == []
    context.close()
