"""The live page's server: who may ask, what they are told, and how often a run is looked at."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from report import documents
from shardwise.errors import StorageError, UsageError
from shardwise.report.watch import LEAST_PAUSE, SHARE_OF_TIME, Sight, Watch

pytest.importorskip("bokeh")


class Run:
    """A document that changes, or cannot be had."""

    def __init__(self) -> None:
        self.document = documents.empty()
        self.looks = 0
        self.broken = False

    def __call__(self) -> dict[str, Any]:
        self.looks += 1
        if self.broken:
            raise StorageError("the run is gone")
        return self.document


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def watch(run: Run) -> Iterator[Watch]:
    with Watch(run) as served:
        serving = threading.Thread(target=served.serve)
        serving.start()
        yield served
        served.stop()
        serving.join()


def ask(watch: Watch, path: str | None = None, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    where = urlsplit(watch.url)
    connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=30)
    connection.request(method, where.path if path is None else path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def look_every_time(watch: Watch) -> None:
    calls = itertools.count()  # two a look, which takes no time
    watch._sight._clock, watch._sight._again = lambda: next(calls) // 2 * 1000.0, 0.0


def token_of(watch: Watch) -> str:
    return urlsplit(watch.url).path.strip("/")


def test_it_listens_on_loopback_only(watch: Watch) -> None:
    assert urlsplit(watch.url).hostname == "127.0.0.1"
    assert watch._server.socket.getsockname()[0] == "127.0.0.1"


def test_who_has_the_address_sees_the_page(watch: Watch) -> None:
    status, body = ask(watch)
    assert status == 200
    assert b"6e8837de70df" in body
    assert b"connect-src 'self'" in body
    assert ask(watch, method="HEAD") == (200, b"")


def test_tokens_differ(run: Run, watch: Watch) -> None:
    with Watch(run) as other:
        assert len(token_of(watch)) >= 24
        assert token_of(other) != token_of(watch)


@pytest.mark.parametrize("path", ["/", "/{}x/", "/x{}/", "/news.json", "/../{}/", "/?{}", "/{:.10}/", "/%00/"])
def test_others_are_refused(watch: Watch, path: str) -> None:
    status, body = ask(watch, path.format(token_of(watch)))
    assert status == 403
    assert token_of(watch).encode() not in body and b"6e8837de70df" not in body


def test_there_is_nothing_else(watch: Watch) -> None:
    for path in ("page.py", "../", "%2e%2e/", "news.json/", "/etc/passwd"):
        assert ask(watch, f"/{token_of(watch)}/{path}")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1.evil.example:{}", ""])
def test_another_name_of_this_machine_is_refused(watch: Watch, host: str) -> None:
    port = urlsplit(watch.url).port
    assert ask(watch, Host=host.format(port))[0] == 403
    assert ask(watch, Host=f"localhost:{port}")[0] == 200


def test_nobody_can_change_anything(watch: Watch) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(watch, method=method)[0] == 501


def test_news_come_when_there_are_any(run: Run, watch: Watch) -> None:
    look_every_time(watch)
    path = f"/{token_of(watch)}/news.json"
    first = json.loads(ask(watch, path)[1])
    assert ask(watch, f"{path}?seen={first['version']}") == (204, b"")
    run.document = documents.small()
    status, body = ask(watch, f"{path}?seen={first['version']}")
    assert status == 200
    assert "predicted gain: 1.2 s" in json.loads(body)["parts"]["advice"]


def test_a_run_that_cannot_be_read_is_no_answer(run: Run, watch: Watch) -> None:
    look_every_time(watch)
    run.broken = True
    assert ask(watch) == (503, b"the run is gone")
    run.broken = False
    assert ask(watch)[0] == 200


def test_a_run_is_not_looked_at_too_often(run: Run) -> None:
    now = [0.0]
    sight = Sight(run, "en", clock=lambda: now[0])
    for moment in (0.0, LEAST_PAUSE / 2, LEAST_PAUSE * 0.9):
        now[0] = moment
        sight.news("")
    assert run.looks == 1
    now[0] = LEAST_PAUSE
    sight.news("")
    assert run.looks == 2


def test_a_look_that_takes_long_is_taken_more_seldom(run: Run) -> None:
    now = [0.0]

    def look() -> dict[str, Any]:
        now[0] += 3.0
        return run()

    sight = Sight(look, "en", clock=lambda: now[0])
    sight.news("")
    now[0] = 3.0 + 3.0 / SHARE_OF_TIME - 0.1
    sight.news("")
    assert run.looks == 1
    now[0] += 0.2
    sight.news("")
    assert run.looks == 2


def test_a_port_that_is_taken_is_told(run: Run, watch: Watch) -> None:
    with pytest.raises(UsageError, match="cannot be had") as caught:
        Watch(run, port=urlsplit(watch.url).port or 0)
    assert "--port" in caught.value.fix
