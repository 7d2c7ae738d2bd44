"""Aggregates as descriptions and as text."""

from __future__ import annotations

import inspect
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shardwise.compute.aggregates as sw
from shardwise.compute.aggregates import Builtin, known_aggregates, parse_aggregate
from shardwise.compute.aggregates.base import entry
from shardwise.errors import UsageError


@pytest.mark.parametrize(
    "text, name, aggregate",
    [
        ("avg=mean(value)", "avg", sw.mean("value")),
        ("mean(value)", "mean_value", sw.mean("value")),
        ("p95=approx_quantile(delay, 0.95)", "p95", sw.approx_quantile("delay", 0.95)),
        ("平均=mean(売上)", "平均", sw.mean("売上")),
        ("count()", "count", sw.count()),
        (" n = count ( ) ", "n", sw.count()),
        ('mean("a b")', "mean_a b", sw.mean("a b")),
        ('"my name"=sum("a,b=(c)")', "my name", sw.total("a,b=(c)")),
        ('sum("say ""hi""")', 'sum_say "hi"', sw.total('say "hi"')),
        ("max('it''s')", "max_it's", sw.maximum("it's")),
        ('max("0.5")', "max_0.5", sw.maximum("0.5")),
        ("var(x, ddof=0)", "var_x", sw.var("x", 0)),
        ("std(x, 0)", "std_x", sw.std("x", 0)),
        ("top=top_k(name, 3, by=score)", "top", sw.top_k("name", 3, "score")),
        ("h=histogram(x, [0, 1.5, 2e3])", "h", sw.histogram("x", [0, 1.5, 2000])),
        ("h=histogram(x, 4, range=(-1, +1))", "h", sw.histogram("x", 4, (-1, 1))),
        ("a=argmin(city, distance)", "a", sw.argmin("city", "distance")),
        ("q=approx_quantile(x, [0.25, 0.5])", "q", sw.approx_quantile("x", [0.25, 0.5])),
        ("sum(a.b-c$)", "sum_a.b-c$", sw.total("a.b-c$")),
        ("u=approx_n_unique(nan)", "u", sw.approx_n_unique("nan")),
    ],
)
def test_reading(text, name, aggregate) -> None:
    found_name, found = parse_aggregate(text)
    assert (found_name, found.name, found.identity()) == (name, name, aggregate.identity())


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "an aggregate is expected"),
        ("mean", r"'\(' is expected"),
        ("mean(x", r"'\)'|',' is expected"),
        ("mean(x))", "the end is expected"),
        ("mean(a b)", "',' is expected"),
        ('mean("a)', "not closed at character 6"),
        ("average(x)", "no aggregate 'average'"),
        ("a=b=mean(x)", "no aggregate 'b'"),
        ("mean()", "missing a required argument"),
        ("mean(x, y)", "too many positional"),
        ("var(x, dof=1)", "unexpected keyword argument 'dof'"),
        ("var(x, ddof=1, ddof=0)", "given twice"),
        ("var(ddof=1, x)", "columns come before options"),
        ("var(x, ddof=abc)", "ddof is 'abc'"),
        ("mean(3)", "3, not a column's name"),
        ("mean(,)", "is expected"),
        ("mean(x,)", "is expected"),
        ("=mean(x)", "is expected"),
    ],
)
def test_what_cannot_be_read(text, message) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_aggregate(text)
    assert caught.value.fix


def test_the_message_lists_what_there_is() -> None:
    for text in ("average(x)", "mean"):
        with pytest.raises(UsageError) as caught:
            parse_aggregate(text)
        assert all(name in caught.value.fix for name in ("mean", "approx_quantile", "count_null"))


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_can_be_quoted(name, column) -> None:
    def quote(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    found_name, found = parse_aggregate(f"{quote(name)}=mean({quote(column)})")
    assert (found_name, found.columns) == (name, (column,))


@settings(deadline=None)
@given(st.text(alphabet="mean()x,=\"'[] 1.", max_size=20))
def test_any_text_is_read_or_refused(text) -> None:
    try:
        name, found = parse_aggregate(text)
    except UsageError:
        return
    assert name and isinstance(found, Builtin)


def test_descriptions() -> None:
    made = [
        sw.count(), sw.count("x"), sw.count_null("x"), sw.total("x"), sw.mean("x"), sw.var("x"), sw.var("x", 0),
        sw.std("x"), sw.minimum("x"), sw.maximum("x"), sw.argmin("x", "y"), sw.argmax("x", "y"), sw.argmax("y", "x"),
        sw.top_k("x", 2), sw.top_k("x", 2, "y"), sw.histogram("x", [0, 1]), sw.histogram("x", [0, 2]),
        sw.cov("x", "y"), sw.corr("x", "y"),
    ]  # fmt: skip
    assert len({json.dumps(a.identity(), sort_keys=True) for a in made}) == len(made)
    for a in made:
        assert pickle.loads(pickle.dumps(a)) == a and hash(a) == hash(pickle.loads(pickle.dumps(a)))
        assert a.alias("b").name == "b" and a.alias("b").identity() == a.identity()
        assert Builtin(**{f: getattr(a, f) for f in ("function", "columns", "options", "label")}) == a
    assert sw.sum("x") == sw.total("x") and sw.min("x").name == "min_x" and sw.max("x").name == "max_x"
    with pytest.raises(UsageError):
        sw.mean("x").alias("")


def test_every_function_is_registered_with_its_constructor() -> None:
    for name in known_aggregates():
        assert inspect.getdoc(entry(name).construct)
    assert {"sum", "min", "max", "approx_quantile", "approx_n_unique"} < set(known_aggregates())
    assert set(sw.__all__) >= set(known_aggregates())
