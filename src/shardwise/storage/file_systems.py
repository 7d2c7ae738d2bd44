"""fsspec's file systems: which library each protocol needs, and the extra that brings it."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from shardwise.errors import MissingExtra, UsageError

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

_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)(?=::|://)")


def file_system(url: str, options: dict[str, Any] | None = None) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path of the URL in it. Nothing that it remembers of listings is kept:
    other processes write there, too.

    Raises
    ------
    MissingExtra
        The library of its protocol is not installed.
    UsageError
        Nobody knows the protocol, or the library does not know one of the options.
    """
    import fsspec

    _require(url)
    try:
        found, path = fsspec.core.url_to_fs(url, **(options or {}))
    except ImportError as error:
        raise MissingExtra(f"{url}: {error}", "install the package that it names with pip") from error
    except ValueError as error:
        raise UsageError(f"{url}: {error}", "use a protocol that fsspec knows, or a local path") from error
    except TypeError as error:
        raise UsageError(f"{url}: {error}", "see which storage_options its fsspec library takes") from error
    found.invalidate_cache()
    return found, str(path)


def _require(url: str) -> None:
    for protocol in _PROTOCOL.findall(url):
        module, extra = _LIBRARIES.get(protocol, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            raise MissingExtra(
                f"{url}: {protocol}:// needs {module.replace('_', '-')}, which is not installed",
                f'pip install "shardwise[{extra}]"',
            )
