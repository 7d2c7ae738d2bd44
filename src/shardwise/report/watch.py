"""A run's page served on loopback while the run goes on, and after.

Who has the token in the address sees the run; everybody else is refused. A page on the internet cannot guess it, and
one that has its own name point at this machine (DNS rebinding) is known by the name that the browser asks for.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import secrets
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from shardwise.errors import ShardwiseError, UsageError
from shardwise.report.page import render, update

LEAST_PAUSE = 0.5
"""Seconds between two looks at a run; several browsers share one."""

SHARE_OF_TIME = 0.2
"""A look that takes long is taken more seldom, so that no more than this share of a core is spent on it."""

NEWS = "news.json"
Document = dict[str, Any]


class Sight:
    """What a run looks like now, looked at no more often than is worth it.

    Parameters
    ----------
    look : callable
        Makes the document anew.
    lang : str
        Language of the page.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, look: Callable[[], Document], lang: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._lang, self._clock = look, lang, clock
        self._lock = threading.Lock()
        self._again = float("-inf")
        self._document: Document = {}
        self._news = b""
        self._version = ""

    def page(self) -> bytes:
        """The whole page."""
        self._renew()
        return render(self._document, self._lang, live=NEWS).encode()

    def news(self, seen: str) -> bytes | None:
        """What is to be drawn now, as JSON; None where that is what was seen."""
        self._renew()
        return None if self._version == seen else self._news

    def _renew(self) -> None:
        with self._lock:
            began = self._clock()
            if began < self._again:
                return
            self._document = self._look()
            drawn = update(self._document, self._lang)
            self._version = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:16]
            self._news = json.dumps({**drawn, "version": self._version}).encode()
            ended = self._clock()
            self._again = ended + max(LEAST_PAUSE, (ended - began) / SHARE_OF_TIME)


class Watch:
    """The server of one run's page. ``with Watch(...) as watch: watch.serve()``; ``close`` ends ``serve``.

    Parameters
    ----------
    look : callable
        Makes the document of the run anew.
    lang : {"en", "ja"}
    port : int
        On 127.0.0.1; 0: any that is free.

    Raises
    ------
    UsageError
        The port cannot be had.
    MissingExtra
        Bokeh is not installed.
    """

    def __init__(self, look: Callable[[], Document], lang: str = "en", port: int = 0) -> None:
        self._token = secrets.token_urlsafe(24)
        self._sight = Sight(look, lang)
        self._sight.page()  # what cannot be drawn is said now, not to a browser
        try:
            self._server = _Server(("127.0.0.1", port), functools.partial(_Answer, self._token, self._sight))
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} cannot be had: {error}", "choose another --port, or leave it out") from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_port}/{self._token}/"

    def serve(self) -> None:
        """Answer until ``close`` is called."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop answering. Called by another thread, or after ``serve`` was interrupted."""
        self._server.server_close()

    def stop(self) -> None:
        """Have ``serve`` return; called by another thread."""
        self._server.shutdown()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind, without asking a name server what 127.0.0.1 is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


class _Answer(BaseHTTPRequestHandler):
    server_version, sys_version = "Shardwise", ""
    timeout = 30
    server: _Server

    def __init__(self, token: str, sight: Sight, *more: Any) -> None:
        self._token, self._sight = token, sight
        super().__init__(*more)

    def do_GET(self) -> None:
        """Answer who knows the token."""
        path, _, query = self.path.partition("?")
        token, _, name = path.removeprefix("/").partition("/")
        if not self._is_ours() or not hmac.compare_digest(token.encode(), self._token.encode()):
            self._send(HTTPStatus.FORBIDDEN, b"The address that shardwise watch printed is the only one.\n")
            return
        try:
            if name == "":
                self._send(HTTPStatus.OK, self._sight.page(), "text/html; charset=utf-8")
            elif name == NEWS:
                self._send_news(parse_qs(query).get("seen", [""])[0])
            else:
                self._send(HTTPStatus.NOT_FOUND, b"There is nothing here.\n")
        except ShardwiseError as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, str(error).encode(errors="backslashreplace"))

    do_HEAD = do_GET  # noqa: N815 - its name in http.server

    def _is_ours(self) -> bool:
        """Whether the browser asked for this machine, not for a name that somebody has led here."""
        port = self.server.server_port
        return self.headers.get_all("Host") in ([f"127.0.0.1:{port}"], [f"localhost:{port}"])

    def _send_news(self, seen: str) -> None:
        news = self._sight.news(seen)
        if news is None:
            self._send(HTTPStatus.NO_CONTENT, b"")
        else:
            self._send(HTTPStatus.OK, news, "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        """Answer one connection; a browser that went away is no news."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing: the token is in the address."""
