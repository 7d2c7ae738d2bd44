"""The fingerprint of a job: one short name for everything that its answer depends on."""

from __future__ import annotations

import json
from typing import Any

from shardwise.storage.digests import digest


def fingerprint(document: dict[str, Any]) -> str:
    """The digest of a JSON document, whatever the order of its keys.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    True
    """
    return digest(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def unknown(document: Any) -> list[str]:
    """What in a job cannot be compared (an open file, a lock, a connection that a function captures).

    Such a job has no cache: nothing could say that a later job is the same. ``run.code.describe_code`` lists it under
    ``"unknown"``, at whatever depth of the document.
    """
    if isinstance(document, dict):
        own = document.get("unknown", [])
        found = [str(entry) for entry in own] if isinstance(own, list) else []
        return found + [entry for key, value in document.items() if key != "unknown" for entry in unknown(value)]
    if isinstance(document, list):
        return [entry for value in document for entry in unknown(value)]
    return []
