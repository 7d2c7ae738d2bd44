"""A headless browser, and what a page did in it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from servers.chromium import ARGUMENTS, chromium

READY = "html[data-ready=yes]"
PATIENCE = 60.0


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; skips, with the reason, where it cannot be had."""
    playwright = pytest.importorskip("playwright.sync_api")
    try:
        found = chromium()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no Chromium: {error}")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found.path, args=ARGUMENTS, env=found.environment)
        try:
            yield started
        finally:
            started.close()


class Opened:
    """A page that is open, and all that it asked for and complained of."""

    def __init__(self, started: Any, address: str, **context: Any) -> None:
        self.context = started.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.page.locator(READY).wait_for(state="attached", timeout=1000 * PATIENCE)

    def close(self) -> None:
        """Forget it."""
        self.context.close()


def until(page: Any, true: str) -> None:
    """Wait for something to be true. (Playwright's own way needs ``eval``, which the page forbids.)"""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(true):
        assert time.monotonic() < deadline, f"never came true: {true}"
        page.wait_for_timeout(20)


def put(document: str, directory: Path, name: str = "page.html") -> str:
    """Write a page; gives its address."""
    (directory / name).write_text(document, encoding="utf-8")
    return (directory / name).as_uri()


NAMELESS = """() => {
  const named = (e) => (e.getAttribute("aria-label") || "").trim() || e.labels?.length || e.textContent.trim();
  const roles = "[role=img], [role=application], [role=region], [role=group]";
  return [...document.querySelectorAll(`button, a, input, select, nav, dialog, ${roles}`)]
    .filter((e) => !named(e) && !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML.slice(0, 200));
}"""
"""Elements that a screen reader could not name."""

PALE = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const under = (e) => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const pale = [];
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.disabled || ["SCRIPT", "NOSCRIPT"].includes(e.tagName)) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(under(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) pale.push(`${ratio.toFixed(2)} ${e.outerHTML.slice(0, 120)}`);
  }
  return pale;
}"""
"""Text whose colour is too near to what it stands on (WCAG 2.2, 1.4.3: 4.5 to 1)."""

UNSEEN_FOCUS = """async () => {
  const found = [];
  for (const e of document.querySelectorAll("a, button, input, select, [tabindex='0']")) {
    if (!e.checkVisibility() || e.disabled) continue;
    e.focus({ focusVisible: true });
    const seen = document.activeElement === e && getComputedStyle(e).outlineStyle !== "none";
    if (!seen) found.push(e.outerHTML.slice(0, 120));
  }
  return found;
}"""
"""What cannot be reached by keys, or does not show that it was."""

GLYPHS = """() => {
  const drawn = (text) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 40 });
    const pen = canvas.getContext("2d");
    pen.font = `28px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillText(text, 4, 32);
    return [...pen.getImageData(0, 0, 40, 40).data].join();
  };
  return ["集", "計", "読", "\\u{10fffd}", " "].map(drawn);
}"""
"""Pixels of three ideographs, of a character that no font has, and of nothing, in the page's own font."""
