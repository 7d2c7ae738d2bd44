"""Expressions: what is row-wise passes with its type, everything else is refused with the reason."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute.expressions import check_expression, quote, referenced_columns
from shardwise.errors import ExpressionError

SCHEMA = pa.schema(
    [
        ("a", pa.int64()),
        ("distance", pa.float64()),
        ("s", pa.string()),
        ("ts", pa.timestamp("us")),
        ("料金 税込", pa.int32()),
        ("l", pa.list_(pa.int64())),
        ("st", pa.struct([("x", pa.int64())])),
        ("d", pa.dictionary(pa.int32(), pa.string())),
        ("money", pa.decimal128(9, 2)),
        ("Key", pa.int8()),
        ("KEY", pa.int8()),
        ("today", pa.int8()),
    ]
)


@pytest.mark.parametrize(
    ("text", "kind", "columns"),
    [
        ("a + 1", pa.int64(), ["a"]),
        ("A / 2", pa.float64(), ["a"]),
        ("distance > 0 AND a < 500", pa.bool_(), ["a", "distance"]),
        ('"料金 税込" * 2', pa.int32(), ["料金 税込"]),
        ("st.x", pa.int64(), ["st"]),
        ("s.lower().upper()", pa.string(), ["s"]),
        ("list_transform(l, lambda x: x + a)", pa.list_(pa.field("l", pa.int64())), ["a", "l"]),
        ("[x + 1 for x in l if x > 2]", pa.list_(pa.field("l", pa.int64())), ["l"]),
        ("CASE WHEN a > 1 THEN s END", pa.string(), ["a", "s"]),
        ("d = 'x'", pa.bool_(), ["d"]),
        ("money * 2", pa.decimal128(18, 2), ["money"]),
        ("date_trunc('month', ts)", pa.timestamp("us"), ["ts"]),
        ("a IN (1, 2, NULL)", pa.bool_(), ["a"]),
        ("a /* why */ + 1", pa.int64(), ["a"]),
        ("a -- why\n + 1", pa.int64(), ["a"]),
        ("'; -- ' || s", pa.string(), ["s"]),
        ("today + a", pa.int64(), ["a", "today"]),  # a column, not the function
        ("1 = 1", pa.bool_(), []),
        ("list_sum(l)", pa.decimal128(38, 0), ["l"]),
        ("TRY(a / 0)", pa.float64(), ["a"]),
    ],
)
def test_row_wise_expressions_have_a_type_and_columns(text: str, kind: pa.DataType, columns: list[str]) -> None:
    assert check_expression(text, SCHEMA) == kind
    assert referenced_columns(text, SCHEMA) == columns


@pytest.mark.parametrize("terms", [700, 5000])
def test_a_sum_of_more_terms_than_a_stack_has_room_for_is_refused_with_the_way_out(terms: int) -> None:
    assert check_expression(" + ".join(["a"] * 100), SCHEMA) == pa.int64()
    with pytest.raises(ExpressionError, match="with_columns"):
        check_expression(" + ".join(["a"] * terms), SCHEMA)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sum(a)", r"sum\(\) is an aggregate"),
        ("count(*)", "aggregate"),
        ("a / geomean(a)", "aggregate"),  # a macro around one
        ("wavg(a, a)", "aggregate"),
        ("sum(a) OVER ()", "window function"),
        ("row_number()", "window function"),
        ("a > (SELECT 1)", "subquery"),
        ("EXISTS (SELECT 1)", "subquery"),
        ("a IN (SELECT 1)", "subquery"),
        ("random()", "another value at each call"),
        ("a + random()", "another value at each call"),
        ("list_transform(l, lambda x: random())", "another value at each call"),
        ("uuid()", "another value at each call"),
        ("nextval('x')", "another value at each call"),
        ("now()", "clock or the session"),
        ("today()", "clock or the session"),
        ("current_timestamp", "clock or the session"),
        ("CURRENT_DATE", "clock or the session"),
        ("localtime", "clock or the session"),
        ("current_localtimestamp()", "clock or the session"),
        ("age(ts)", "clock or the session"),
        ("ago(INTERVAL 1 DAY)", "clock or the session"),
        ("current_setting('threads')", "clock or the session"),
        ("unnest(l)", "several rows"),
        ("generate_subscripts(l, 1)", "several rows"),
        ("read_text('/etc/passwd')", "table function"),
        ("*", "star"),
        ("COLUMNS('a')", "star"),
        ("?", "parameter"),
        ("#1", "by name, not by number"),
        ("a; DROP TABLE x", "another statement"),
        ("a;", "syntax error"),
        ("a, distance", "several expressions"),
        ("a) , (a", "syntax error"),
        ("a) OR (true", "syntax error"),
        ("a FROM x", "syntax error"),
        ("a AS b", "syntax error"),
        ("a -- why", "comment swallows"),
        ("a /* why", "unterminated"),
        ("a +", "syntax error"),
        ("(a + 1", "ends too early|syntax error"),
        ("'x", "unterminated string"),
        ("", "empty"),
        (" \n", "empty"),
        ("s + 1", "No function matches"),
        ("foor(a)", "foor does not exist! Did you mean"),
        ("st.y", 'Could not find key "y"'),
        ("key + 1", "differ by case alone"),
        ("list_transform(l, x -> x + 1)", "lambda x:"),
        ("__input.a", 'no column "__input"'),
    ],
)
def test_everything_else_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason) as told:
        check_expression(text, SCHEMA)
    assert told.value.fix


def test_an_unknown_column_gets_a_suggestion_a_caret_and_the_list() -> None:
    with pytest.raises(ExpressionError) as told:
        check_expression("a > 1 AND distanc > 2", SCHEMA)
    assert told.value.message.splitlines() == [
        'the expression is refused: no column "distanc"; did you mean "distance"?',
        "    a > 1 AND distanc > 2",
        "              ^^^^^^^",
    ]
    assert told.value.fix.startswith("use one of the columns: a, distance, s, ts, 料金 税込, l")


def test_the_caret_stands_under_the_right_place_behind_wide_characters() -> None:
    with pytest.raises(ExpressionError) as told:
        check_expression('"料金 税込" + foo(a)', SCHEMA)
    line, caret = told.value.message.splitlines()[1:]
    assert line == '    "料金 税込" + foo(a)'
    assert caret == " " * 18 + "^" * caret.count("^")


@pytest.mark.parametrize("text", ["a = \n b1 + 1", "x" * 500 + " > 1"])
def test_the_place_is_shown_on_one_short_line(text: str) -> None:
    with pytest.raises(ExpressionError) as told:
        check_expression(text, SCHEMA)
    assert len(told.value.message.splitlines()[1]) <= 104


def test_a_schema_without_columns_still_takes_constants() -> None:
    assert check_expression("1 + 1", pa.schema([])) == pa.int32()
    with pytest.raises(ExpressionError, match='no column "a"'):
        check_expression("a", pa.schema([]))


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), min_size=1))
def test_any_quoted_name_is_a_column(name: str) -> None:
    schema = pa.schema([(name, pa.int64())])
    assert referenced_columns(f"{quote(name)} + 1", schema) == [name]
    assert check_expression(f"{quote(name)} + 1", schema) == pa.int64()


PIECES = [*"ab ()+-*/,;'\"\n.<>=1?#$[]{}", "--", "/*", "*/", "AS ", "FROM "]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_what_is_accepted_stands_alone_in_any_place(text: str) -> None:
    """No text that passes can end the parentheses that it is put in, or swallow what follows."""
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    try:
        kind = check_expression(text, schema)
    except ExpressionError:
        return
    assert check_expression(f"[({text}), ({text})]", schema).value_type == kind
