"""Connections to databases: drivers by URL, and messages that never show a password."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pyarrow as pa

from shardwise.errors import InputError, MissingExtra, ShardwiseError, UsageError

_SECRET = re.compile("pass|pwd|key|token|secret|credential", re.IGNORECASE)
_ADBC = {
    "sqlite": "adbc_driver_sqlite",
    "postgresql": "adbc_driver_postgresql",
    "postgres": "adbc_driver_postgresql",
}


def normalized(url: str) -> str:
    """Make the path of a SQLite file absolute, and see that the file is there; other URLs stay as they are."""
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        raise UsageError("read_database got a url without a scheme", "write it as sqlite:///path or postgresql://...")
    if scheme != "sqlite":
        return url
    path = Path(rest).expanduser().absolute()
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such SQLite file", "write sqlite:///absolute/path or sqlite://relative/path"
        )
    return f"sqlite://{path}"


def files_of(url: str) -> list[str]:
    """Name the files of a SQLite database, its write-ahead log among them; none for a server."""
    if not url.startswith("sqlite://"):
        return []
    path = url.removeprefix("sqlite://")
    return [name for name in (path, f"{path}-wal") if Path(name).is_file()]


def shown(url: str) -> str:
    """Write a URL without what it may hold of credentials.

    Examples
    --------
    >>> shown("postgresql://ann:secret@db:5432/sales?sslkey=x")
    'postgresql://db:5432/sales'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def quoted(url: str, name: str) -> str:
    """Quote the name of a column as the database wants it."""
    mark = "`" if url.startswith(("mysql:", "mariadb:")) else '"'
    return mark + name.replace(mark, mark * 2) + mark


@contextmanager
def query_batches(url: str, sql: str) -> Iterator[pa.RecordBatchReader]:
    """Send a query and give its record batches; whatever the driver says becomes InputError, without passwords."""
    try:
        module = importlib.import_module(f"{_ADBC[url.partition(':')[0]]}.dbapi")
    except (KeyError, ImportError):
        module = None
    try:
        if module is None:
            yield _whole_result(url, sql)
            return
        with closing(module.connect(_target(url))) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            with cursor.fetch_record_batch() as reader:
                yield reader
    except ShardwiseError:
        raise
    except Exception as error:
        raise InputError(
            f"{shown(url)}: the query failed: {_without_secrets(str(error), url)}", "mend the query or the url"
        ) from None


def _target(url: str) -> str:
    """Give what the driver connects to; a SQLite file is opened for reading only."""
    if not url.startswith("sqlite://"):
        return url
    return Path(url.removeprefix("sqlite://")).as_uri() + "?mode=ro"


def _whole_result(url: str, sql: str) -> pa.RecordBatchReader:
    """Fetch a result through connectorx, which gives it in one piece."""
    try:
        connectorx: Any = importlib.import_module("connectorx")
    except ImportError as error:
        raise MissingExtra(
            f"no driver for {url.partition(':')[0]} databases is installed",
            'pip install "shardwise[database]", or the ADBC driver: '
            f"pip install {_ADBC.get(url.partition(':')[0], 'connectorx').replace('_', '-')}",
        ) from error
    return connectorx.read_sql(url, sql, return_type="arrow").to_reader()


def _without_secrets(text: str, url: str) -> str:
    """Take the URL, its password and its secret parameters out of a driver's message, and all but the first line."""
    parts = urlsplit(url)
    text = text.replace(url, shown(url))
    secrets = [value for key, value in parse_qsl(parts.query) if _SECRET.search(key)]
    for secret in [parts.password, *secrets]:
        for form in (secret, unquote(secret), quote(secret, safe="")) if secret else ():
            text = text.replace(form, "***")
    return text.strip().partition("\n")[0].rstrip(".")
