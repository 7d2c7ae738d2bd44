"""fsspec's file systems: which library each protocol needs, and the extra that brings it."""

from __future__ import annotations

import importlib.util
import re
from typing import Any
from urllib.parse import quote, urlsplit

from shardwise.errors import MissingExtra, StorageError, UsageError

_LIBRARIES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "hdfs": ("hdfs_native", "hdfs"),
    "webhdfs": ("requests", "hdfs"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "abfs": ("adlfs", "abfs"),
    "abfss": ("adlfs", "abfs"),
    "az": ("adlfs", "abfs"),
}
"""Protocol: the module that speaks it, and our extra."""

AZURE = ("abfs", "abfss", "az")
_SHORT = 4
"""A secret has more characters."""

_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(?=::|://)")


def file_system(url: str, options: dict[str, Any] | None = None) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path of the URL in it. Nothing that it remembers of listings is kept:
    other processes write there, too.

    Raises
    ------
    MissingExtra
        The library of its protocol is not installed.
    UsageError
        Nobody knows the protocol, or the library cannot do with the options.
    StorageError
        There are no credentials, or they cannot be looked at.
    """
    import fsspec

    _require(url)
    try:
        found, path = fsspec.core.url_to_fs(url, **(options or {}))
    except ImportError as error:
        raise MissingExtra(f"{url}: {error}", "install the package that it names with pip") from error
    except Exception as error:
        raise _refusal(url, error, options or {}) from None  # what it says may hold a token
    found.invalidate_cache()
    return found, str(path)


def url_of(system: Any, asked: str, path: str) -> str:
    """URL of a file that was found where somebody asked. Those that libraries make leave out the host of webhdfs, and
    Azure's account, which may stand nowhere else: ``abfss://container@account...``, ``abfss://account.../container``.
    """
    protocol, host = urlsplit(asked)[:2]
    if protocol == "webhdfs":
        return f"webhdfs://{host}{path}"
    container, at, _ = host.partition("@")
    if protocol in AZURE and (at or host.endswith(".core.windows.net")):
        return f"{protocol}://{host}/{path.removeprefix(f'{container}/' if at else '')}"
    return str(system.unstrip_protocol(path))


def _refusal(url: str, error: Exception, options: dict[str, Any]) -> UsageError | StorageError:
    """What a library says before it asks for any file: all of them look at options, Google's at credentials, too."""
    first = f"{type(error).__name__}: {error}".splitlines()[0]
    said = f"{url}: {_without(options, first)}"
    if str(error).startswith("Protocol not known"):
        return UsageError(said, "use a protocol that fsspec knows, or a local path")
    if isinstance(error, (TypeError, ValueError, KeyError)):
        fix = "see which storage_options its fsspec library takes, or let the environment provide the credentials"
        return UsageError(said, fix)
    return StorageError(said, "give credentials in storage_options, or let the environment provide them")


def _without(options: dict[str, Any], text: str) -> str:
    """A text in which no option stands."""
    for option in options.values():
        for secret in (str(option), quote(str(option), safe="")):
            text = text.replace(secret, "...") if len(secret) > _SHORT else text
    return text


def _require(url: str) -> None:
    for protocol in _PROTOCOL.findall(url):
        module, extra = _LIBRARIES.get(protocol, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            raise MissingExtra(
                f"{url}: {protocol}:// needs {module.replace('_', '-')}, which is not installed",
                f'pip install "shardwise[{extra}]"',
            )
