"""Where a store keeps the bytes of a file, where it says so: the hosts of HDFS's blocks.

They are asked for over the NameNode's REST interface (WebHDFS, ``GETFILEBLOCKLOCATIONS``), as hdfs-native has no call
for them. It is advice only: what cannot be asked is not known, and nothing fails for it.
"""

from __future__ import annotations

import functools
import getpass
import json
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""A NameNode that takes longer is not waited for."""

WEB_PORT = 9870
"""Where NameNodes serve HTTP, unless ``hdfs-site.xml`` says otherwise."""

Block = tuple[int, int, tuple[str, ...]]
"""First byte, bytes, and hosts that each hold all of them."""


def says_where(url: str) -> bool:
    """Whether the store of a file can be asked."""
    return url.partition("://")[0] in ("hdfs", "webhdfs")


def block_hosts(url: str, options: dict[str, Any] | None = None) -> list[Block]:
    """Blocks of a file and the hosts that hold them; empty where nobody says.

    Examples
    --------
    >>> block_hosts("/data/local.parquet")
    []
    """
    if not says_where(url):
        return []
    protocol, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    for address in _web_addresses(protocol, host):
        found = _ask(address, "/" + path, (options or {}).get("user") or _user())
        if found is not None:
            return found
    return []


def _ask(address: str, path: str, user: str) -> list[Block] | None:
    query = urllib.parse.urlencode({"op": "GETFILEBLOCKLOCATIONS", "user.name": user})
    url = f"http://{address}/webhdfs/v1{urllib.parse.quote(path)}?{query}"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            said = json.load(answer)
        return [
            (block["offset"], block["length"], tuple(dict.fromkeys((*block["hosts"], *map(_host, block["names"])))))
            for block in said["BlockLocations"]["BlockLocation"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _host(name: str) -> str:
    """Of ``host:port``."""
    return name.rpartition(":")[0]


def _web_addresses(protocol: str, host: str) -> Iterator[str]:
    if protocol == "webhdfs":
        yield host
        return
    yield from _configured(os.environ.get("HADOOP_CONF_DIR", ""))
    yield f"{host.rpartition(':')[0] or host}:{WEB_PORT}"


@functools.cache
def _configured(directory: str) -> tuple[str, ...]:
    """HTTP addresses of NameNodes that ``hdfs-site.xml`` names."""
    try:
        text = Path(directory, "hdfs-site.xml").read_text() if directory else ""
    except OSError:
        return ()
    named = r"<name>\s*dfs\.namenode\.http-address[^<]*</name>\s*<value>\s*([^<\s]+)\s*</value>"
    return tuple(re.findall(named, text))


def _user() -> str:
    return os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
