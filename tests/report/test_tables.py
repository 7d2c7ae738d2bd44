from __future__ import annotations

import datetime as dt
import doctest
import io

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from shardwise.report import cells, json_rows, tables
from shardwise.report.cells import float_cells
from shardwise.report.tables import Column, Style, draw, fit, render, style_of

TERMINAL = Style(width=40, ansi=False, ascii=False)


@pytest.mark.parametrize("module", [tables, cells, json_rows])
def test_examples_in_the_docstrings(module) -> None:
    assert doctest.testmod(module).failed == 0


def test_numbers_stand_right_and_text_left() -> None:
    text = render(pa.table({"name": ["a", "long"], "count": [5, 12345]}))
    assert text.splitlines() == ["name  count", "----  -----", "a         5", "long  12345"]


def test_every_line_of_wide_characters_has_the_same_width() -> None:
    text = render(pa.table({"店": ["東京", "a", "ﾊﾝｶｸ", None], "平均": [1.5, 22.25, 3.0, None]}), TERMINAL)
    assert len({cell_len(line) for line in text.splitlines()}) == 1


def test_nulls_are_marked_by_a_dash_on_a_terminal_and_a_word_elsewhere() -> None:
    table = pa.table({"x": [1, None]})
    assert render(table).splitlines()[-1] == "null"
    assert render(table, TERMINAL).splitlines()[-1] == "—"
    assert "\x1b[2m—\x1b[0m" in render(table, Style(width=40, ansi=True, ascii=False))


def test_without_a_terminal_the_frame_is_ascii() -> None:
    assert render(pa.table({"x": [1.5, None], "y": ["a" * 100, "b"]})).isascii()


def test_text_cannot_move_the_cursor() -> None:
    text = render(pa.table({"a\nb": ["\x1b[31mred\r", "tab\there\u202eabc"]}))
    assert all(c.isprintable() for line in text.splitlines() for c in line)
    assert len(text.splitlines()) == 4


def test_long_text_is_elided_by_columns_of_the_terminal() -> None:
    assert cell_len(fit("あ" * 50, 21)) <= 21
    assert fit("あ" * 50, 9).endswith("…")
    assert fit("abcdef", 5, ascii_only=True) == "ab..."
    assert fit("abc", 3) == "abc"


def test_a_table_wider_than_the_terminal_is_cut_into_blocks_with_the_key_repeated() -> None:
    table = pa.table({"key": ["k1"]} | {f"column{i}": [i] for i in range(10)})
    text = render(table, TERMINAL)
    assert max(cell_len(line) for line in text.splitlines()) <= 40
    assert text.count("k1") == text.count("key") > 1
    assert all(f"column{i}" in text for i in range(10))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True), st.integers(10, 80))
def test_no_line_is_wider_than_the_terminal(names: list[str], width: int) -> None:
    columns = [Column(name, [name, None]) for name in names]
    style = Style(width=width, ascii=False)
    assert all(cell_len(line) <= width for line in draw(columns, style).splitlines())


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_no_float_is_shown_more_than_half_a_percent_off(values: list[float]) -> None:
    for value, text in zip(values, float_cells(values), strict=True):
        assert text is not None
        assert abs(float(text) - value) <= 0.0051 * abs(value) or abs(value) < 1e-300


def test_floats_have_no_fifteen_digits() -> None:
    assert float_cells([7.3796692, 21.921298701, 15.7964311]) == ["7.380", "21.921", "15.796"]
    assert float_cells([1.0, 2.0]) == ["1.0", "2.0"]
    assert float_cells([2013.0, 6.54851, 1e-9, 0.0]) == ["2013.00", "6.55", "1e-09", "0.00"]
    assert float_cells([2013.0, 0.0512]) == ["2013.0", "0.0512"]
    assert float_cells([1234567.891]) == ["1234567.89"]
    assert float_cells([None, "NaN", "-Infinity"]) == [None, "NaN", "-Infinity"]


def test_other_types_read_well() -> None:
    table = pa.table(
        {
            "when": pa.array([dt.datetime(2013, 1, 1, 5)], pa.timestamp("us")),
            "how long": pa.array([dt.timedelta(days=1, seconds=3661, milliseconds=5)]),
            "yes": [True],
            "raw": [b"\x00a"],
            "list": [[1, None]],
        }
    )
    line = render(table).splitlines()[-1]
    assert line == r"2013-01-01 05:00:00  1d 01:01:01.005  true  \x00a  [1, null]"


def test_empty_tables() -> None:
    assert render(pa.table({})) == ""
    assert render(pa.table({"a": pa.array([], pa.int64())})) == "a\n-"


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class _LatinTerminal(_Terminal):
    encoding = "iso8859-1"


def test_the_style_follows_the_stream(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    assert style_of(io.StringIO()) == Style(None, ansi=False, ascii=True)
    monkeypatch.setenv("COLUMNS", "99")
    assert style_of(io.StringIO()) == Style(99, ansi=False, ascii=True)
    assert style_of(_Terminal()) == Style(99, ansi=True, ascii=False)
    assert style_of(_LatinTerminal()).ascii
    monkeypatch.setenv("NO_COLOR", "1")
    assert not style_of(_Terminal()).ansi
