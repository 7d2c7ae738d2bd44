"""The page as text: whatever a run says, it is well-formed, says it, and can do nothing else."""

from __future__ import annotations

import base64
import copy
import gzip
import html
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report import documents
from shardwise.errors import MissingExtra, UsageError
from shardwise.report import page
from shardwise.report.page import charts, language_of_locale, render, update
from shardwise.report.page.html import script_json, text, visible
from shardwise.report.page.notebook import frame
from shardwise.report.page.texts import LANGUAGES, texts

HOME = Path(page.__file__).parent
MOST_BYTES = 2_000_000
VOID = {"meta", "link", "br", "input", "img", "hr"}


class Reader(HTMLParser):
    """Elements, attributes and text of a page; refuses what is not closed as it was opened."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: dict[str, list[str]] = {}
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.said.setdefault(self.open[-1], []).append(data)

    def find(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def plain(document: dict[str, Any], lang: str = "en") -> str:
    return render(document, lang, charts=False)


def known_of(markup: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', markup, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


# --- what it says --------------------------------------------------------------------------------------------------


def test_the_figures_of_the_run_are_there() -> None:
    said = plain(documents.small())
    for figure in ("6e8837de70df", "6.5 s", "local:2", "151 MB", "5.2 s – 7.4 s", "7.41 MB"):
        assert figure in said
    for words in (
        "data parallelism",
        "Use larger shards",
        "12 batches",
        "predicted gain: 1.2 s",
        "reads 1.9 times as much",
        "99722",
    ):
        assert words in said


def test_like_is_compared_with_like() -> None:
    rows = Reader(plain(documents.small())).said["td"]
    assert {"4.2 s", "0.69 ×", "7.0 s", "302 MB"} <= set(rows)  # measured, over predicted, of all workers, on a host
    stage = known_of(plain(documents.small()))["series"]["stages"][0]
    assert (stage["seconds"], stage["memory"]) == (pytest.approx(4.2), 302_000_000)


def test_sections_come_in_their_order() -> None:
    ids = [at["id"] for at in Reader(plain(documents.small())).find("section")]
    assert ids == list(page.SECTIONS)


def test_the_series_hold_every_attempt() -> None:
    document = documents.small()
    spans = known_of(plain(document))["series"]["spans"]
    assert spans["task"] == [span["task"] for span in document["spans"]]
    assert spans["began"] == [0.4, 0.5, 1.3, 2.5, 4.6, 6.1]
    assert spans["backup"] == [4]
    assert spans["failure"] == {"1": "ValueError: 450 km/h"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_language(lang: str) -> None:
    said = plain(documents.small(), lang)
    assert Reader(said).find("html") == [{"lang": lang}]
    assert texts(lang)["advice"] in said


def test_other_languages_are_refused() -> None:
    with pytest.raises(UsageError, match="does not speak 'tlh'"):
        render(documents.small(), "tlh")


@pytest.mark.parametrize(
    ("environment", "lang"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "fr"}, "en"),
    ],
)
def test_the_locale_chooses(environment: dict[str, str], lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language_of_locale() == lang


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    known = {name for name in texts("en") if not name.startswith("column_")}
    code = "\n".join(
        file.read_text() for file in HOME.iterdir() if file.suffix in (".py", ".js") and file.name != "texts.py"
    )
    named = set(re.findall(r"[\"'`](\w+)[\"'`]", code))
    made = {f"{name}_how" for name in ("failed", "interrupted", "planned")}
    made |= {f"how_{name}" for name in charts_of_how()}
    made |= {f"{name}_page" for name in ("previous", "next")}
    assert known - named - made - set(page.SECTIONS) == set()
    assert set(re.findall(r"(?:words\(|t\[)\"(\w+)\"", code)) - known == set()


def charts_of_how() -> tuple[str, ...]:
    from shardwise.report.page.series import HOW

    return HOW


def test_both_languages_fill_the_same_places() -> None:
    english, japanese = texts("en"), texts("ja")
    for name, said in english.items():
        assert len(re.findall(r"\{\d?\}", said)) == len(re.findall(r"\{\d?\}", japanese[name])), name


# --- what it can not do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_hostile_runs_are_text(lang: str) -> None:
    harmless, hostile = Reader(plain(documents.small(), lang)), Reader(plain(documents.hostile(), lang))
    assert {name for name, _ in hostile.elements} <= {name for name, _ in harmless.elements}
    assert len(hostile.find("script")) == len(harmless.find("script"))
    names = {name for _, attributes in hostile.elements for name in attributes}
    assert names <= {name for _, attributes in harmless.elements for name in attributes}
    assert not any(name.startswith("on") for name in names)


def test_hostile_runs_are_shown_as_they_are() -> None:
    said = "".join(Reader(plain(documents.hostile())).said["td"])
    assert "</script><script>window.hit=1</script>" in said


def test_no_control_character_is_left() -> None:
    made = plain(documents.hostile())
    assert made.encode()  # no half characters
    assert not [c for c in made if not c.isprintable() and c not in "\n\u200b\u3000"]


def test_a_page_cannot_ask_anybody() -> None:
    for live, expected in ((None, False), ("news.json", True)):
        made = Reader(render(documents.small(), live=live, charts=False))
        policy = next(at["content"] for at in made.find("meta") if at.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None and policy.startswith("default-src 'none'")
        assert re.search(r"script-src 'sha256-[\w+/=]+' 'sha256-[\w+/=]+'(;|$)", policy)
        assert ("connect-src 'self'" in policy) is expected
        assert not [at for _, at in made.elements if "src" in at or str(at.get("href", "#"))[0] not in "#d"]


@given(st.text())
def test_text_shows_any_text(said: str) -> None:
    assert Reader(f"<p>{text(said)}</p>").said.get("p", []) == ([visible(said)] if said else [])


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_json_in_a_script_reads_back(value: Any) -> None:
    made = script_json(value)
    assert json.loads(made) == value
    assert not set("<>&\u2028\u2029") & set(made)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for name, each in inner for found in places(each, (*path, name))]


PLACES = places(documents.small())


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=4))
def test_a_page_is_drawn_whatever_stands_in_a_document(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = copy.deepcopy(documents.small())
    for path, value in changes:
        place: Any = document
        try:
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
    Reader(plain(document))
    json.dumps(update(document), allow_nan=False)


def test_the_time_between_two_drivers_is_left_out() -> None:
    whole, split = documents.small(), documents.small()
    for each in split["spans"]:
        for name in ("began", "ended"):
            each[name] += 86_400 if each[name] >= 2.5 else 0
    for each in split["workers"]:
        each["down"] += 86_400
    split["throughput"] = [[at + (86_400 if at >= 4 else 0), *rest] for at, *rest in split["throughput"]]
    split["throughput"].insert(2, [40_000.0, 0.0, 0.0])
    split["sessions"] = [[0.0, 2.45], [2.45 + 86_400, 6.5 + 86_400]]
    found, expected = known_of(plain(split))["series"], known_of(plain(whole))["series"]
    assert found == expected
    assert "Interruptions of the run: 1. The time between is left out (1 d 0 h)." in plain(split)


def test_a_run_that_has_only_begun() -> None:
    said = plain(documents.empty())
    assert "0 done" in said
    assert texts("en")["no_plan"] in said
    Reader(plain({}))


# --- how it is built -----------------------------------------------------------------------------------------------


def test_tables_have_captions_and_heads() -> None:
    made = Reader(plain(documents.small()))
    assert len(made.find("caption")) == len(made.find("table")) >= 9
    assert {at.get("scope") for at in made.find("th")} == {"col", "row"}


def test_ids_are_unique_and_what_names_them_exists() -> None:
    pytest.importorskip("bokeh")
    made = Reader(render(documents.small()))
    ids = [at["id"] for _, at in made.elements if "id" in at]
    assert len(ids) == len(set(ids))
    for _, at in made.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert at.get(name, ids[0]) in ids
        href = at.get("href")
        assert href is None or not href.startswith("#") or href[1:] in ids


def test_ten_thousand_tasks_fit() -> None:
    pytest.importorskip("bokeh")
    made = render(documents.large(10_000)).encode()
    assert len(made) < MOST_BYTES
    assert len(known_of(made.decode())["series"]["spans"]["task"]) == 10_000


def test_only_the_part_of_bokeh_that_draws_is_inside() -> None:
    pytest.importorskip("bokeh")
    made = render(documents.small())
    code = gzip.decompress(base64.b64decode(charts.packed_library())).decode()
    assert "BokehJS" in code
    assert len(code) < 1_400_000  # all of it would be 4 MB
    assert charts.packed_library() in made


def test_without_bokeh_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "bokeh"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    charts.library.cache_clear()
    charts.packed_library.cache_clear()
    charts.figures.cache_clear()
    with pytest.raises(MissingExtra) as caught:
        render(documents.small())
    assert caught.value.fix == 'pip install "shardwise[report]"'
    assert html.escape(texts("en")["no_charts"]) in html.unescape(frame(documents.small(), "en"))


# --- in a notebook -------------------------------------------------------------------------------------------------


def test_a_notebook_gets_the_page_in_a_frame_of_its_own() -> None:
    made = Reader(frame(documents.hostile(), "en"))
    assert [name for name, _ in made.elements] == ["iframe"]
    attributes = made.find("iframe")[0]
    assert attributes["sandbox"] == "allow-scripts"
    assert str(attributes["srcdoc"]).startswith("<!doctype html>")
    Reader(str(attributes["srcdoc"]))
