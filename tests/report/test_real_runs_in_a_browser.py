"""Real runs in a real browser: the page shows what the journal says, and follows a run until its end, or its death."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import browsers
import shardwise as sw
from browsers import Opened, put, until
from shardwise.report.document import document
from shardwise.report.page import render
from shardwise.report.watch import Watch
from shardwise.run.directory import RunDirectory
from shardwise.run.journal import FIRST

PATIENCE = 60.0

JOB = """
import sys
import time
from pathlib import Path

import shardwise as sw


def wait_for(n, gates=sys.argv[1]):
    deadline = time.monotonic() + 300
    while not Path(gates, str(n)).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return n


if __name__ == "__main__":
    job = sw.from_items(list(range(4))).map_items(wait_for).collect()
    job.run(engine="local:1", shard_size=1, run_dir=sys.argv[2], progress="none")
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("bokeh")
    with browsers.browser() as started:
        yield started


class Going:
    """A run under way that waits at gates, and the server of its page."""

    def __init__(self, place: Path) -> None:
        self.gates, self.directory = place / "gates", place / "run"
        self.gates.mkdir()
        script = place / "job.py"
        script.write_text(JOB)
        command = [sys.executable, str(script), str(self.gates), str(self.directory)]
        self.driver = subprocess.Popen(command, env=dict(os.environ), start_new_session=True)
        wait_until(lambda: (self.directory / FIRST).exists())
        self.watch = Watch(lambda: document(RunDirectory.read(str(self.directory))))
        self._serving = threading.Thread(target=self.watch.serve)
        self._serving.start()

    def let(self, *items: int) -> None:
        """Open the gates of some items."""
        for item in items:
            (self.gates / str(item)).touch()

    def end(self) -> None:
        """End all of it."""
        self.watch.stop()
        self._serving.join()
        self.watch.close()
        if self.driver.poll() is None:
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()


@pytest.fixture
def going(tmp_path: Path) -> Iterator[Going]:
    started = Going(tmp_path)
    yield started
    started.end()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def badge(page: Any, text: str) -> None:
    page.locator(".badge", has_text=re.compile(f"^{text}$")).wait_for(timeout=1000 * PATIENCE)


def speak(n: int, ctx: sw.Context) -> int:
    ctx.log(f"item {n} </script> 完了")
    return n * n


def test_the_page_shows_what_the_journal_says(browser: Any, tmp_path: Path) -> None:
    directory = str(tmp_path / "run")
    job = sw.from_items(list(range(40))).map_items(speak).collect()
    result = job.run(engine="local:2", shard_size=1, run_dir=directory, progress="none", speculate=False)
    view = RunDirectory.read(directory)
    address = put(render(document(view)), tmp_path)
    opened = Opened(browser, address)
    page = opened.page
    commits = [commit for stage in view.stages for commit in view.committed(stage)]
    assert page.locator("h1").inner_text() == f"Run {view.id}"
    badge(page, "done")
    drawn = page.evaluate("JSON.parse(document.getElementById('data').textContent).series.spans")
    assert len(drawn["task"]) == len(commits)
    assert sum(drawn["rows"]) == sum(commit.metrics.rows_in for commit in commits) == 40
    bars = page.evaluate(
        "Bokeh.documents.map((d) => d.get_model_by_name('timeline')).find(Boolean).renderers"
        ".find((r) => r.name === 'computing').data_source.data"
    )
    computed = sum(right - left for left, right in zip(bars["left"], bars["right"], strict=True))
    assert computed == pytest.approx(sum(commit.metrics.compute_seconds for commit in commits), rel=0.05, abs=0.02)
    text = page.locator("#part-summary").inner_text()
    assert f"{result.run.tasks} of {result.run.tasks} done" in text and result.run.engine in text
    page.locator("#task-list button").first.click()
    assert "</script> 完了" in page.locator("#panel pre").first.inner_text()
    assert opened.asked == [address] and opened.complaints == []
    opened.close()


def test_a_run_is_followed_to_its_end(browser: Any, going: Going) -> None:
    opened = Opened(browser, going.watch.url)
    page = opened.page
    badge(page, "running")
    going.let(0, 1)
    page.locator("#rows-shown", has_text=re.compile("of [1-9]")).wait_for(timeout=1000 * PATIENCE)
    page.locator("#task-list button").first.focus()
    going.let(2)
    page.locator("#rows-shown", has_text=re.compile("of [3-9]")).wait_for(timeout=1000 * PATIENCE)
    assert page.evaluate("document.activeElement.className") == "task"  # news take nobody's focus away
    page.locator("#part-timeline .scroll").focus()
    going.let(3)
    badge(page, "done")
    assert going.driver.wait(PATIENCE) == 0
    assert page.evaluate("document.activeElement.parentElement.id") == "part-timeline"
    until(page, "document.getElementById('part-summary').innerText.includes('4 of 4 done')")
    assert {url.partition("?")[0] for url in opened.asked} == {going.watch.url, f"{going.watch.url}news.json"}
    assert opened.complaints == []
    opened.close()


def test_a_killed_run_ends_visibly(browser: Any, going: Going) -> None:
    opened = Opened(browser, going.watch.url)
    badge(opened.page, "running")
    going.let(0)
    os.killpg(going.driver.pid, signal.SIGKILL)
    badge(opened.page, "interrupted")
    assert "Run the same command again" in opened.page.locator("#part-summary").inner_text()
    opened.close()


def test_the_end_of_the_server_is_told(browser: Any, going: Going) -> None:
    opened = Opened(browser, going.watch.url)
    badge(opened.page, "running")
    going.watch.stop()
    going.watch.close()
    opened.page.locator("#status", has_text="No news").wait_for(timeout=1000 * PATIENCE)
    opened.close()


def test_a_wrong_token_is_refused(browser: Any, going: Going) -> None:
    wrong = going.watch.url[:-2] + ("A/" if going.watch.url[-2] != "A" else "B/")
    context = browser.new_context()
    answer = context.new_page().goto(wrong)
    assert answer is not None and answer.status == 403
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(wrong, timeout=PATIENCE)
    context.close()
