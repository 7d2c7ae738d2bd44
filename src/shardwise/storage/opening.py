"""From a URL to a store."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shardwise.errors import UsageError
from shardwise.storage.access import options_for
from shardwise.storage.file_systems import AZURE
from shardwise.storage.local import LocalStore
from shardwise.storage.store import Store


def open_store(url: str, options: dict[str, Any] | None = None) -> Store:
    """Open the store at a path or URL. Nothing is read or made.

    Parameters
    ----------
    url : str
        A path, ``file://...``, or any URL that fsspec knows.
    options : dict, optional
        Credentials and the like for fsspec. Unless given, what was remembered for this place (``access.remember``).

    Raises
    ------
    UsageError
        The URL holds a password, which would end up in logs and journals, or nobody knows its protocol.
    MissingExtra
        The library of its protocol is not installed.

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
    return _remote(protocol, url, options_for(url) if options is None else options)


def _remote(protocol: str, url: str, options: dict[str, Any]) -> Store:
    if protocol in ("s3", "s3a", "gs", "gcs"):
        from shardwise.storage.objects import ObjectStore

        return ObjectStore(url, options)
    if protocol in AZURE:
        from shardwise.storage.objects import AzureStore

        return AzureStore(url, options)
    if protocol in ("hdfs", "webhdfs"):
        from shardwise.storage.hdfs import HdfsStore, WebHdfsStore

        return HdfsStore(url, options) if protocol == "hdfs" else WebHdfsStore(url, options)
    if protocol == "memory":
        from shardwise.storage.memory import MemoryStore

        return MemoryStore(url, options)
    from shardwise.storage.remote import FsspecStore

    return FsspecStore(url, options)
