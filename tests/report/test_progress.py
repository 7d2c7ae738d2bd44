from __future__ import annotations

import doctest
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from shardwise.errors import UsageError
from shardwise.report import progress
from shardwise.report.eta import Estimate
from shardwise.report.progress import CLEAR, Progress, Standing, bar_line, plain_line


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Broken(Terminal):
    def write(self, text: str) -> int:
        raise BrokenPipeError


FULL = Standing(
    total=2800, done=1234, running=4, share=0.44, rows=141_000_000, size=10**10, seconds=6, eta=77, retries=2, failed=2
)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(progress).failed == 0


def test_a_plain_line_tells_everything() -> None:
    assert plain_line(FULL, "aggregate") == (
        "aggregate: 44 %, 1,234/2,800 tasks, 1 min 17 s left, 2 retries, 23.5 M rows/s, 1.67 GB/s, 141,000,000 rows"
    )


@settings(deadline=None)
@given(st.integers(1, 200), st.text(max_size=30), st.booleans())
def test_a_bar_fits_in_its_width(width: int, label: str, ascii_only: bool) -> None:
    line = bar_line(FULL, width, label, ascii_only)
    # The first fact is always shown, whatever the width.
    assert cell_len(line) <= max(width, 20)


def test_a_bar_of_ascii_where_the_encoding_has_no_lines() -> None:
    assert bar_line(FULL, 100, ascii_only=True).isascii()
    assert bar_line(FULL, 100, "a" * 99, ascii_only=True).isascii()


def test_wide_labels_leave_the_bar_at_the_same_place() -> None:
    wide, narrow = bar_line(FULL, 100, "集計"), bar_line(FULL, 100, "aggr")
    assert cell_len(wide.partition("━")[0]) == cell_len(narrow.partition("━")[0])


def run(shown: Progress, until: int, seconds: float, tasks: int = 100) -> None:
    shown.begin(tasks, now=0.0)
    for step in range(1, until + 1):
        shown.update(now=step * seconds, running=1, done=step, rows=step * 10, bytes=0)


def test_without_a_terminal_a_line_comes_after_ten_percent() -> None:
    stream = io.StringIO()
    run(Progress("auto", stream), until=100, seconds=0.5)
    lines = stream.getvalue().splitlines()
    assert 9 <= len(lines) <= 10
    assert lines[0].startswith("10 %, 10/100 tasks")
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()


def test_without_a_terminal_a_line_comes_after_ten_seconds() -> None:
    stream = io.StringIO()
    run(Progress("auto", stream), until=30, seconds=1.0, tasks=1_000_000)
    assert len(stream.getvalue().splitlines()) == 3


def test_a_short_run_prints_nothing() -> None:
    plain, bar = io.StringIO(), Terminal()
    run(Progress("plain", plain), until=100, seconds=0.001)
    run(Progress("bar", bar), until=100, seconds=0.001)
    assert plain.getvalue() == bar.getvalue() == ""


def test_a_bar_is_drawn_at_most_ten_times_a_second() -> None:
    stream = Terminal()
    run(Progress("bar", stream), until=10_000, seconds=0.001, tasks=10_000)
    assert 90 <= stream.getvalue().count(CLEAR) <= 100


def test_between_drawings_an_update_computes_nothing(monkeypatch) -> None:
    stream = Terminal()
    shown = Progress("bar", stream)
    shown.begin(10, now=0.0)
    shown.update(now=1.0, running=1, done=1)
    monkeypatch.setattr(Estimate, "advance", lambda *_: pytest.fail("computed"))
    for _ in range(1000):
        shown.update(now=1.05, running=1, done=2)


def test_a_message_goes_above_the_bar_and_the_end_clears_it() -> None:
    stream = Terminal()
    shown = Progress("bar", stream)
    shown.begin(10, now=0.0)
    shown.update(now=1.0, running=1, done=5)
    shown.message("retrying")
    shown.update(now=2.0, running=1, done=6)
    shown.end("done")
    text = stream.getvalue()
    assert CLEAR + "retrying\n" in text
    assert text.endswith(CLEAR + "done\n")


def test_none_says_nothing_at_all() -> None:
    stream = Terminal()
    shown = Progress("none", stream)
    run(shown, until=50, seconds=1)
    shown.message("retrying")
    shown.end("done")
    assert stream.getvalue() == ""


def test_a_resumed_run_says_what_was_done() -> None:
    stream = io.StringIO()
    Progress("plain", stream).begin(100, done=40, now=0.0)
    assert stream.getvalue() == "Going on: 40 of 100 tasks were already done.\n"


def test_a_reader_that_went_away_stops_nothing() -> None:
    run(Progress("bar", Broken()), until=50, seconds=1)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="loud"):
        Progress("loud")  # type: ignore[arg-type]


def test_the_estimate_of_a_steady_run_is_exact() -> None:
    estimate = Estimate.begin(0.0, total=100, done=0)
    for second in range(1, 41):
        estimate = estimate.advance(float(second), float(second))
    assert estimate.seconds_left == pytest.approx(60)
    assert estimate.share == 0.4


def test_the_estimate_does_not_count_what_was_done_before() -> None:
    estimate = Estimate.begin(0.0, total=100, done=90)
    assert estimate.advance(1.0, 90.0).seconds_left is None
    assert estimate.advance(5.0, 95.0).seconds_left == pytest.approx(5)


def test_the_estimate_follows_a_run_that_slows_down() -> None:
    estimate = Estimate.begin(0.0, total=200, done=0)
    for second in range(1, 51):
        estimate = estimate.advance(float(second), float(second))
    for second in range(51, 121):
        estimate = estimate.advance(float(second), 50 + (second - 50) / 10)
    # By the plain mean 57 of 200 in 120 s: 301 s left. At the present rate: 1430 s.
    assert estimate.seconds_left is not None
    assert 600 < estimate.seconds_left < 1500


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), max_size=30))
def test_the_estimate_is_never_negative_and_never_fails(steps: list[tuple[float, float]]) -> None:
    estimate, now, work = Estimate.begin(0.0, 100, 0), 0.0, 0.0
    for seconds, done in steps:
        now, work = now + seconds, work + done
        estimate = estimate.advance(now, work)
        assert 0 <= estimate.share <= 1
        assert estimate.seconds_left is None or estimate.seconds_left >= 0
