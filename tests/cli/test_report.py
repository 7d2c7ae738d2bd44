"""``shardwise report`` and ``shardwise watch`` on real runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import shardwise as sw
from shardwise.cli.main import main
from shardwise.run.directory import RunDirectory

pytest.importorskip("bokeh")


@pytest.fixture
def run(tmp_path: Path) -> str:
    directory = str(tmp_path / "run")
    sw.from_items(list(range(20))).map_items(abs).collect().run(engine="local:1", run_dir=directory, progress="none")
    return directory


def known_of(markup: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', markup, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_a_page_is_written(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    view = RunDirectory.read(run)
    assert main(["report", run, "--open", "no"]) == 0
    written = tmp_path / f"report-{view.id}.html"
    assert f"Wrote {written.name} (" in capsys.readouterr().out
    said = written.read_text(encoding="utf-8")
    assert view.id in said
    spans = known_of(said)["series"]["spans"]
    committed = [commit for stage in view.stages for commit in view.committed(stage)]
    assert sum(spans["rows"]) == sum(commit.metrics.rows_in for commit in committed) > 0
    assert sorted(tmp_path.glob(".*")) == []


def test_a_page_is_printed_where_that_is_wanted(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", run, "-o", "-", "--open", "yes"]) == 0
    said = capsys.readouterr().out
    assert said.lower().startswith("<!doctype html>") and said.rstrip().endswith("</html>")
    assert not (tmp_path / "-").exists()
    assert main(["report", run, "-o", "-", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "fix: name a file" in err


def test_a_notebook_shows_the_same(run: str) -> None:
    job = sw.from_items(list(range(20))).map_items(abs).collect()
    shown = job.run(engine="local:1", run_dir=run, progress="none").report._repr_html_()
    assert shown.startswith("<iframe")
    assert RunDirectory.read(run).id in shown


def test_the_language_is_chosen(run: str, tmp_path: Path) -> None:
    target = tmp_path / "ja.html"
    assert main(["report", run, "-o", str(target), "--lang", "ja"]) == 0
    assert '<html lang="ja">' in target.read_text(encoding="utf-8")


@pytest.mark.parametrize(("said", "shown"), [("yes", True), ("no", False), ("auto", False)])
def test_a_browser_is_shown_it_where_that_is_wanted(
    said: str, shown: bool, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")  # but standard output is no terminal
    target = tmp_path / "a page.html"
    assert main(["report", run, "-o", str(target), "--open", said]) == 0
    assert opened == [target.as_uri()] * shown


def test_json_is_the_document_alone(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", run, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["run"]["id"] == RunDirectory.read(run).id
    assert list(tmp_path.glob("*.html")) == []


def test_a_trace_is_written(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", run, "--trace", "trace.json"]) == 0
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert list(tmp_path.glob("*.html")) == []


def test_a_document_is_alone_on_standard_output(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", run, "--json", "--trace", "trace.json", "-o", "page.html"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["run"]["id"] == RunDirectory.read(run).id
    assert "Wrote trace.json" in said.err and "Wrote page.html" in said.err
    assert main(["report", run, "-o", "-", "--trace", "trace.json"]) == 0
    assert capsys.readouterr().out.startswith("<!")


def test_a_trace_wants_a_file(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", run, "--trace", "-"]) == 2
    assert "--trace FILE.json" in capsys.readouterr().err and not Path("-").exists()


def test_what_cannot_be_written_is_told(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", run, "-o", "/nowhere/page.html"]) == 1
    assert "/nowhere/page.html cannot be written" in capsys.readouterr().err


def test_what_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("report", "watch"):
        assert main([name, str(tmp_path)]) == 2
        assert "is not a run directory" in capsys.readouterr().err


def test_watch_serves_until_ctrl_c(run: str) -> None:
    command = [sys.executable, "-m", "shardwise.cli.main", "watch", run, "--lang", "en"]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert watch.stdout is not None
        url = watch.stdout.readline().strip()
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert RunDirectory.read(run).id in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(url.replace("127.0.0.1", "127.0.0.1", 1)[:-2] + "/", timeout=60)
        watch.send_signal(signal.SIGINT)
        _, said = watch.communicate(timeout=60)
        assert watch.returncode == 0
        assert "Traceback" not in said
    finally:
        watch.kill()
        watch.communicate()
