"""From a URL to a store."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shardwise.errors import UsageError
from shardwise.storage.local import LocalStore
from shardwise.storage.remote import FsspecStore
from shardwise.storage.store import Store


def open_store(url: str, options: dict[str, Any] | None = None) -> Store:
    """Open the store at a path or URL. Nothing is read or made.

    Parameters
    ----------
    url : str
        A path, ``file://...``, or any URL that fsspec knows.
    options : dict, optional
        Credentials and the like for fsspec.

    Raises
    ------
    UsageError
        The URL holds a password, which would end up in logs and journals.

    Examples
    --------
    >>> open_store("memory://runs/1").address("journal/0")
    'memory://runs/1/journal/0'
    """
    if "://" not in url:
        return LocalStore(url)
    protocol, _, rest = url.partition("://")
    if protocol in ("file", "local"):
        return LocalStore(rest)
    if urlsplit(url).password:
        raise UsageError(
            f"the URL of {protocol}://{urlsplit(url).hostname} holds a password",
            "pass it in storage_options, or let the environment provide it",
        )
    return FsspecStore(url, options)
